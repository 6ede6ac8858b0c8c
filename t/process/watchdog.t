#!/usr/bin/perl

# worker_watchdog: who does not turn is replaced, who is slow or being debugged
# is not, and the others serve on meanwhile.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Python;
use Time::HiRes qw/sleep time/;

my $t = Test::Veil->new->config(<<'EOC');
worker_processes 3;
worker_watchdog 2s;

http {
    server {
        listen %%PORT_80%% reuseport;
        location / {
            return 200 "$pid\n";
        }
    }
}
EOC
$t->allow_alerts(qr/has not turned its loop for \d+ ms, killing it/);
$t->run;

sub list { return @{ Test::Veil::Control->new($t)->data('worker.list') } }
sub metric { return Test::Veil::Control->new($t)->metric(@_) }

# --- nothing to do is no reason to be killed

my %pids = map { $_->{slot} => $_->{pid} } list();
is(scalar keys %pids, 3, 'three workers');
sleep 3.5;
is_deeply({ map { $_->{slot} => $_->{pid} } list() }, \%pids,
    'idle workers live');
ok($t->wait_for(sub { !grep { $_->{heartbeat_ms} > 1500 } list() }),
    'and turn');

# --- a stop that ends in time is none either

# One that this process overslept is another matter, and ends as it may.
for (1 .. 5) {
    my $from = time;
    kill 'STOP', $pids{0};
    sleep 0.8;
    kill 'CONT', $pids{0};
    last if time - $from < 1.4;
    sleep 3;
    $t->wait_for(sub { 3 == grep { $_->{state} eq 'serving' } list() });
    %pids = map { $_->{slot} => $_->{pid} } list();
}
sleep 2.2;
is_deeply({ map { $_->{slot} => $_->{pid} } list() }, \%pids,
    'nobody was killed for a nap');

# --- a stop that does not end: the others serve on, the slot comes back

my $mark = $t->log_mark;
my $stuck = metric('veil_workers_ended_total', how => 'stuck') // 0;
kill 'STOP', $pids{1};
my $began = time;
my $stopped;
ok($t->wait_for(sub {
    ($stopped) = grep { $_->{slot} == 1 } list();
    $stopped && $stopped->{stopped};
}), 'the list says that it is stopped');
my $m = metric('veil_http_requests_total', protocol => 'http/1.1');
ok(defined $m, 'metrics are answered all the same');

# Connections to its socket wait, and are served; the others never wait.
my $answered = 0;
for (1 .. 30) {
    my $c = $t->connect(80);
    $c->send_request(path => '/');
    my $r = $c->read_response;
    $answered++ if $r->status == 200;
    $c->close;
}
is($answered, 30, 'all requests are answered, those at its socket late');
$t->wait_for_log(qr/worker 1, process $stopped->{pid}, has not turned/,
    from => $mark);
cmp_ok(time - $began, '<', 25, 'long before it would be by default');
ok($t->wait_for(sub {
    grep { $_->{slot} == 1 && $_->{pid} != $pids{1}
        && $_->{state} eq 'serving' } list()
}), 'another serves in its place');
is_deeply([ map { $_->{pid} } sort { $a->{slot} <=> $b->{slot} }
    grep { $_->{slot} != 1 } list() ], [ $pids{0}, $pids{2} ], 'the others live');
is(metric('veil_workers_ended_total', how => 'stuck'), $stuck + 1,
    'it was counted');
is(metric('veil_http_requests_total', protocol => 'http/1.1'), 30,
    'and so were the requests, whoever had them');

# --- all of them at once: one after the other

%pids = map { $_->{slot} => $_->{pid} } list();
kill 'STOP', values %pids;
ok($t->wait_for(sub {
    3 == grep { $_->{pid} != ($pids{ $_->{slot} } // 0) && $_->{state} eq 'serving' }
        list()
}), 'all that were stopped are replaced');
like($t->get('/'), qr/ 200 /, 'and it serves');
is(metric('veil_workers_ended_total', how => 'stuck'), $stuck + 4,
    'four in all');

# --- one that is being traced: whoever holds it knows what he does

SKIP: {
    my $python = Test::Veil::Python->find($t, 'ctypes')
        or skip 'there is no python3 with ctypes', 7;
    %pids = map { $_->{slot} => $_->{pid} } list();
    $mark = $t->log_mark;
    my $done = $t->testdir . '/traced';
    my (undef, $from) = $python->start('t/lib/trace.py', $pids{0}, $done);
    my $said = readline($from) // 'nothing';
    chomp $said;
    skip "processes cannot be traced here: $said", 7 if $said ne 'traced';
    my $held = "worker 0, process $pids{0}, does not turn its loop, but is being";
    $t->wait_for_log(qr/$held traced: left alone/, from => $mark);
    is_deeply({ map { $_->{slot} => $_->{pid} } list() }, \%pids,
        'one that is traced lives');

    # Another that is stuck meanwhile is none of its business.
    kill 'STOP', $pids{1};
    ok($t->wait_for(sub {
        grep { $_->{slot} == 1 && $_->{pid} != $pids{1}
            && $_->{state} eq 'serving' } list()
    }), 'another, which is not, is replaced');
    my ($traced) = grep { $_->{slot} == 0 } list();
    is($traced->{pid}, $pids{0}, 'it lives on');
    cmp_ok($traced->{heartbeat_ms}, '>', 2500, 'without turning');

    # Nobody holds it any more: it has its time, and turns.
    $t->write_file('traced', '');
    ok($t->wait_for(sub {
        grep { $_->{slot} == 0 && $_->{heartbeat_ms} < 1500 } list()
    }), 'it turns when it is let go');
    sleep 2.5;
    my ($free) = grep { $_->{slot} == 0 } list();
    is($free->{pid}, $pids{0}, 'and was not killed for it');
    is(metric('veil_workers_ended_total', how => 'stuck'), $stuck + 5,
        'one was stuck, not two');
}

done_testing;
