#!/usr/bin/perl

# The pool of idle connections to a backend.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(24);

sub number {
    my ($conn, $req) = @_;
    $conn->reply(body => $conn->number . '.' . $conn->served);
}

my %odd = (
    # Says that it closes, and closes.
    '/close' => sub {
        my ($conn) = @_;
        $conn->reply(close => 1, body => 'closing');
    },
    # Says nothing, and closes after the answer.
    '/quiet' => sub {
        my ($conn) = @_;
        $conn->reply(body => 'quiet');
        $conn->close;
    },
    # Sends more than it announced.
    '/more' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
            . "moreHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    },
    '/10' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
    },
    '/204' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 204 No Content\r\n\r\n");
    },
    '/chunked' => Test::Veil::Upstream::chunked([ 'a', 'b' ]),
    '/gated' => Test::Veil::Upstream::gated('go', \&number),
);
my $u = $t->upstream(a => handler => \&number, routes => \%odd);
my $limited = $t->upstream(b => handler => \&number);
my $short = $t->upstream(c => handler => \&number);

$t->config(<<'EOC');
http {
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_next_upstream off;

    upstream a { server %%UPSTREAM_a%%; keepalive 2; }
    upstream b {
        server %%UPSTREAM_b%%;
        keepalive 2;
        keepalive_requests 3;
    }
    upstream c {
        server %%UPSTREAM_c%%;
        keepalive 2;
        keepalive_timeout 300ms;
    }
    server {
        listen %%PORT_80%%;
        location /a/ { proxy_pass http://a/; }
        location /b/ { proxy_pass http://b/; }
        location /c/ { proxy_pass http://c/; }
        location /each/ {
            proxy_pass http://a/;
            proxy_set_header Connection close;
        }
    }
}
EOC
$t->run;

sub body { return $t->get($_[0])->body }

is(body('/a/'), '1.1', 'the first request opens a connection');
is(body('/a/'), '1.2', 'the second finds it');
is(body('/a/chunked'), 'ab', 'a chunked answer');
is($t->head('/a/204')->status, 204, 'HEAD, 204');
is($t->get('/a/204')->status, 204, 'GET, 204');
is($t->post('/a/', 'body' x 1000)->body, '1.6', 'after each it is kept');

# What must not be used again.

is(body('/a/close'), 'closing', 'an answer with Connection: close');
is(body('/a/'), '2.1', 'is the last of its connection');
is(body('/a/10'), 'old', 'so is one of HTTP/1.0');
is(body('/a/'), '3.1', 'without keep-alive');
is(body('/a/more'), 'more', 'bytes after the answer are not passed on');
is(body('/a/'), '4.1', 'and their connection is not used again');
is(body('/a/quiet'), 'quiet', 'a backend that just closes');
ok($u->wait_closed, 'has closed');
is(body('/a/'), '5.1', 'is connected to again');

# A client that leaves takes its connection with it.

my $c = $t->connect;
$c->send_request(path => '/a/gated');
ok($u->wait_note(qr/waiting/), 'a request under way');
$c->close;
$t->wait_for_log(qr/prematurely closed|client closed|499/, timeout => 2);
$u->release('go');
$u->wait_closed(1, 3);
like(body('/a/'), qr/^[5-7]\.\d$/, 'a client that left harms nobody');

# No more than the pool has room for.

my @busy = map { $t->connect } 1 .. 5;
$_->send_request(path => '/a/') for @busy;
$_->read_response for @busy;
ok($u->wait_closed(2), 'two idle connections are kept');

# Limits of one connection.

is(join(' ', map { body('/b/') } 1 .. 7), '1.1 1.2 1.3 2.1 2.2 2.3 3.1',
    'keepalive_requests');
# The second one has to come in time: on a busy machine not the first that
# tries.
my ($first, $second);
for (1 .. 20) {
    ($first) = body('/c/') =~ /^(\d+)\.1$/ or last;
    $second = body('/c/');
    last if $second eq "$first.2" || !$short->wait_closed;
}
ok($first, 'keepalive_timeout');
is($second, "$first.2", 'not over');
ok($short->wait_closed, 'over: closed');
is(body('/c/'), $first + 1 . '.1', 'a new one then');

# The end of the server is the end of the pool.

$t->stop;
ok($u->wait_closed && $limited->wait_closed && $short->wait_closed,
    'all are closed at the end');
