#!/usr/bin/perl

# When a connection stays, and when it does not.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(41)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;

        location /id { return 200 "$connection $connection_requests"; }
        location /off { keepalive_timeout 0; return 200 off; }
        location /header { keepalive_timeout 60s 7s; return 200 header; }
        location /403 { return 403; }
        location /444 { return 444; }
    }
    server {
        listen %%PORT_81%%;
        keepalive_requests 3;
        location / { return 200 "$connection_requests"; }
    }
    server {
        listen %%PORT_82%%;
        keepalive_timeout 200ms;
        location / { return 200 short; }
    }
    server {
        listen %%PORT_83%%;
        keepalive_disable none;
        keepalive_time 300ms;
        location / { return 200 aged; }
    }
}
EOC
$t->write_file('html/file', 'a file');
$t->run;

# Staying is the rule of HTTP/1.1.

my $c = $t->connect;
my $r = $c->get('/id');
my ($id, $n) = split / /, $r->body;
is($n, 1, 'first request of a connection');
is($r->header('Connection'), 'keep-alive', 'it is told to stay');
is($c->get('/id')->body, "$id 2", 'second');
is($c->get('/file')->body, 'a file', 'a file');
is($c->get('/file')->body, 'a file', 'and again');
is($c->get('/403')->status, 403, 'an error');
is($c->get('/missing')->status, 404, 'another error');
is($c->get('/id')->body, "$id 7", 'still the same connection');
ok($c->silent(0.05), 'open and silent');
$r = $c->get('/id', headers => [ Connection => 'close' ]);
is($r->header('Connection'), 'close', 'close when asked for');
ok($c->eof, 'closed then');

$c = $t->connect;
$r = $c->get('/id', headers => [ Connection => 'Close' ]);
is($r->header('Connection'), 'close', 'in any case of letters');
ok($c->eof, 'closed as well');

isnt((split / /, $t->get('/id')->body)[0], $id, 'another connection');

# HTTP/1.0 has to ask.

$c = $t->connect;
$c->write("GET /id HTTP/1.0\r\n\r\n");
$r = $c->read_response;
is($r->header('Connection'), 'close', '1.0 closes');
ok($c->eof, 'closed');

$c = $t->connect;
$r = $c->get('/id', version => '1.0');
is($r->header('Connection'), 'keep-alive', '1.0 stays when it asks');
is($c->get('/id', version => '1.0')->status, 200, 'and is served again');

# What the configuration says.

$c = $t->connect;
$r = $c->get('/off');
is($r->header('Connection'), 'close', 'keepalive_timeout 0');
ok($c->eof, 'closed');

$r = $t->connect->get('/header');
is($r->header('Keep-Alive'), 'timeout=7', 'the second parameter is a header');
is($t->connect->get('/id')->header('Keep-Alive'), undef, 'none without it');

$c = $t->connect(81);
is($c->get('/')->body, 1, 'keepalive_requests, first');
is($c->get('/')->header('Connection'), 'keep-alive', 'second');
$r = $c->get('/');
is($r->body, 3, 'last');
is($r->header('Connection'), 'close', 'which says so');
ok($c->eof, 'closed');

$c = $t->connect(82);
is($c->get('/')->body, 'short', 'keepalive_timeout');
ok($c->eof(5), 'closed when it is over');
$c = $t->connect;
is($c->get('/id')->status, 200, 'a longer one');
ok($c->silent(0.5), 'is open meanwhile');

# The first answer may be late itself, on a busy machine.
for (1 .. 50) {
    $c = $t->connect(83);
    last if $c->get('/')->header('Connection') eq 'keep-alive';
}
ok($c->silent(0.4), 'keepalive_time does not close an idle connection');
is($c->get('/')->header('Connection'), 'close', 'but the next answer does');

# A body nobody reads must not become the next request.

$c = $t->connect;
my $body = "GET /id HTTP/1.1\r\nHost: smuggled\r\n\r\n" x 50;
$r = $c->request(method => 'POST', path => '/id', body => $body);
$id = (split / /, $r->body)[0];
is($c->get('/id')->body, "$id 2", 'a body is skipped');
$c->request(method => 'POST', path => '/403', chunked => [ ($body) x 4 ]);
is($c->get('/id')->body, "$id 4", 'a chunked body, too');
$c->request(method => 'POST', path => '/id', body => $body, bytewise => 1);
is($c->get('/id')->body, "$id 6", 'in pieces, too');
ok($c->silent(0.05), 'and nothing else is answered');

# 444 closes without a byte.

$c = $t->connect;
$c->send_request(path => '/444');
is($c->read_all, '', '444 says nothing');

# A connection that is closed without a word is no error.

$c = $t->connect;
$c->get('/id');
$c->close;
$c = $t->connect;
$c->close;
$c = $t->connect;
$c->get('/id');
$c->abort;
like($t->get('/id'), qr/ 200 /, 'clients that leave harm nobody');
unlike($t->log, qr/\[(?:error|crit)\](?!.*missing)/, 'nor are they logged');

# Idle connections do not hold up the end.

$c = $t->connect;
$c->get('/id');
$t->stop;
ok($c->eof, 'idle connections are closed at the end');
