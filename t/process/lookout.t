#!/usr/bin/perl

# A worker that is stuck keeps no client from the others, although it may be
# the one that the kernel wakes for them.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has('http');

sub conf {
    my ($options) = @_;
    $t->config(<<"EOC");
worker_processes 2;
worker_watchdog off;
worker_shutdown_timeout 600s;
http {
    access_log off;
    server {
        listen %%PORT_80%%$options;
        return 200 \$pid;
    }
}
EOC
}

# answers($n): who answered so many clients, one after the other.

sub answers {
    my ($n) = @_;
    my %by;
    $by{ $t->get('/')->body // 'nobody' }++ for 1 .. $n;
    return join ' ', sort keys %by;
}

# All wait on one socket.

conf('');
$t->run;
my @workers = $t->worker_pids;
for my $i (0, 1) {
    Test::Veil::Proc::stop($workers[$i]);
    is(answers(5), $workers[1 - $i], "worker $i is stopped: the other answers");
    kill 'CONT', $workers[$i];
}

# They are told once, and may be told again when they have run.

Test::Veil::Proc::stop(@workers);
my @clients = map { $t->connect } 1 .. 3;
$_->write("GET / HTTP/1.0\r\n\r\n") for @clients;
kill 'CONT', @workers;
is($_->read_response->status, 200, 'who has waited for both is answered')
    for @clients;

# Those of the generation before have the same sockets.

for my $options ('', ' reuseport') {
    conf($options);
    ok($t->reload, "listen$options") or next;
    my @old;
    ok($t->wait_for(sub {
        my @all = Test::Veil::Proc::named($t->pid);
        @old = map { $_->{pid} } @all;
        return @all == 2 && !grep { $_->{ending} } @all;
    }), 'two workers');
    Test::Veil::Proc::stop(@old);
    $t->signal('HUP');
    my %old = map { $_ => 1 } @old;
    my @new;
    ok($t->wait_for(sub { 2 == (@new = grep { !$old{$_} } $t->worker_pids) }),
        'a reload, when the old ones are stopped');
    unlike(answers(20), qr/nobody|$old[0]|$old[1]/,
        'the new ones answer everybody');
    kill 'CONT', @old;
    ok($t->wait_for(sub { !grep { $old{$_} } $t->worker_pids }),
        'the old ones leave');
}
is($t->stop, 0, 'the end');

done_testing;
