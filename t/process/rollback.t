#!/usr/bin/perl

# The way back to fewer workers: sockets that the new program has bound beside
# those of the old master are accepted from when that serves again, whatever
# became of the new one.  And WINCH to an old master while it loads.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Masters;

my $t = Test::Veil->new->has('http');
my $m = Test::Veil::Masters->new($t);
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $true = JSON::PP::true();
my @place = ([ port => 80 ]);

$t->allow_alerts(qr/the new master \d+ .*, this one serves again/,
    qr/the master is gone/, qr/keeper cannot reach the master/,
    qr/the keeper is gone/, qr/worker process \d+ exited on signal/);

sub configure {
    my ($workers) = @_;
    $t->config(<<"EOC");
worker_processes $workers;
error_log %%TESTDIR%%/error.log notice;
http {
    access_log off;
    keepalive_drain_grace 30s;
    server {
        listen %%PORT_80%% reuseport;
        return 200 \$pid;
    }
}
EOC
}

sub sockets {
    my ($hex) = sprintf '%04X', $t->port(80);
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

sub ask { return Test::Veil::Control->new($t)->ask('upgrade', @_) }

sub serves {
    my ($old, $name) = @_;
    ok($t->wait_for(sub {
        "@{[ $m->masters ]}" eq $old && $m->workers_of($old) == 2
            && $t->worker_pids == 2;
    }), "$name: the old one serves") or diag(explain([ $m->processes ]));
}

# queued($n): connections with a request that nobody has accepted.

sub queued {
    my ($n) = @_;
    return map {
        my $c = $t->connect;
        $c->send_request(path => '/');
        $c;
    } 1 .. $n;
}

sub answered {
    my ($name, @c) = @_;
    my $n = grep { ($_->read_response->status // 0) == 200 } @c;
    $_->close for @c;
    is($n, scalar @c, "$name: every connection is answered");
}

# --- it gives the server back ------------------------------------------------

configure(2);
$t->run;
my $old = $t->pid;
sockets_are(2, 'a socket for each worker');
for my $n (1, 2) {
    configure(4);
    my $stop = $m->load(@place);
    my $reply = ask(keep_old => $true);
    ok($reply->{ok}, 'an upgrade to four workers') or diag(explain($reply));
    ok($t->wait_for(sub { $m->workers_of($old) == 0 }),
        'the old one has none');
    sockets_are(4, 'four sockets');
    ok(ask(rollback => $true)->{ok}, 'and back');
    serves($old, "rollback $n");
    like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');
    sockets_are(4, 'no socket was closed');
    answered("rollback $n", queued(64));
}
ok($t->reload, 'a reload');
ok($t->wait_for(sub { $t->worker_pids == 4 }), 'to four workers');
answered('after a reload', queued(64));
is($m->ends, 0, 'the end');

# --- it dies with connections in the queues -------------------------------------

for my $mode ('keep_old', 'USR2') {
    configure(2);
    $t->run;
    $old = $t->pid;
    configure(4);
    my $new;
    if ($mode eq 'USR2') {
        kill 'USR2', $old;
    } else {
        ok(ask(keep_old => $true)->{ok}, "$mode: four workers");
    }
    ok($t->wait_for(sub {
        ($new) = grep { $_ != $old } $m->masters;
        $new && $m->pid_file('veil.pid') eq $new
            && $m->workers_of($new) == 4
            && $m->workers_of($old) == ($mode eq 'USR2' ? 2 : 0);
    }), "$mode: the new one serves");
    my @all = grep { $_->{pid} != $old } $m->processes;
    my ($keeper) = map { $_->{pid} }
        grep { $_->{ppid} == $new } @all;
    my @workers = map { $_->{pid} } grep { $_->{ppid} == $keeper } @all;
    is(scalar @workers, 4, "$mode: its workers");
    kill 'STOP', $keeper, @workers;
    ok($t->wait_for(sub { 5 == grep { $_->{state} eq 'T' } $m->processes }),
        "$mode: which are stopped");
    my $mark = $t->log_mark;
    my @c = queued(64);
    kill 'KILL', $new, $keeper, @workers;
    ok($t->wait_for_log(qr/was ended by signal 9, this one serves again/,
        from => $mark), "$mode: it is killed");
    answered($mode, @c);
    serves($old, $mode);
    sockets_are(4, "$mode: no socket was closed");
    answered("$mode, later", queued(64));
    is($m->ends, 0, "$mode: the end");
}

# --- WINCH while a generation loads ---------------------------------------------

SKIP: {
    skip 'fault points are in debug builds only', 1 if !$fault;
    configure(2);
    $t->run;
    $old = $t->pid;
    ok(ask(keep_old => $true)->{ok}, 'an old master that is kept');
    ok($t->wait_for(sub { $m->workers_of($old) == 0 }), 'without workers');
    for my $case ([ 0, 'WINCH' ], [ 2, 'WINCH', 'HUP' ]) {
        my ($workers, @signals) = @$case;
        $fault->arm('keeper.read', role => 'keeper', action => 'stop');
        my $mark = $t->log_mark;
        kill 'HUP', $old;
        my $keeper = $fault->wait;
        ok($keeper, 'HUP: it loads');
        $fault->disarm;
        for my $signal (@signals) {
            my $at = $t->log_mark;
            kill $signal, $old;
            ok($t->wait_for_log(qr/ $old#\d+: signal \d+ \(SIG$signal\)/,
                from => $at), $signal);
        }
        kill 'CONT', $keeper;
        ok($t->wait_for_log(qr/ $old#\d+: generation \d+ serves/,
            from => $mark), 'it serves');
        ok($t->wait_for(sub {
            $m->workers_of($old) == $workers && !!$workers
                == grep { $_->{pid} == $keeper } $m->processes;
        }), "@signals: $workers workers");
    }
    is($m->ends, 0, 'the end');
}

done_testing;
