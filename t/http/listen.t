#!/usr/bin/perl

# listen: addresses, unix sockets, ranges, options, default servers.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $v6 = eval {
    require IO::Socket::IP;
    IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1);
} ? 1 : 0;

$t->config(<<"EOC");
http {
    server {
        listen %%PORT_80%%;
        server_name one;
        return 200 "one \$server_addr:\$server_port";
    }
    server {
        listen 127.0.0.1:%%PORTNUM_81%% default_server backlog=16 rcvbuf=64k
            sndbuf=64k so_keepalive=30m::10 deferred fastopen=5;
        listen 127.0.0.2:%%PORTNUM_81%%;
        server_name two;
        return 200 "two \$server_addr";
    }
    server {
        listen *:%%PORTNUM_82%% reuseport;
        return 200 "wildcard \$server_addr";
    }
    server {
        listen 127.0.0.3:%%PORTNUM_82%%;
        return 200 "special \$server_addr";
    }
    server {
        listen unix:%%TESTDIR%%/a.sock;
        return 200 "unix \$remote_addr \$server_addr";
    }
    server {
        listen localhost:%%PORTNUM_83%%;
        return 200 localhost;
    }
    @{[ $v6 ? 'server { listen [::1]:%%PORTNUM_84%% ipv6only=on;
        return 200 "v6 $remote_addr $server_addr"; }' : '' ]}
}
EOC
$t->run;

sub body { return $t->get('/', @_)->body }

my $port = $t->port(80);
is(body(host => 'one'), "one 127.0.0.1:$port", 'an address and a port');
is(body(port => 81), 'two 127.0.0.1', 'options');
sub at {
    my ($addr, $n) = @_;
    require IO::Socket::INET;
    my $s = IO::Socket::INET->new(PeerAddr => $addr,
        PeerPort => $t->port($n), Timeout => 5) or return "no: $!";
    print $s "GET / HTTP/1.0\r\n\r\n";
    local $/;
    my $all = <$s> // '';
    $all =~ s/.*\r\n\r\n//s;
    return $all;
}
is(at('127.0.0.2', 81), 'two 127.0.0.2', 'another address of that server');
is(at('127.0.0.3', 82), 'special 127.0.0.3',
    'an address wins over the wildcard on its port');
is(at('127.0.0.1', 82), 'wildcard 127.0.0.1', 'the wildcard has the others');
is(body(unix => $t->testdir . '/a.sock'), 'unix unix: unix:' . $t->testdir
    . '/a.sock', 'a unix socket');
is(at('127.0.0.1', 83), 'localhost', 'localhost');
SKIP: {
    skip 'no IPv6 here', 1 unless $v6;
    my $s = IO::Socket::IP->new(PeerHost => '::1', PeerPort => $t->port(84));
    print $s "GET / HTTP/1.0\r\n\r\n";
    local $/;
    like(<$s>, qr/v6 ::1 ::1$/, 'IPv6');
}

# A reload takes other addresses, and drops old ones.

$t->config(<<'EOC');
http {
    server { listen %%PORT_80%%; return 200 again; }
    server { listen %%PORT_85%%; return 200 new; }
    server { listen unix:%%TESTDIR%%/b.sock; return 200 b; }
}
EOC
ok($t->reload, 'reloaded');
is(body(port => 80), 'again', 'the same address');
is(body(port => 85), 'new', 'a new address');
is(body(unix => $t->testdir . '/b.sock'), 'b', 'a new unix socket');
like(at('127.0.0.1', 81), qr/^no: /, 'an address that is gone');

# What is in use cannot be had.

my $busy = Test::Veil->new->allow_alerts(qr/bind\(\)/);
$busy->config('http { server { listen 127.0.0.1:' . $t->port(80)
    . '; } }');
ok(!$busy->run(may_fail => 1), 'an address in use');
like($busy->log, qr/\[emerg\].*bind\(\) to 127\.0\.0\.1:\d+ failed \(98: /,
    'says which');

for (
    [ 'listen 127.0.0.1:80 ipv6only=on;', qr/for IPv6 only/ ],
    [ 'listen 80 backlog=x;', qr/invalid number in "backlog=x"/ ],
    [ 'listen 80 rcvbuf=1q;', qr/invalid size in "rcvbuf=1q"|"rcvbuf=1q"/ ],
    [ 'listen 80 so_keepalive=maybe;', qr/so_keepalive/ ],
    [ 'listen 90-80;', qr/invalid port range in "90-80"/ ],
    [ 'listen 127.0.0.1:0;', qr/127\.0\.0\.1:0/ ],
    [ 'listen [::1;', qr/invalid address "\[::1"/ ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config("http { server { $text } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
