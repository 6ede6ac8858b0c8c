#!/usr/bin/perl

# One socket for each worker: more workers, fewer, and one that is away.  A
# connection that the kernel puts on a socket nobody accepts from would hang,
# so every one of many must be answered.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Guard;
use Test::Veil::Proc;

my $t = Test::Veil->new->has(qw/echo/);

sub write_conf {
    my ($workers, $reuseport) = @_;
    $t->config("worker_processes $workers;\n"
        . "echo_listen %%PORT_80%%$reuseport;\n");
}

# served($n): n connections, one after the other; by whom: { worker => times }.

sub served {
    my ($n) = @_;
    my %by;
    for (1 .. $n) {
        my $line = $t->connect($t->port(80))->read_until(qr/\n/, 5);
        $by{ $line =~ /worker=(\d+)/ ? $1 : 'nobody' }++;
    }
    return \%by;
}

sub serve_is {
    my ($name, @workers) = @_;
    my $by = served(64);
    is($by->{nobody} // 0, 0, "$name: every connection is answered");
    is(join(' ', sort keys %$by), "@workers", "$name: by whom it should be")
        or diag(explain($by));
}

sub sockets {
    my ($hex) = map { sprintf '%04X', $_ } $t->port(80);
    open my $f, '<', '/proc/net/tcp' or die;
    return scalar grep {/^ *\d+: 0100007F:$hex [0-9A-F:]+ 0A /} <$f>;
}

# While others open and close sockets, a list of them may lack one.

sub sockets_are {
    my ($n, $name) = @_;
    $t->wait_for(sub { sockets() == $n });
    is(sockets(), $n, $name);
    return;
}

sub quiet {
    ok($t->wait_for(sub {
        !grep { $_->{ending} } Test::Veil::Proc::group($t->pid);
    }), 'the old ones have gone');
}

write_conf(2, ' reuseport');
$t->run;
sockets_are(2, 'a socket for each of two workers');
serve_is('two workers', 0, 1);

write_conf(4, ' reuseport');
ok($t->reload, 'four workers');
quiet();
sockets_are(4, 'have four sockets');
serve_is('four workers', 0, 1, 2, 3);

# Closing a socket would reset what is queued in it, so they stay.

write_conf(3, ' reuseport');
ok($t->reload, 'three workers');
quiet();
sockets_are(4, 'have four as well');
serve_is('three workers', 0, 1, 2);

write_conf(2, '');
ok($t->reload, 'no more reuseport');
quiet();
is(served(64)->{nobody} // 0, 0, 'every connection is answered');

write_conf(2, ' reuseport');
ok($t->reload, 'reuseport again');
quiet();
serve_is('two workers again', 0, 1);

# From one shared socket to one for each.

is($t->stop, 0, 'stop');
write_conf(2, '');
$t->run;
sockets_are(1, 'one socket for both');
write_conf(2, ' reuseport');
ok($t->reload, 'a socket each, beside the old one');
quiet();
sockets_are(2, 'are two');
serve_is('two workers', 0, 1);

# A configuration that fails takes no slots along.

$t->allow_alerts(qr/pid file|still/);
$t->config("worker_processes 4;\npid /proc/none/pid;\n"
    . "echo_listen %%PORT_80%% reuseport;\n");
ok(!$t->reload, 'four workers and a mistake');
sockets_are(2, 'its sockets are gone');
serve_is('the old configuration', 0, 1);
write_conf(2, ' reuseport');

# Changes of the number of workers, with and without a socket each, while
# clients do nothing but connect: none of them is refused, reset or forgotten.

my @clients = map { Test::Veil::Guard::child(sub {
    my ($bad, $n) = (0, 0);
    my $end = 0;
    $SIG{TERM} = sub { $end = 1 };
    until ($end && $n + $bad) {
        my $line = eval {
            $t->connect($t->port(80))->read_until(qr/\n/, 10);
        } // '';
        $line =~ /worker=/ ? $n++ : $bad++;
    }
    return $bad;
}) } 1 .. 4;
for my $conf ([ 4, ' reuseport' ], [ 1, ' reuseport' ], [ 3, '' ],
    [ 2, ' reuseport' ], [ 1, '' ], [ 4, ' reuseport' ], [ 2, '' ])
{
    write_conf(@$conf);
    ok($t->reload, "$conf->[0] workers$conf->[1], under load");
    quiet();
}
kill 'TERM', @clients;
is(Test::Veil::Guard::reap($_), 0, 'every connection of a client was answered')
    for @clients;

write_conf(2, ' reuseport');
ok($t->reload, 'two workers');
quiet();

# A worker that dies again and again: another has its socket meanwhile.

$t->allow_alerts(qr/exited on signal 9/);
my $mark = $t->log_mark;
for my $n (1 .. 4) {
    my $one;
    ok($t->wait_for(sub {
        ($one) = map { $_->{pid} }
            grep { $_->{title} =~ /worker process 1 / }
            Test::Veil::Proc::named($t->pid);
    }), "worker 1, $n");
    $t->signal('KILL', $one);
    ok($t->wait_for(sub { !kill 0, $one }), '... is killed');
}
ok($t->wait_for_log(qr/has died 4 times, starting another in 400 ms/,
    from => $mark), 'a pause');
my $by = served(32);
is($by->{nobody} // 0, 0, 'in which every connection is answered');
ok($t->wait_for(sub { $t->worker_pids == 2 }), 'then there are two again');
ok($t->wait_for(sub { served(8)->{1} }), 'and both serve');
serve_is('after that', 0, 1);

done_testing;
