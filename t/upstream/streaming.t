#!/usr/bin/perl

# Bodies on their way: what is held back, what is passed on, who waits.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha1_hex/;
use Socket qw/SOL_SOCKET SO_RCVBUF/;
use Test::Veil;

my $t = Test::Veil->new->plan(35);
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 2_000_000;

sub digest {
    my ($conn, $req) = @_;
    $conn->reply(body => length($req->{body}) . ' ' . sha1_hex($req->{body}));
}

my $u = $t->upstream(a => gates => [qw/one two/], routes => {
    '/digest' => \&digest,
    '/large'  => sub {
        my ($conn) = @_;
        $conn->reply(body => $large);
        $conn->note('written');
    },
    '/pieces' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        $conn->wait('one');
        $conn->write('again');
    },
    '/chunks' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "5\r\nfirst\r\n");
        $conn->wait('two');
        $conn->write("5\r\nagain\r\n0\r\n\r\n");
    },
});

# This one looks at a request while it arrives.

my $raw = $t->upstream(raw => raw => sub {
    my ($conn) = @_;
    while (my $req = $conn->read_head) {
        my $framing = $conn->header($req, 'Transfer-Encoding')
            // $conn->header($req, 'Content-Length') // 'none';
        $conn->note("head $req->{uri} $framing");
        if ($req->{path} eq '/early') {
            $conn->reply(status => 403, body => 'no need',
                headers => [ Connection => 'close' ]);
            $conn->close;
            last;
        }
        my $first = $conn->read_some;
        $conn->note('first ' . length $first);
        $conn->{buf} = $first . $conn->{buf};
        $conn->read_body($req) or $conn->note('cut'), last;
        $conn->reply(body => $req->{body});
    }
});

$t->config(<<'EOC');
http {
    upstream second {
        server %%PORT_81%%;
        server %%UPSTREAM_raw%% backup;
    }
    client_max_body_size 20m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    server {
        listen %%PORT_80%%;
        location /on/ { proxy_pass http://%%UPSTREAM_a%%/; }
        # The kernel would take all of an answer into its own buffer.
        proxy_socket_rcvbuf 256k;

        location /off/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_buffering off;
        }
        location /small/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_buffers 4 4k;
            proxy_buffer_size 4k;
            proxy_busy_buffers_size 8k;
            proxy_max_temp_file_size 0;
        }
        location /raw/ {
            proxy_pass http://%%UPSTREAM_raw%%/;
        }
        location /second/ {
            proxy_pass http://second/;
            proxy_request_buffering off;
        }

        location /stream/ {
            proxy_pass http://%%UPSTREAM_raw%%/;
            proxy_request_buffering off;
        }
        location /stream2/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_request_buffering off;
        }
    }
}
EOC
$t->run;

# Large bodies, in every setting, unchanged.

for my $at (qw/on off small/) {
    my $r = $t->get("/$at/large");
    is(length $r->body, length $large, "$at: a large answer");
    ok($r->body eq $large, "$at: unchanged");
}
my $sum = length($large) . ' ' . sha1_hex($large);
for my $at (qw/on stream2/) {
    is($t->post("/$at/digest", $large)->body, $sum, "$at: a large request");
    is($t->post("/$at/digest", '')->body, '0 ' . sha1_hex(''),
        "$at: an empty one");
    my @pieces = unpack '(a70000)*', $large;
    is($t->request(method => 'POST', path => "/$at/digest",
            chunked => \@pieces)->body, $sum, "$at: a chunked one");
}

# What has arrived is passed on.

my $c = $t->connect;
$c->send_request(path => '/off/pieces');
$c->read_until(qr/\r\n\r\n/);
is($c->read_bytes(5), 'first', 'no buffering: the first piece at once');
ok($c->silent(0.05), 'the second not yet');
$u->release('one');
is($c->read_bytes(5), 'again', 'and then');

$c = $t->connect;
$c->send_request(path => '/off/chunks');
like($c->read_until(qr/first/), qr/first$/, 'chunked: the same');
$u->release('two');
like($c->read_until(qr/again\r\n0\r\n\r\n/), qr/again/, 'to the end');

# Who waits for a slow client: the server with buffers, else the backend.

# The length of what a slow client has got, once it reads.
sub read_at_last {
    my ($client) = @_;
    setsockopt $client->socket, SOL_SOCKET, SO_RCVBUF, 1 << 20;
    return length $client->read_response(timeout => 60)->body;
}

my $before = () = $u->notes;
$c = $t->connect(80, rcvbuf => 4096);
$c->send_request(path => '/on/large');
ok($t->wait_for(sub { ($u->notes) > $before }),
    'buffering: the backend is done before the client reads');
is(read_at_last($c), length $large, 'and the client has it all');

for my $at (qw/off small/) {
    $before = () = $u->notes;
    $c = $t->connect(80, rcvbuf => 4096);
    $c->send_request(path => "/$at/large");
    ok(!$t->wait_for(sub { ($u->notes) > $before }, 0.3),
        "$at: the backend waits for the client");
    is(read_at_last($c), length $large, "$at: and the client has it all");
    ok($t->wait_for(sub { ($u->notes) > $before }), "$at: then it is done");
}

# A request is held until it is whole, unless told not to.

$c = $t->connect;
$c->write("POST /raw/held HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    . '12345');
ok($c->silent(0.1), 'half a request');
is($raw->requests, 0, 'does not reach the backend');
$c->write('67890');
is($c->read_response->body, '1234567890', 'the whole one does');

$c = $t->connect;
$c->write("POST /stream/now HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    . '12345');
is($raw->wait_note(qr/now/), 'head /now 10', 'streamed: the head arrives');
ok($raw->wait_note(qr/first [1-5]$/), 'and so does half a body');
$c->write('67890');
is($c->read_response->body, '1234567890', 'and then the rest');

is($t->request(method => 'POST', path => '/second/a', body => 'all of it',
    chunked => 1)->body, 'all of it',
    'a body of which nothing was sent goes to the next server');

# An answer that comes before the request is whole.

$c = $t->connect;
$c->write("POST /stream/early HTTP/1.1\r\nHost: a\r\n"
    . "Content-Length: 1000000\r\n\r\n12345");
is($c->read_response->status, 403, 'an early answer is passed on');
$c->close;

# A client that leaves in the middle of its request.

$c = $t->connect;
$c->write("POST /stream/left HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    . '12345');
ok($raw->wait_note(qr/left/), 'a request under way');
$c->abort;
ok($raw->wait_note(qr/^cut/), 'ends at the backend when the client leaves');
