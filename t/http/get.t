#!/usr/bin/perl

# A GET from the first byte to the last: status line, headers, body.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(42)->config(<<'EOC');
http {
    default_type text/plain;
    types { text/html html; }

    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;

        location /text { return 200 "some text\n"; }
        location /empty { return 204; }
        location /gone { return 410; }
        location /there { return 301 /here?x=1; }
        location /found { return 302 http://example.com/; }
        location /uri { return 200 "$request_method $uri $args $request_uri"; }
    }
    server {
        listen %%PORT_81%%;
        server_tokens off;
        return 404;
    }
}
EOC
$t->write_file('html/a.txt', "file a\n");
$t->write_file('html/b.html', "<p>b</p>\n");
$t->write_file('html/none', '');
$t->write_file('html/sp ace', 'space');
$t->write_file('html/dir/index.html', 'index');
$t->write_file('html/big', join '', map { sprintf "%07d\n", $_ } 0 .. 99_999);
$t->run;

# What return makes.

my $r = $t->get('/text');
like($r, qr{^HTTP/1\.1 200 OK\r\n}, 'status line');
is($r->body, "some text\n", 'body');
is($r->header('Content-Length'), 10, 'Content-Length');
is($r->header('Content-Type'), 'text/plain', 'Content-Type');
is($r->header('Connection'), 'close', 'Connection: close, as asked for');
like($r->header('Date'), qr/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),\ \d\d
    \ [A-Z][a-z]{2}\ \d{4}\ \d\d:\d\d:\d\d\ GMT$/x, 'Date');
ok(defined $r->header('Server'), 'Server');
ok($r->complete, 'well formed');

$r = $t->get('/empty');
is($r->status, 204, 'status 204');
is($r->header('Content-Length'), undef, '204 has no Content-Length');
is($r->header('Transfer-Encoding'), undef, 'nor a coding');

$r = $t->get('/gone');
like($r, qr{^HTTP/1\.1 410 Gone\r\n}, 'status 410');
like($r->body, qr/410 Gone/, 'an error page says what it is');
is($r->header('Content-Type'), 'text/html', 'and is HTML');
is($r->header('Content-Length'), length $r->body, 'of known length');

$r = $t->get('/there');
is($r->status, 301, 'status 301');
is($r->header('Location'),
    'http://localhost:' . $t->port(80) . '/here?x=1',
    'Location of a path is made absolute');
is($t->get('/found')->header('Location'), 'http://example.com/',
    'Location of a URL stays');
unlike($t->get('/', port => 81), qr/\d\.\d+\.\d/, 'server_tokens off');

# The request line.

is($t->get('/uri/a%20b?c=%20')->body, 'GET /uri/a b c=%20 /uri/a%20b?c=%20',
    'the path is decoded, arguments are not');
is($t->get('/x/../uri/./a//b')->body,
    'GET /uri/a/b  /x/../uri/./a//b', 'dots and slashes are resolved');
is($t->get('/uri?')->body, 'GET /uri  /uri?', 'an empty query');
is($t->get("http://localhost/uri/abs?q")->body,
    'GET /uri/abs q /uri/abs?q', 'absolute form');
like($t->raw("GET /text HTTP/1.0\r\n\r\n"), qr/ 200 .*some text\n\z/s,
    'HTTP/1.0 without Host');
like($t->raw("\r\nGET /text HTTP/1.0\r\n\r\n"), qr/ 200 /,
    'an empty line before the request');
is($t->get('/text', bytewise => 1)->body, "some text\n", 'byte by byte');

# Files.

$r = $t->get('/a.txt');
is($r->body, "file a\n", 'a file');
is($r->header('Content-Length'), 7, 'its length');
like($r->header('Last-Modified'), qr/ GMT$/, 'Last-Modified');
like($r->header('ETag'), qr/^"[0-9a-f]+-[0-9a-f]+"$/, 'ETag');
is($r->header('Accept-Ranges'), 'bytes', 'Accept-Ranges');
is($t->get('/b.html')->header('Content-Type'), 'text/html', 'type by name');
$r = $t->get('/none');
is($r->status . ' ' . $r->header('Content-Length'), '200 0', 'an empty file');
is($t->get('/sp%20ace')->body, 'space', 'an escaped name');
is($t->get('/dir/')->body, 'index', 'index');
$r = $t->get('/dir');
is($r->status, 301, 'a directory without its slash');
is($r->header('Location'), 'http://localhost:' . $t->port(80) . '/dir/',
    'is redirected');
$r = $t->get('/big');
is($r->body, $t->read_file('html/big'), 'a large file');

is($t->get('/none/such')->status, 404, 'no such directory');
is($t->get('/nothing')->status, 404, 'no such file');
is($t->get('/..%2fveil.conf')->status, 400, 'no way out of the root');
is($t->post('/a.txt', 'x')->status, 405, 'a file cannot be posted to');
