#!/usr/bin/perl

# error_page, redirects and refusals, as nginx has them.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->config(<<'EOC');
http {
    default_type text/plain;
    server {
        listen %%PORT_80%%;
        server_name localhost;

        error_page 404 /page;
        error_page 400 414 405 /refused;
        location = /page { return 200 "page of $request_uri"; }
        location = /refused { return 200 "refused"; }
        location /text { return 200 "$uri"; }
        location /c404 { return 404; }
        location /own { error_page 404 /own-page; return 404; }
        location = /own-page { return 200 "own"; }
        location /ok { error_page 404 =200 /page; return 404; }
        location /teapot { error_page 404 =418 /page; return 404; }
        location /target { error_page 404 = /teapot-page; return 404; }
        location /teapot-page { return 201 "made"; }
        location /named { error_page 403 @named; return 403; }
        location /named-is { error_page 403 = @named; return 403; }
        location /named-203 { error_page 403 =203 @named; return 403; }
        location @named { return 202 "named $uri"; }
        location /missing { error_page 403 @nowhere; return 403; }
        location /absolute { error_page 403 http://example.com/x; return 403; }
        location /moved { error_page 403 =301 http://example.com/x; return 403; }
        location /vars { error_page 403 /text/$arg_a; return 403; }
        location /query { error_page 403 /args?b=2; return 403; }
        location /args { return 200 "args $args"; }
        location /once { error_page 403 /once-b; return 403; }
        location /once-b { error_page 404 /page; return 404; }
        location /many {
            recursive_error_pages on;
            error_page 403 /many-b;
            return 403;
        }
        location /many-b {
            recursive_error_pages on;
            error_page 404 /page;
            return 404;
        }
        location /loop {
            recursive_error_pages on;
            error_page 403 /loop;
            return 403;
        }
        location /method { error_page 403 /method-page; return 403; }
        location /method-page { return 200 "$request_method"; }
        location /method-named { error_page 403 @method; return 403; }
        location @method { return 200 "$request_method"; }
        location /redirect { return 302 /there; }
        location /page302 { error_page 302 /page; return 302 /there; }
        location /internal { internal; return 200 "internal"; }
        location /to-internal { error_page 403 = /internal; return 403; }
        location /drop { return 444; }
        location /split { return 200 "x"; add_header X-A "a$arg_a"; }
    }
    server {
        listen %%PORT_81%%;
        location / { return 404; }
    }
}
EOC
$t->run;

# path, status, what the body is like
for my $case (
    [ '/text', 200, qr{^/text$} ],
    [ '/c404', 404, qr{^page of /c404$} ],
    [ '/own', 404, qr{^own$} ],
    [ '/ok', 200, qr{^page of} ],
    [ '/teapot', 418, qr{^page of} ],
    [ '/target', 201, qr{^made$} ],
    [ '/named', 403, qr{^named /named$} ],
    [ '/named-is', 202, qr{^named /named-is$} ],
    [ '/named-203', 203, qr{^named} ],
    [ '/missing', 500, qr{500} ],
    [ '/vars?a=1', 403, qr{^/text/1$} ],
    [ '/query', 403, qr{^args b=2$} ],
    [ '/once', 404, qr{<h1>} ],
    [ '/many', 404, qr{^page of} ],
    [ '/internal', 404, qr{^page of} ],
    [ '/to-internal', 200, qr{^internal$} ],
    [ '/page302', 302, qr{^page of} ],
) {
    my ($path, $status, $like) = @$case;
    for my $method (qw/GET HEAD/) {
        my $r = $t->request(method => $method, path => $path);
        is($r->status, $status, "$method $path");
        ok($r->complete, '... well formed');
        if ($method eq 'GET') {
            $t->is_nginx || like($r->body, $like, '... its page');
        } else {
            is($r->body, '', '... no body');
        }
    }
}
is($t->get('/loop')->status, 500, 'a cycle ends') unless $t->is_nginx;

my $r = $t->get('/absolute');
is($r->status, 302, 'a page elsewhere');
is($r->header('Location'), 'http://example.com/x', '... is a redirect');
is($t->get('/moved')->status, 301, '... of the kind asked for');
$r = $t->get('/redirect');
is($r->status, 302, 'a redirect');
is($r->header('Location'), 'http://localhost:' . $t->port(80) . '/there',
    '... is absolute');

is($t->post('/method', 'a body')->body, 'GET', 'a page is got');
is($t->post('/method-named', 'a body')->body, 'POST', 'a named one is not');

# Refused before there is a location: its page all the same.

for my $case ([ "GET /text HTTP/1.1\r\n\r\n", 400 ],
    [ "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400 ],
    [ "GET /../.. HTTP/1.1\r\nHost: a\r\n\r\n", 400 ],
    [ "TRACE /text HTTP/1.1\r\nHost: a\r\n\r\n", 405 ])
{
    my ($bytes, $status) = @$case;
    my $mark = $t->log_mark;
    my $got = $t->raw($bytes);
    like($got, qr{^HTTP/1\.1 $status }, "refused with $status");
    ok($t->wait_for_log(qr/client sent/, from => $mark), '... and logged')
        unless $t->is_nginx;
}

# Keep-alive after errors.

my $c = $t->connect;
for my $path ('/c404', '/named', '/no/such', '/text') {
    $r = $c->get($path);
    ok($r->complete, "$path on one connection");
}

is($t->raw("GET /drop HTTP/1.1\r\nHost: a\r\n\r\n"), '', '444 says nothing');

# Nothing in a value ends a line.

$r = $t->get('/split?a=%0d%0aX-Evil:1');
is($r->header('X-Evil'), undef, 'no line is split');
ok($r->complete, '... well formed');

# OPTIONS *, versions, Upgrade that nobody wants.

like($t->raw("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    qr{^HTTP/1\.1 \d\d\d }, 'OPTIONS * is answered');
like($t->raw("GET /text HTTP/1.0\r\n\r\n"),
    qr{^HTTP/1\.1 200 .*Connection: close}s, 'HTTP/1.0');
$c = $t->connect;
$c->write("GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
$r = $c->read_response;
is($r->header('Connection'), 'keep-alive', 'HTTP/1.0 that stays');
$c->write("GET /text HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
    . "Upgrade: websocket\r\n\r\n");
is($c->read_response->status, 200, 'an upgrade nobody wants is none');
is($c->get('/text')->body, '/text', '... and the connection goes on');

done_testing;
