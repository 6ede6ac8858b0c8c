#!/usr/bin/perl

# Upstreams over HTTP/2 that break a connection just when something is to be
# sent there: what they said before is read all the same.

use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use Socket qw/IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY/;
use Test::Veil;
use Test::Veil::Fault;

use constant { HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, GOAWAY => 7,
    WINDOW_UPDATE => 8, END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

my $t = Test::Veil->new->has('v2_upstream');
my $fault = Test::Veil::Fault->new($t);
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1',
    Proto => 'tcp') or die "listen: $!";

$t->set(BEHIND => '127.0.0.1:' . $listen->sockport);
$t->config(<<'EOC')->run;
worker_processes 1;
http {
    upstream behind { server %%BEHIND%%; keepalive 4; }
    server {
        listen %%PORT_80%%;
        location / {
            proxy_http_version 2;
            proxy_pass http://behind;
        }
    }
}
EOC

# --- a peer

sub frame {
    my ($kind, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $kind, $flags, $stream) . $payload;
}

sub bytes {
    my ($s, $n) = @_;
    my $data = '';
    while (length $data < $n) {
        sysread $s, $data, $n - length $data, length $data
            or die "the connection has ended\n";
    }
    return $data;
}

# The stream of the next frame of the kind, with the flags.

sub next_frame {
    my ($s, $kind, $flags) = @_;
    while (1) {
        my ($high, $low, $is, $has, $stream) = unpack 'CnCCN', bytes($s, 9);
        bytes($s, ($high << 16) + $low);
        return $stream if $is == $kind && ($has & $flags) == $flags;
    }
}

# A connection of which all is read that comes by itself.

sub connection {
    IO::Select->new($listen)->can_read(30) or return;
    my $s = $listen->accept;
    # Else what is said waits for an ACK, and is gone with the connection.
    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    bytes($s, 24);
    syswrite $s, frame(SETTINGS, 0, 0, '');
    return $s;
}

sub answer {
    my ($s, $stream, $status) = @_;
    # A literal without indexing, of the name :status.
    syswrite $s, frame(HEADERS, END_STREAM | END_HEADERS, $stream,
        "\x08\x03$status");
}

# A kept connection.

sub kept {
    my $c = $t->connect;
    $c->send_request(path => '/');
    my $s = connection();
    my $stream = next_frame($s, HEADERS, 0);
    next_frame($s, SETTINGS, ACK);
    answer($s, $stream, 200);
    is($c->read_response->status, 200, 'a connection is kept');
    return $s;
}

# Breaks it; true when the other end knows.

sub break {
    my ($s) = @_;
    my $pair = sprintf ':%04X 0100007F:%04X 01', $s->peerport, $s->sockport;
    setsockopt $s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $s;
    return $t->wait_for(sub {
        open my $f, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
        return !grep {/\Q$pair\E/} <$f>;
    });
}

# --- a request that was not looked at is made again

my $s = kept();
my $c = $t->connect;
$fault->arm('h2_upstream.send', action => 'stop');
$c->send_request(method => 'POST', path => '/', body => 'once');
my $worker = $fault->wait;
ok($worker, 'the worker is about to send a request');
syswrite $s, frame(GOAWAY, 0, 0, pack 'NN', 1, 0);
ok(break($s), 'which its connection takes no more');
kill 'CONT', $worker;
$s = connection();
ok($s, 'another connection is made');
answer($s, next_frame($s, HEADERS, 0), 201) if $s;
is($c->read_response->status, 201, 'and has the request');
break($s) if $s;

# --- a response that is there is passed on

$s = kept();
$c = $t->connect;
$c->send_request(method => 'POST', path => '/', body => 'x' x 100_000);
my $stream = next_frame($s, HEADERS, 0);
my $left = 65535;
while ($left) {
    my ($high, $low) = unpack 'CnCCN', bytes($s, 9);
    $left -= length bytes($s, ($high << 16) + $low);
}
$fault->arm('h2_upstream.send', action => 'stop');
syswrite $s, frame(WINDOW_UPDATE, 0, 0, pack 'N', 100_000)
    . frame(WINDOW_UPDATE, 0, $stream, pack 'N', 100_000);
$worker = $fault->wait;
ok($worker, 'the worker is about to send more of a body');
answer($s, $stream, 413);
syswrite $s, frame(RST_STREAM, 0, $stream, pack 'N', 0);
ok(break($s), 'which its connection takes no more');
kill 'CONT', $worker;
is($c->read_response->status, 413, 'the response is passed on');

done_testing();
