#!/usr/bin/perl

# Workers that are killed: what they had under way is not counted for ever,
# and what was changed at run time is there for those that come after them.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;

my $t = Test::Veil->new->has('http', 'proxy');
$t->allow_alerts(qr/exited on signal 9/, qr/held by a process that/);
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my %u = map {
    my $name = $_;
    $name => $t->upstream($name => handler => sub {
        my ($conn, $req) = @_;
        if ($req->{path} eq '/hold') {
            $conn->note("held by $name");
            $conn->wait('go');
        }
        $conn->reply(body => $name);
    })
} qw/a b/;

$t->config(<<'EOC');
worker_processes 2;
http {
    upstream back {
        server %%UPSTREAM_a%% max_conns=1;
        server %%UPSTREAM_b%% max_conns=1;
    }
    server { listen %%PORT_80%%; location / { proxy_pass http://back; } }
}
EOC
$t->run;
my $c = Test::Veil::Control->new($t);
my %addr = map { $_ => $u{$_}->addr } keys %u;

sub in_flight {
    my ($show) = @{$c->data('upstream.show', upstream => 'back')};
    my $n = 0;
    $n += $_->{in_flight} for @{$show->{peers}};
    return $n;
}

# Both are at their limit; the workers that have these requests are killed.

my @held = map { $t->connect } 1, 2;
for my $i (0, 1) {
    $held[$i]->send_request(path => '/hold');
    $t->wait_for(sub { in_flight() == $i + 1 });
}
is(in_flight(), 2, 'two are under way');
is($t->get('/')->status, 502, 'both servers are at their limit');
my @before = $t->worker_pids;
kill 9, @before;
ok($t->wait_for(sub {
    my %now = map { $_ => 1 } $t->worker_pids;
    return keys %now == 2 && !grep { $now{$_} } @before;
}), 'two workers were killed and replaced');
$u{$_}->release('go') for qw/a b/;
ok($c->data('wait', cond => 'server-idle', what => "back/$addr{$_}")->{reached},
    "$_ is idle") for qw/a b/;
is($t->get('/')->status, 200, 'and asked') for 1 .. 4;

# What was changed is there for new workers.

$c->data('server.set', server => "back/$addr{a}", state => 'drain');
kill 9, $t->worker_pids;
ok($t->wait_for(sub { eval { $t->get('/')->body eq 'b' } }),
    'a new worker serves');
is($t->get('/')->body, 'b', 'a drained server stays drained') for 1 .. 4;
$c->data('server.set', server => "back/$addr{a}", reset => JSON::PP::true());

# A worker dies at each point where the zone is in mid-change.

SKIP: {
    skip 'fault points are in debug builds only', 1 if !$fault;
    for my $point (qw/upstream_zone.weights upstream_peer.counted
        upstream_zone.cleared upstream_zone.written upstream_zone.named/)
    {
        $fault->arm($point);
        if ($point =~ /zone\.(?:cleared|written|named)/) {
            my $port = $t->port("fault $point");
            $c->ask('server.add', upstream => 'back',
                address => "127.0.0.1:$port", weight => 1);
        }
        eval { $t->get('/') } for 1 .. 4;
        ok($fault->wait, "a worker died at $point");
        my $ok = $t->wait_for(sub {
            2 == grep { eval { $t->get('/')->status == 200 } } 1, 2;
        });
        ok($ok, 'the others go on');
        $c->data('server.set', server => "back/$addr{a}", weight => 2);
        $c->data('server.set', server => "back/$addr{a}", weight => 1);
        pass('and the zone is in use');
    }
}

done_testing;
