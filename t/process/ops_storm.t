#!/usr/bin/perl

# Clients of HTTP/1.1, TLS and HTTP/2 do not notice reloads, other numbers of
# workers, nor another program in the place of the running one; and nothing is
# left open.  When a worker is killed, its own clients notice, and nobody else.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Time::HiRes qw/time/;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Masters;
use Test::Veil::Proc;
use Test::Veil::Python;
use Test::Veil::Storm;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/http ssl v2/);
my $python = Test::Veil::Python->new($t, 'hpack');
my $tls = Test::Veil::TLS->new($t);
$tls->cert('site', names => ['localhost']);
# What dies with a new master is said by those who see it.
$t->allow_alerts(qr/exited on signal 9/, qr/the master is gone/,
    qr/new master/, qr/the keeper cannot reach the master/);

my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $generation = 0;

sub write_conf {
    my ($workers, $reuseport, $more) = @_;
    $generation++;
    $t->config(<<"EOC");
worker_processes $workers;
worker_shutdown_timeout 60s;
error_log %%TESTDIR%%/error.log notice;
http {
    access_log off;
    keepalive_drain_grace 30s;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    add_header X-Generation $generation;
    http2 on;
    server {
        listen %%PORT_80%%$reuseport;
        listen %%PORT_443%% ssl$reuseport;
        listen %%PORT_81%%$reuseport;
        @{[ $more // '' ]}
        return 200 \$pid;
    }
}
EOC
}

# How many descriptors the master and the keeper have.

sub census {
    my @all = Test::Veil::Proc::group($t->pid);
    return join ' ', map {
        my $what = $_;
        "$what:" . join '+', map { scalar(() = glob "/proc/$_->{pid}/fd/*") }
            grep { $_->{title} =~ /$what process/ } @all;
    } qw/master keeper/;
}

# As they come to an end, some are open for a moment yet.

sub census_is {
    my ($want, $name) = @_;
    $t->wait_for(sub { census() eq $want });
    is(census(), $want, $name);
    return;
}

sub settled {
    my ($workers) = @_;
    return $t->wait_for(sub {
        my @all = Test::Veil::Proc::group($t->pid);
        my $log = $t->log;
        my $started = () = $log =~ /generation \d+ serves/g;
        my $ended = () = $log =~ /generation \d+ has ended/g;
        !(grep { $_->{ending} } @all)
            && $workers == (grep { $_->{title} =~ /worker process/ } @all)
            && $ended == $started - 1
            && 1 == grep { $_->{title} =~ /keeper process/ } @all;
    }, 40);
}

my $storm = Test::Veil::Storm->new($t, $python, 80, 443, 81, 'site.crt');

write_conf(2, '');
$t->run;
ok($t->reload && settled(2), 'a first reload');
my $control = Test::Veil::Control->new($t);
ok($control->ask('ping')->{ok}, 'the control socket');
my $before = census();

# 50 reloads, one after the other; every tenth with something else in it.

ok($storm->start(200), 'clients come');
my $fine = 0;
for my $i (1 .. 50) {
    write_conf(2, '', $i % 10 == 0 ? "client_max_body_size ${i}m;" : '');
    $fine++ if $control->ask('reload', { timeout => 60 })->{ok};
    $storm->seen(3);
}
is($fine, 50, '50 reloads');
$storm->all_served('reloads');
ok(settled(2), 'the old ones have gone');
census_is($before, 'as many descriptors as before');

# More and fewer workers, with a socket for each and without.

ok($storm->start(200), 'clients come');
for my $case ([ 4, '' ], [ 1, '' ], [ 2, ' reuseport' ], [ 4, ' reuseport' ],
    [ 1, ' reuseport' ], [ 3, ' reuseport' ], [ 3, '' ], [ 1, '' ],
    [ 2, ' reuseport' ], [ 2, '' ])
{
    write_conf(@$case);
    ok($control->ask('reload', { timeout => 60 })->{ok},
        "$case->[0] workers$case->[1]");
    $storm->seen(20);
}
$storm->all_served('workers come and go');
ok(settled(2), 'the old ones have gone');
my $after = census();
ok($t->reload && settled(2), 'a reload');
census_is($after, 'which leaves nothing open');

# Five other programs, one after the other.  The last master is not the first,
# so from here on it is asked for by name.

my $masters = Test::Veil::Masters->new($t);

sub one_master {
    return $t->wait_for(sub {
        my @m = $masters->masters;
        @m == 1 && 2 == (my @w = $masters->workers_of($m[0]));
    }, 40);
}

sub asks {
    my ($verb, @args) = @_;
    my $c = Test::Veil::Control->new($t) or return { ok => 0, err => {} };
    return $c->ask($verb, { timeout => 60 }, @args);
}

my @was = $masters->masters;
my $with = $masters->census($was[0]);
$control->close;
$t->wait_for(sub { $masters->census($was[0]) ne $with });
my $was = $masters->census($was[0]);
ok($storm->start(200), 'clients come');
for (1 .. 5) {
    my ($old) = $masters->masters;
    my $r = asks('upgrade');
    ok($r->{ok}, 'an upgrade') or diag JSON::PP::encode_json($r);
    $storm->seen(50);
    ok(one_master(), '  the old master leaves');
    isnt(($masters->masters)[0], $old, '  and another one is there');
}
$storm->all_served('five upgrades');
# The master may not have heard yet that its last client has gone.
$t->wait_for(sub { $masters->census(($masters->masters)[0]) eq $was });
is($masters->census(($masters->masters)[0]), $was, 'as many descriptors as before');

# One that dies on its way, at each step: nobody notices.

SKIP: {
    skip 'fault points are in debug builds only', 1 if !$fault;
    ok($storm->start(200), 'clients come');
    my ($old) = $masters->masters;
    for my $point (qw/upgrade.exec upgrade.adopt upgrade.adopted upgrade.keeper
        upgrade.ready upgrade.serving/) {
        $fault->arm($point, role => 'master');
        my $r = asks('upgrade');
        ok(!$r->{ok}, "the new master dies at $point");
        $storm->seen(30);
        ok(one_master(), '  one is left');
        is(($masters->masters)[0], $old, '  which is the old one');
        $fault->disarm;
    }
    $storm->all_served('new masters that die');
}

# A worker is killed: its clients notice.

ok($storm->start(200), 'clients come');
my @killed;
for (1 .. 3) {
    my ($pid) = $t->worker_pids;
    my $from = time;
    kill 'KILL', $pid;
    ok($t->wait_for(sub {
        my @w = $t->worker_pids;
        @w == 2 && !grep { $_ == $pid } @w;
    }), 'a worker is killed, and replaced');
    push @killed, [ $pid, $from, time ];
    $storm->seen(50);
}
my $said = $storm->stop;
my @others = grep {
    my ($kind, $pid, $why, $when, $begun) = @$_;
    # With whom a connection without an answer was, it does not know.
    !grep { $pid == $_->[0]
        || $pid == 0 && $begun <= $_->[2] && $when >= $_->[1] } @killed;
} @{ $said->{failed} };
is(scalar @others, 0, 'nobody else noticed');
diag("$_->[0], $_->[1]: $_->[2]") for @others;
cmp_ok(scalar @{ $said->{failed} }, '<=', 3 * 17, 'and they once each');
$masters->ends;
