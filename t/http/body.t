#!/usr/bin/perl

# Request bodies: length, chunks, trailers, Expect, limits.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(55);
my $u = $t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => $req->{body});
});
$t->config(<<'EOC');
http {
    client_body_buffer_size 4k;
    client_max_body_size 1m;
    lingering_timeout 5s;

    server {
        listen %%PORT_80%%;
        location / { proxy_pass http://%%UPSTREAM_a%%; }
        location /none { return 200 "length $content_length\n"; }
        location /small/ {
            client_max_body_size 10;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /any/ {
            client_max_body_size 0;
            proxy_pass http://%%UPSTREAM_a%%;
        }
    }
    server {
        listen %%PORT_82%%;
        client_max_chunked_body_size 10;
        location / { proxy_pass http://%%UPSTREAM_a%%; }
        location /less/ {
            client_max_body_size 5;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /more/ {
            client_max_chunked_body_size 2m;
            proxy_request_buffering off;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /any/ {
            client_max_chunked_body_size 0;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /none { return 200 ok; }
    }
    server {
        listen %%PORT_81%%;
        client_body_timeout 300ms;
        location / { proxy_pass http://%%UPSTREAM_a%%; }
    }
}
EOC
$t->run;

sub post { return $t->post(@_) }

# By length.

is(post('/', 'a body')->body, 'a body', 'a body');
is(post('/', '')->body, '', 'an empty one');
is(post('/', "\0\r\n\r\nGET / HTTP/1.1\r\n\r\n")->body,
    "\0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 'any bytes');
for my $n (1, 4095, 4096, 4097, 65_536, 1_048_576) {
    my $r = post('/', 'x' x $n);
    is(length $r->body, $n, "a body of $n");
}
is(post('/', 'one byte at a time', bytewise => 1)->body,
    'one byte at a time', 'byte by byte');
is($t->request(method => $_, path => '/', body => 'b')->body, 'b',
    "$_ with a body") for qw/GET PUT DELETE PATCH OPTIONS/;
is($t->request(method => 'POST', path => '/')->body, '', 'POST without any');
is(post('/none', 'x' x 50)->body, "length 50\n", 'one that nobody reads');

# In chunks.

sub chunked {
    my ($path, @pieces) = @_;
    return $t->request(
        method => 'POST', path => $path, chunked => \@pieces);
}

is(chunked('/', 'one')->body, 'one', 'a chunk');
is(chunked('/', qw/a bc def/)->body, 'abcdef', 'chunks');
is(chunked('/')->body, '', 'none');
is(length chunked('/', ('y' x 10_000) x 30)->body, 300_000, 'large chunks');
is(chunked('/', map {'z'} 1 .. 2000)->body, 'z' x 2000, 'small chunks');

sub raw {
    my ($body, %o) = @_;
    my $path = delete $o{path} // '/';
    return $t->raw("POST $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n$body", %o);
}

my $odd = "3;ext=1\r\nabc\r\n00A\r\n0123456789\r\n4 ;a=\"b\"\r\ndefg\r\n"
    . "0;last\r\nX-Trailer: 1\r\n\r\n";
like(raw($odd), qr/abc0123456789defg$/, 'extensions, zeros and trailers');
like(raw($odd, size => 1), qr/abc0123456789defg$/, 'byte by byte');
like(raw("3\r\nabcX\r\n0\r\n\r\n"), qr{^HTTP/1\.1 400 }, 'no CRLF after one');
like(raw("g\r\nabc\r\n0\r\n\r\n"), qr{^HTTP/1\.1 400 }, 'no number');
like(raw("-1\r\na\r\n0\r\n\r\n"), qr{^HTTP/1\.1 400 }, 'a negative one');
like(raw("fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    qr{^HTTP/1\.1 4(?:00|13) }, 'one beyond all numbers');

# Limits.

is(post('/', 'x' x 1_048_577)->status, 413, 'client_max_body_size');
is(post('/small/', 'x' x 10)->status, 200, 'exactly');
is(post('/small/', 'x' x 11)->status, 413, 'one more');
is(chunked('/small/', 'x' x 10)->status, 200, 'chunked, exactly');
is(chunked('/small/', 'x' x 5, 'x' x 6)->status, 413, 'chunked, one more');
is(chunked('/', ('x' x 65_536) x 16)->status, 200,
    'chunked, as long as any other');
is(chunked('/', ('x' x 65_536) x 16, 'x')->status, 413, '... and no longer');
is(length post('/any/', 'x' x 1_100_000)->body, 1_100_000, 'no limit');
is(post('/none', 'x' x 2_000_000)->status, 413,
    'the limit holds where nobody reads');
my $before = $u->requests;
$t->raw("POST /small/ HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
    read_until => qr/413/);
is($u->requests, $before, 'and is checked before anything is passed on');

# A limit of their own for bodies whose length is not declared.

sub chunked_82 {
    my ($path, @pieces) = @_;
    return $t->request(port => 82, method => 'POST', path => $path,
        chunked => \@pieces);
}

is(chunked_82('/', 'x' x 10)->status, 200,
    'client_max_chunked_body_size, exactly');
is(chunked_82('/', 'x' x 4, 'x' x 7)->status, 413, 'one more');
is(post('/', 'x' x 11, port => 82)->status, 200,
    'what says its length has the other limit');
is(chunked_82('/less/', 'x' x 6)->body, 'x' x 6, 'which may be less');
is(post('/less/', 'x' x 6, port => 82)->status, 413, 'and holds by itself');
is(length chunked_82('/more/', ('x' x 65_536) x 32)->body, 2_097_152,
    'a location may allow more than the server');
is(chunked_82('/more/', ('x' x 65_536) x 32, 'x')->status, 413,
    'and ends the request while it is passed on');
is(length chunked_82('/any/', ('x' x 65_536) x 32, 'x')->body, 2_097_153,
    'no limit');
is(chunked_82('/none', 'x' x 11)->status, 200,
    'an answer that does not wait for the body');

# Expect.

sub expecting {
    my ($path, $length, %o) = @_;
    my $c = $t->connect;
    $c->write("POST $path HTTP/1.1\r\nHost: a\r\n"
        . "Content-Length: $length\r\nExpect: 100-continue\r\n\r\n");
    return $c;
}

my $c = expecting('/', 4);
is($c->read_response(interim => 1)->status, 100, '100 Continue');
$c->write('body');
is($c->read_response->body, 'body', 'and the body follows');
$c = expecting('/small/', 11);
is($c->read_response(interim => 1)->status, 413,
    'no 100 before a refusal');
$c = $t->connect;
$c->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
    . "Expect: 100-continue\r\n\r\nbody");
is($c->read_response->body, 'body', 'a body that did not wait');

# A body that stops.

$c = $t->connect(81);
$c->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
is($c->read_response(timeout => 5)->status, 408,
    'client_body_timeout of the server ends the request');
ok($c->eof(5), 'and the connection');
$c = $t->connect;
$c->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
$before = $u->requests;
$c->close;
is($t->get('/none')->status, 200, 'a client that leaves harms nobody');
is($u->requests, $before, 'and half a body reaches nobody');
