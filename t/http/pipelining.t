#!/usr/bin/perl

# Requests that do not wait for the answers before them.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(28);
my $u = $t->upstream(a => routes =>
        { '/gated' => Test::Veil::Upstream::gated('go') });
$t->config(<<'EOC');
http {
    keepalive_requests 10000;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location /n { return 200 "$args\n"; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /403 { return 403; }
    }
}
EOC
$t->write_file('html/small', 'small');
$t->write_file('html/big', 'b' x 700_000);
$t->run;

sub get { return "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" }

# Many at once, in whatever pieces they arrive.

my $all = join '', map { get("/n?$_") } 1 .. 100;
for my $size (length $all, 1, 7, 39, 40, 1000, 1460) {
    my $c = $t->connect;
    $c->write_slowly($all, $size);
    my @got = map { $c->read_response->body } 1 .. 100;
    is(join('', @got), join('', map {"$_\n"} 1 .. 100),
        "100 requests in pieces of $size");
    $c->close;
}

# Enough to fill every buffer on the way before an answer is read.

my $c = $t->connect(80, rcvbuf => 8192);
my $many = 5000;
my $pid = Test::Veil::Guard::child(
    sub { $c->write(join('', map { get("/n?$_") } 1 .. $many), 100); 0 });
my $right = 0;
for my $i (1 .. $many) {
    my $r = $c->read_response;
    last if $r->body ne "$i\n";
    $right++;
}
Test::Veil::Guard::reap($pid);
is($right, $many, "$many requests, answered in order");

# Different ones in a row.

$c = $t->connect;
$c->write(get('/small') . get('/big') . get('/n?a') . get('/missing')
        . "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"
        . "POST /n?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345"
        . "POST /n?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "3\r\nabc\r\n0\r\n\r\n"
        . get('/u/x') . get('/small'));
is($c->read_response->body, 'small', 'a file');
is(length $c->read_response->body, 700_000, 'a large file');
is($c->read_response->body, "a\n", 'a text');
is($c->read_response->status, 404, 'an error');
is($c->read_response(method => 'HEAD')->header('Content-Length'), 700_000,
    'a HEAD');
is($c->read_response->body, "b\n", 'after a body');
is($c->read_response->body, "c\n", 'after a chunked body');
like($c->read_response->body, qr{^GET /x }, 'a proxied one');
is($c->read_response->body, 'small', 'and the last');
ok($c->silent(0.05), 'no more than that');

# An answer that takes its time holds up those behind it, in order.

$c = $t->connect;
$c->write(get('/u/gated') . get('/n?after'));
ok($u->wait_note(qr/waiting/), 'the first is at the backend');
ok($c->silent(0.1), 'the second waits for it');
$u->release('go');
like($c->read_response->body, qr{^GET /gated }, 'the first comes first');
is($c->read_response->body, "after\n", 'then the second');

# After the last request of a connection nothing is answered.

my $out = $t->raw(
    get('/n?1') . "GET /n?2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        . get('/n?3'));
is(() = $out =~ m{HTTP/1\.1 200}g, 2, 'Connection: close ends the row');
unlike($out, qr/^3$/m, 'what follows is not answered');

$out = $t->raw(get('/n?1') . "nonsense\r\n\r\n" . get('/n?3'));
like($out, qr{ 200 .* 400 }s, 'a malformed request is answered');
unlike($out, qr/^3$/m, 'and ends the row');

$out = $t->raw(get('/n?1') . get('/n?2'), shutdown => 1);
is(() = $out =~ m{HTTP/1\.1 200}g, 2, 'answers after a half-close');

# A client that leaves in the middle.

for my $i (1 .. 5) {
    $c = $t->connect;
    $c->write(get('/big') x 20);
    $c->read_bytes(1000);
    $i % 2 ? $c->close : $c->abort;
}
is($t->get('/n?x')->body, "x\n", 'the server goes on');
