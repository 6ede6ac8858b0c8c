#!/usr/bin/perl

# Verbs about workers: the list, replacing one or all without losing a
# request, and what is refused.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Guard;
use Time::HiRes qw/sleep time/;

my $t = Test::Veil->new->config(<<'EOC');
worker_processes 2;
worker_shutdown_timeout 20s;

http {
    server {
        listen %%PORT_80%% reuseport;
        location / {
            return 200 "$pid\n";
        }
    }
}
EOC
$t->run;

sub control { return Test::Veil::Control->new($t) }

sub list {
    return { map { $_->{pid} => $_ } @{ control()->data('worker.list') } };
}

# --- the list

like($t->get('/'), qr/ 200 /, 'it serves');
my $list = list();
is(scalar keys %$list, 2, 'two workers');
is(join(',', sort map { $_->{slot} } values %$list), '0,1', 'of two slots');
for my $w (values %$list) {
    is($w->{state}, 'serving', "worker $w->{slot} serves");
    is($w->{generation}, 1, 'of the first generation');
    cmp_ok($w->{rss_bytes}, '>', 1e6, 'and has memory');
    ok($t->wait_for(sub { !list()->{ $w->{pid} }{stopped} }),
        'is not stopped');
    cmp_ok($w->{heartbeat_ms}, '<', 30_000, 'its loop has turned');
    cmp_ok(abs($w->{started} - time), '<', 60, 'began a moment ago');
    ok(defined $w->{cpu_s}, 'has used some time');
}
is(eval { my $n = 0; $n += $_->{requests} for values %$list; $n }, 1,
    'together they had one request');

# --- clients that do not stop coming

sub client {
    my ($n, $bad, $end) = (0, 0, 0);
    $SIG{TERM} = sub { $end = 1 };
    until ($end) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port(80), Timeout => 30);
        my $answer = '';
        if ($s) {
            print $s "GET / HTTP/1.0\r\n\r\n";
            local $/;
            $answer = <$s> // '';
        }
        $n++;
        next if $answer =~ m{^HTTP/1\.\d 200 };
        $bad++;
        print STDERR "# client $n: '$answer' $!\n";
    }
    return $bad || !$n;
}

my @clients = map { Test::Veil::Guard::child(\&client) } 1 .. 2;
my %before = %{ list() };

my $r = control()->ask('worker.restart', slot => 1);
ok($r->{ok}, 'worker 1 is restarted') or diag explain $r;
is(scalar @{ $r->{data} }, 1, 'just one');
my $one = $r->{data}[0];
is($before{ $one->{old_pid} }{slot}, 1, 'it was that of slot 1');
ok($t->wait_for(sub { !list()->{ $one->{old_pid} } }), 'the old one left');
is(list()->{ $one->{pid} }{state}, 'serving', 'the new one serves');

$r = control()->ask('worker.restart');
ok($r->{ok}, 'all are restarted') or diag explain $r;
is(join(',', map { $_->{slot} } @{ $r->{data} }), '0,1', 'one by one');
is($r->{data}[1]{old_pid}, $one->{pid}, 'also the one from before');
ok($t->wait_for(sub { 2 == keys %{ list() } }), 'two are left');

kill 'TERM', @clients;
is(Test::Veil::Guard::reap($_), 0, 'a client noticed nothing') for @clients;

# --- what is refused, and what is only tried

$r = control()->ask('worker.restart', slot => 2);
is($r->{err}{code}, 'E_NOT_FOUND', 'there is no worker 2');
like($r->{err}{msg}, qr/there is no worker 2, they are 0 to 1/, 'and why');
like(control()->ask('worker.restart', slot => 99_999_999_999)->{err}{msg},
    qr/there is no worker 99999999999, /, 'with the number that was asked for');
%before = %{ list() };
$r = control()->ask('worker.restart', { dry_run => JSON::PP::true() },
    slot => 0);
ok($r->{ok}, 'a dry run');
is_deeply([ sort keys %{ list() } ], [ sort keys %before ],
    'changes nothing');

# --- a worker that crashes has its slot back

my ($zero) = grep { $_->{slot} == 0 } values %{ list() };
$t->allow_alerts(qr/worker process $zero->{pid} exited on signal 9/);
kill 'KILL', $zero->{pid};
ok($t->wait_for(sub {
    grep { $_->{slot} == 0 && $_->{pid} != $zero->{pid}
        && $_->{state} eq 'serving' } values %{ list() }
}), 'a worker that was killed is replaced');
like($t->get('/'), qr/ 200 /, 'and all is well');

# --- a profile

my $busy = Test::Veil::Guard::child(sub {
    while (1) { eval { $t->get('/') } }
});
for my $slot (0, 1) {
    $r = control()->ask('worker.profile', slot => $slot, for => '1s');
    ok($r->{ok}, "worker $slot is profiled") or diag explain $r;
    my $p = $r->{data};
    is(list()->{ $p->{pid} }{slot}, $slot, 'by itself');
    my $n = 0;
    $n += $_ for $p->{folded} =~ / (\d+)$/mg;
    is($n, $p->{samples}, 'each sample is in a line');
    like($p->{folded}, qr/^[^ ]*main;\S*veil_worker_run;\S+ \d+$/m,
        'and names functions') if $p->{samples};
    unlike($p->{folded}, qr/profile_on_signal/, 'but not the profiler');
}
kill 'KILL', $busy;
Test::Veil::Guard::reap($busy);
$r = control()->ask('worker.profile', slot => 7);
is($r->{err}{code}, 'E_NOT_FOUND', 'no profile of who is not there');
$r = control()->ask('worker.profile', slot => 0, for => '1h');
is($r->{err}{code}, 'E_ARGUMENT', 'nor for ever');
like($t->get('/'), qr/ 200 /, 'it serves on');

done_testing;
