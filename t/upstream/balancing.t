#!/usr/bin/perl

# Who gets the next request: weights, failures, backups, keys.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my %u = map {
    my $name = $_;
    $name => $t->upstream($name =>
            handler => Test::Veil::Upstream::reply(body => $name))
} qw/a b c/;
my $busy = $t->upstream(busy => routes => {
    '/hold' => Test::Veil::Upstream::gated('go'),
}, handler => Test::Veil::Upstream::reply(body => 'busy'));
my $failing = $t->upstream(failing =>
        handler => Test::Veil::Upstream::close_now());

$t->config(<<'EOC');
http {
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream weights {
        zone shared 64k;
        server %%UPSTREAM_a%% weight=3;
        server %%UPSTREAM_b%%;
    }
    upstream equal {
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
        server %%UPSTREAM_c%%;
    }
    upstream down {
        server %%UPSTREAM_a%% down;
        server %%UPSTREAM_b%%;
    }
    upstream fails {
        server %%UPSTREAM_failing%% max_fails=2 fail_timeout=1h;
        server %%UPSTREAM_a%%;
    }
    upstream limited {
        zone shared;
        server %%UPSTREAM_busy%% max_conns=1;
        server %%UPSTREAM_a%% backup;
    }
    upstream least {
        least_conn;
        server %%UPSTREAM_busy%%;
        server %%UPSTREAM_a%%;
    }
    upstream key {
        hash $arg_k;
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
        server %%UPSTREAM_c%%;
    }
    upstream ring {
        hash $arg_k consistent;
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
        server %%UPSTREAM_c%%;
    }
    upstream chance {
        random two least_conn;
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
    }
    upstream address {
        ip_hash;
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
        server %%UPSTREAM_c%%;
    }
    server {
        listen %%PORT_80%%;
        location ~ ^/(\w+)/ {
            rewrite ^/\w+(/.*)$ $1 break;
            proxy_pass http://$group;
            add_header X-Addr "$upstream_addr" always;
            add_header X-Status "$upstream_status" always;
            add_header X-Time "$upstream_response_time" always;
        }
        set $group weights;
        if ($uri ~ ^/(\w+)/) { set $group $1; }
    }
}
EOC
$t->run;

sub round { my ($at, $n) = @_; return map { $t->get($at)->body } 1 .. $n }
sub count { my %n; $n{$_}++ for @_; return join ' ', map {"$_=$n{$_}"} sort keys %n }

is(count(round('/weights/', 40)), 'a=30 b=10', 'weights 3 and 1');
my $smooth = join '', round('/weights/', 8);
like($smooth, qr/^(aaba|abaa|aaab|baaa){2}$/, "and not in a row: $smooth");
is(count(round('/equal/', 9)), 'a=3 b=3 c=3', 'equal ones');
is(count(round('/down/', 4)), 'b=4', 'down');

is(count(round('/fails/', 10)), 'a=10', 'failures are hidden');
is($failing->requests, 2, 'max_fails');
my $r = $t->get('/fails/');
like($r->header('X-Addr'), qr/^127\.0\.0\.1:\d+$/, 'one attempt then');

# One at a time: the second goes to the backup.

my $c = $t->connect;
$c->send_request(path => '/limited/hold');
ok($busy->wait_note(qr/waiting/), 'one request under way');
is($t->get('/limited/')->body, 'a', 'max_conns: the next one');
my $d = $t->connect;
$d->send_request(path => '/least/hold');
ok($t->wait_for(sub { ($busy->notes) == 2 }), 'another one');
is(count(round('/least/', 4)), 'a=4', 'least_conn');
$busy->release('go');
$_->read_response for $c, $d;
is($t->get('/limited/')->body, 'busy', 'it is free again');
like(count(round('/least/', 4)), qr/^a=2 busy=2$/, 'and takes its turn');

# Keys.

for my $at (qw/key ring/) {
    my (%seen, $moved);
    # Where keys belong depends on the ports: some need a few more.
    for my $k (1 .. 500) {
        my @got = map { $t->get("/$at/?k=$k")->body } 1 .. 2;
        $moved = 1 if $got[0] ne $got[1];
        $seen{ $got[0] } = 1;
        last if $k >= 20 && keys %seen == 3;
    }
    ok(!$moved, "$at: the same server for the same key");
    is(join('', sort keys %seen), 'abc', "$at: all have some");
}
is(scalar(keys %{ { map { $_ => 1 } round('/address/', 6) } }), 1, 'ip_hash');

like(count(round('/chance/', 40)), qr/^a=\d+ b=\d+$/, 'random');

# Attempts, as the log sees them.

$failing->stop;
my $two = $t->get('/fails/');
is($two->header('X-Status'), 200, '$upstream_status');
like($two->header('X-Time'), qr/^\d+\.\d{3}$/, '$upstream_response_time');

done_testing;
