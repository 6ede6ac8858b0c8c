#!/usr/bin/perl

# Where a server listens: several addresses, unix sockets, IPv6, ranges of
# ports, a wildcard beside an address, and who is the default.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw/SOL_SOCKET SO_REUSEADDR/;

my $t = Test::Veil->new->has(qw/rewrite/);
my $dir = $t->testdir;

# run_of($n): the first of $n ports in a row that are free.  They stay bound,
# as those of port() do, so nobody else is given them.

my @held;

sub run_of {
    my ($n) = @_;
    for (1 .. 100) {
        my $first = 20000 + int rand 10000;
        @held = grep {defined} map {
            IO::Socket::INET->new(
                LocalAddr => '127.0.0.1',
                LocalPort => $first + $_,
                Proto     => 'tcp',
            )
        } 0 .. $n - 1;
        next if @held != $n;
        # To be shared with the server, and with nobody else.
        $_->setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) for @held;
        return $first;
    }
    die "no $n free ports in a row\n";
}

sub ask {
    my ($s, $host) = @_;
    return 'nobody' unless $s;
    $host //= 'somebody';
    print $s "GET / HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n";
    local $/;
    my $answer = <$s>;
    return $answer =~ /\r\n\r\n(.*)\z/s ? $1 : "odd: $answer";
}

sub tcp {
    my ($address, $port) = @_;
    return IO::Socket::IP->new(
        PeerHost => $address,
        PeerPort => $port,
        Timeout  => 20,
    );
}

my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1);
my $range = run_of(4);
my $last = $range + 2;
$t->set(RANGE => "$range-$last");
$t->set(V6 => $ipv6 ? 'listen [::1]:' . $t->port(80) . ';' : '');

$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        server_name first;
        return 200 "first $server_port";
    }
    server {
        listen %%PORT_80%% default_server;
        server_name second;
        return 200 "second $server_addr:$server_port";
    }
    server {
        listen %%PORT_80%%;
        listen unix:%%TESTDIR%%/web.sock;
        %%V6%%
        server_name third;
        return 200 "third $remote_addr $server_addr";
    }
    server {
        listen 127.0.0.1:%%RANGE%%;
        return 200 "range $server_port";
    }
    server {
        listen %%PORTNUM_81%%;
        return 200 "wildcard $server_addr";
    }
    server {
        listen 127.0.0.2:%%PORTNUM_81%%;
        server_name specific;
        return 200 "specific $server_addr";
    }
}
EOC
$t->run;
my $port = $t->port(80);

is(ask(tcp('127.0.0.1', $port), 'first'), "first $port", 'by name');
is(ask(tcp('127.0.0.1', $port), 'FIRST:99'), "first $port",
    'in capitals, with a port');
is(ask(tcp('127.0.0.1', $port), 'first.'), "first $port",
    'with a dot at the end');
is(ask(tcp('127.0.0.1', $port), 'unknown'), "second 127.0.0.1:$port",
    'no name: the default_server, although it is not the first');

my $s = IO::Socket::UNIX->new(Peer => "$dir/web.sock");
is(ask($s), "third unix: unix:$dir/web.sock", 'a unix socket');
is((stat "$dir/web.sock")[2] & 0777, 0666, '... is for everybody');

SKIP: {
    skip('no IPv6 here', 1) unless $ipv6;
    is(ask(tcp('::1', $port)), 'third ::1 ::1', 'IPv6');
}

is(ask(tcp('127.0.0.1', $_)), "range $_", "port $_ of a range")
    for $range .. $last;
ok(!tcp('127.0.0.1', $last + 1), '... which ends there');

$port = $t->port(81);
is(ask(tcp('127.0.0.1', $port)), 'wildcard 127.0.0.1', 'the wildcard');
is(ask(tcp('127.0.0.2', $port)), 'specific 127.0.0.2',
    'an address beside it has its own servers');
is(ask(tcp('127.0.0.3', $port), 'specific'), 'wildcard 127.0.0.3',
    '... which other addresses do not have');

$t->stop;
ok(!-e "$dir/web.sock", 'the unix socket is gone at the end');

# What is refused.

for my $case (
    [ 'listen 127.0.0.1:99999;', qr/invalid (?:address|port)/ ],
    [ 'listen 127.0.0.1:8010-8000;', qr/invalid port range/ ],
    [ 'listen 127.0.0.1:8000 nonsense;', qr/invalid value "nonsense" in "listen"/ ],
    [ 'listen 300.1.1.1:80;', qr/"300\.1\.1\.1/ ],
    [   "listen 127.0.0.1:8000 default_server; }\n"
            . 'server { listen 127.0.0.1:8000 default_server;',
        qr/duplicate default server for "127\.0\.0\.1:8000"/
    ],
    [   'listen 127.0.0.1:8000; listen 127.0.0.1:8000;',
        qr/duplicate listen/
    ],
    )
{
    my ($text, $re) = @$case;
    $t->config("http { server { $text } }\n");
    my ($status, $out) = $t->command('-t');
    is($status, 1, "refused: $text");
    like($out, $re, '... for its reason');
}

done_testing;
