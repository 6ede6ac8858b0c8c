#!/usr/bin/perl

# A master that is killed: with "master_respawn" the keeper has another one
# made, clients notice nothing, and what can be asked of a master can be asked
# of that.  Also when it is killed in the middle of a reload.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Masters;
use Test::Veil::Python;
use Test::Veil::Storm;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/http ssl v2/);
my $python = Test::Veil::Python->new($t, 'hpack');
my $tls = Test::Veil::TLS->new($t);
$tls->cert('site', names => ['localhost']);
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $masters = Test::Veil::Masters->new($t);
$t->allow_alerts(qr/the master is gone/, qr/keeper cannot reach the master/,
    qr/\[emerg\] .*nonsense/, qr/\[emerg\] \d+#\d+:   /);

sub conf {
    my ($more) = @_;
    $t->config(<<"EOC");
worker_processes 2;
master_respawn on;
worker_shutdown_timeout 20s;
error_log %%TESTDIR%%/error.log notice;
http {
    access_log off;
    http2 on;
    keepalive_drain_grace 10s;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl reuseport;
        listen %%PORT_81%%;
        @{[ $more // '' ]}
        return 200 \$pid;
    }
}
EOC
}

my $storm = Test::Veil::Storm->new($t, $python, 80, 443, 81, 'site.crt');

# One master other than this, with two workers, which can be asked.

sub another_after {
    my ($old, $name) = @_;
    my $new;
    ok($t->wait_for(sub {
        my @m = grep { $_ != $old } $masters->masters;
        $new = $m[0];
        @m == 1 && 2 == (my @w = $masters->workers_of($new))
            && $masters->pid_file('veil.pid') eq $new;
    }, 40), "$name: there is another master, with its pid file");
    my $c;
    ok($t->wait_for(sub {
        $c = Test::Veil::Control->new($t);
        $c && $c->ask('ping')->{ok};
    }), "$name: which can be asked") or return ($new);
    ok($t->wait_for(sub {
        2 == (my @w = $t->worker_pids);
    }), "$name: the workers before have ended");
    return ($new, $c);
}

conf();
$t->run;
my $master = $t->pid;
my $c = Test::Veil::Control->new($t);
my $total = qr/veil_http_requests_total\{protocol="http\/1.1"\}/;

sub counted {
    my ($client) = @_;
    my ($n) = $client->data('metrics', format => 'prom') =~ /$total (\d+)/;
    return $n // 0;
}

ok($storm->start, 'clients come');
my $before = counted($c);
for (1 .. 3) {
    my $old = $master;
    kill 'KILL', $old;
    ($master, $c) = another_after($old, "killed $_");
    $storm->seen(50);
}
cmp_ok($c->ask('ping')->{gen}, '>=', 4, 'numbers of generations go on');
cmp_ok(counted($c), '>=', $before, 'and so do counters');
ok($c->ask('reload', { timeout => 60 })->{ok}, 'it reloads');
ok($storm->seen(20), 'and serves');

# In the middle of a reload, at each step.

SKIP: {
    skip 'fault points are in debug builds only', 1 if !$fault;
    for my $point (qw/master.loading master.switch master.started/) {
        my $old = $master;
        $fault->arm($point, role => 'master');
        kill 'HUP', $old;
        ok($fault->wait, "$point: it dies in a reload");
        ($master, $c) = another_after($old, $point);
        $fault->disarm;
        $storm->seen(30);
    }
}
$storm->all_served('masters that are killed');

# The kept text counts, not what is in the file by then.

conf();
ok($c->ask('reload', { timeout => 60 })->{ok}, 'a reload');
conf('nonsense;');
my $old = $master;
kill 'KILL', $old;
($master, $c) = another_after($old, 'a file that is wrong by now');
ok(!$c->ask('reload', { timeout => 60 })->{ok}, 'which is refused as ever');
is($t->get('/')->{status}, 200, 'and it serves');

# One that cannot start at once is tried again.

conf();
SKIP: {
    skip 'fault points are in debug builds only', 1 if !$fault;
    $t->allow_alerts(qr/another master, process \d+, ended by signal 9/);
    $fault->arm('upgrade.adopt', role => 'master');
    $old = $master;
    kill 'KILL', $old;
    ok($fault->wait, 'the first one dies');
    ($master, $c) = another_after($old, 'the next');
}

# And it ends as a master does.

kill 'QUIT', $master;
ok($t->wait_for(sub { !(my @m = $masters->masters) }), 'it ends');
$t->stop(signal => 0, status => 9);
