#!/usr/bin/perl

# Header fields on their way, in both directions.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $files = $t->testdir;
my $u = $t->upstream(a => routes => {
    '/hop' => Test::Veil::Upstream::bytes("HTTP/1.1 200 OK\r\n"
        . "Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: x\r\n"
        . "Proxy-Connection: x\r\nTE: x\r\nX-Kept: 1\r\n"
        . "Content-Length: 2\r\n\r\nok"),
    '/fields' => Test::Veil::Upstream::reply(body => 'x', headers => [
        'X-Hidden' => 1, 'X-Shown' => 2, Date => 'now', Server => 'theirs',
        'X-Accel-Expires' => 5, 'Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2',
        'Content-Type' => 'text/x-odd; charset=koi8-r',
        'ETag' => '"tag"', 'Last-Modified' => 'Sun, 06 Nov 1994 08:49:37 GMT',
    ]),
    '/cookies' => Test::Veil::Upstream::reply(body => 'x', headers => [
        'Set-Cookie' => 'one=1; Path=/two/; Domain=back.example; Secure',
        'Set-Cookie' => 'two=2; path=/two/x; domain=.back.example',
        'Set-Cookie' => 'three=3; Path=/other; HttpOnly',
    ]),
    '/redirect' => sub {
        my ($conn, $req) = @_;
        my ($to) = $req->{query} =~ /to=(.*)/;
        $conn->reply(status => 302, body => '',
            headers => [ Location => $to ]);
    },
    '/refresh' => Test::Veil::Upstream::reply(body => '', headers => [
        Refresh => '5; url=http://back.example/two/z' ]),
    '/accel' => Test::Veil::Upstream::reply(body => 'theirs', headers => [
        'X-Accel-Redirect' => '/internal/file?x=1', 'Set-Cookie' => 'c=1',
        'X-Lost' => 1 ]),
    '/named' => Test::Veil::Upstream::reply(body => 'theirs', headers => [
        'X-Accel-Redirect' => '@named' ]),
    '/404' => Test::Veil::Upstream::reply(status => 404, body => 'theirs'),
    '/401' => Test::Veil::Upstream::reply(status => 401, body => 'theirs',
        headers => [ 'WWW-Authenticate' => 'Basic realm="x"' ]),
    '/trailers' => Test::Veil::Upstream::chunked([ 'a', 'b' ],
        [ 'X-Sum' => 'ab' ]),
    '/hints' => Test::Veil::Upstream::interim(103,
        [ Link => '</x.css>; rel=preload' ],
        Test::Veil::Upstream::reply(body => 'after')),
    '/continue' => Test::Veil::Upstream::interim(100, [],
        Test::Veil::Upstream::reply(body => 'after')),
});

$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        location / { proxy_pass http://%%UPSTREAM_a%%; proxy_http_version 1.1; }
        location /set/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Proxy "$proxy_host $proxy_port";
            proxy_set_header Accept "";
            proxy_set_header X-Empty "";
            location /set/inner/ {
                proxy_pass http://%%UPSTREAM_a%%/;
                proxy_http_version 1.1;
            }
            location /set/other/ {
                proxy_pass http://%%UPSTREAM_a%%/;
                proxy_http_version 1.1;
                proxy_set_header X-Only here;
            }
        }
        location /hide/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_hide_header X-Hidden;
            proxy_pass_header Server;
            proxy_pass_header X-Accel-Expires;
        }
        location /cookie/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_cookie_domain back.example front.example;
            proxy_cookie_path ~^/two(/.*)$ /one$1;
            proxy_cookie_flags one nosecure httponly samesite=strict;
            proxy_cookie_flags ~three nohttponly;
        }
        location /two/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_redirect http://back.example/two/ /one/;
            proxy_redirect ~*^https://(\w+)\.example/(.*)$ http://$1.front/$2;
        }
        location /default/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /off/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_redirect off;
        }
        location /none/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_pass_request_headers off;
            proxy_pass_request_body off;
            proxy_method PUT;
        }
        location /body/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_set_body "made of $uri";
        }
        location /catch/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_intercept_errors on;
            error_page 404 /caught;
            error_page 401 /caught;
        }
        location /ignore/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_ignore_headers X-Accel-Redirect;
        }
        location /old/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_http_version 1.0;
        }
        location = /caught { return 200 "caught\n"; }
        location /internal/ { internal; return 200 "$uri $args\n"; }
        location @named { return 200 "named\n"; }
    }
}
EOC
$t->run;

# To the upstream.

my $port = $u->port;
my $r = $t->get('/echo?q', headers => [
    'X-Custom' => 'a', 'Connection' => 'X-Drop, close', 'X-Drop' => 'b',
    'Keep-Alive' => 'c', 'TE' => 'trailers', 'Proxy-Connection' => 'd',
    'Cookie' => 'x=y' ])->body;
like($r, qr{^GET /echo\?q HTTP/1\.1\n}, 'request line');
like($r, qr{^Host: 127\.0\.0\.1:$port$}m, 'Host is the upstream');
like($r, qr{^X-Custom: a$}m, 'a field of the client');
like($r, qr{^Cookie: x=y$}m, 'its cookies');
unlike($r, qr{^Keep-Alive:|^TE:}mi, 'not those of its connection');
if (!$t->is_nginx) {
    unlike($r, qr{^(X-Drop|Proxy-Connection|Connection):}mi,
        'nor those Connection names');
}

$r = $t->get('/set/x', headers => [ 'X-Forwarded-For' => '1.2.3.4',
    'X-Real-IP' => '6.6.6.6', 'Host' => 'front.example',
    'X-Empty' => 'client' ])->body;
like($r, qr{^Host: front\.example$}m, 'Host as set');
like($r, qr{^X-Real-IP: 127\.0\.0\.1$}m, 'a field of the client is replaced');
is(() = $r =~ /X-Real-IP/gi, 1, 'not doubled');
like($r, qr{^X-Forwarded-For: 1\.2\.3\.4, 127\.0\.0\.1$}m,
    '$proxy_add_x_forwarded_for');
like($r, qr{^X-Proxy: 127\.0\.0\.1:$port $port$}m, '$proxy_host, $proxy_port');
unlike($r, qr{^Accept:|^X-Empty:}m, 'an empty value removes');
like($t->get('/set/inner/x')->body, qr{^X-Real-IP: 127}m, 'inherited');
$r = $t->get('/set/other/x')->body;
like($r, qr{^X-Only: here$}m, 'a list of its own');
unlike($r, qr{^X-Real-IP:}m, 'replaces the inherited one');

$r = $t->post('/none/x', 'body', headers => [ 'X-Custom' => 'a' ])->body;
like($r, qr{^PUT /x }, 'proxy_method');
unlike($r, qr{X-Custom|body}, 'neither fields nor body');
$r = $t->post('/body/x', 'body')->body;
like($r, qr{\n\nmade of /body/x$}, 'proxy_set_body');
like($r, qr{^Content-Length: 15$}m, 'with its length');
$r = $t->post('/old/x', 'body')->body;
like($r, qr{^POST /x HTTP/1\.0\n}, 'proxy_http_version 1.0');
like($r, qr{^Connection: close$}m, 'closes');
unlike($t->post('/echo', 'b', headers => [ Expect => '100-continue' ])->body,
    qr/^Expect:/m, 'Expect is ours');

# From the upstream.

$r = $t->get('/hop');
is($r->header('X-Kept'), 1, 'a field of the upstream');
is($r->header($_), undef, "not $_")
    for 'Proxy-Connection', 'TE', $t->is_nginx ? () : 'X-Secret';

$r = $t->get('/fields');
is($r->header('X-Shown'), 2, 'fields are passed on');
isnt($r->header('Server'), 'theirs', 'not Server');
isnt($r->header('Date'), 'now', 'not Date');
is($r->header('X-Accel-Expires'), undef, 'not X-Accel-Expires');
is(join(' ', $r->headers_all('Set-Cookie')), 'a=1 b=2', 'each Set-Cookie');
is($r->header('Content-Type'), 'text/x-odd; charset=koi8-r', 'Content-Type');
is($r->header('ETag'), '"tag"', 'ETag');
is($r->header('Last-Modified'), 'Sun, 06 Nov 1994 08:49:37 GMT',
    'Last-Modified');
is($t->get('/fields', headers => [ 'If-None-Match' => '"tag"' ])->status, 200,
    'conditions are the upstream\'s affair');

$r = $t->get('/hide/fields');
is($r->header('X-Hidden'), undef, 'proxy_hide_header');
is($r->header('Server'), 'theirs', 'proxy_pass_header');
is(scalar $r->headers_all('Server'), 1, 'once');
is($r->header('X-Accel-Expires'), 5, 'of an X-Accel field, too');

my @c = $t->get('/cookie/cookies')->headers_all('Set-Cookie');
like($c[0], qr{^one=1; Path=/one/; Domain=front\.example}, 'cookie');
unlike($c[0], qr/Secure/, 'nosecure');
like($c[0], qr/; HttpOnly.*; SameSite=Strict/, 'flags');
like($c[1], qr{path=/one/x; domain=\.front\.example$}, 'the next one');
is($c[2], 'three=3; Path=/other', 'the last one');

# Location.

sub location { return $t->get($_[0])->header('Location') }
my $own = 'http://localhost:' . $t->port(80);
my $back = 'http://127.0.0.1:' . $port;

is(location('/two/redirect?to=http://back.example/two/a?b'), "$own/one/a?b",
    'proxy_redirect');
is(location('/two/redirect?to=https://x.example/a'), 'http://x.front/a',
    'by regex');
is(location('/two/redirect?to=http://other/a'), 'http://other/a',
    'another one stays');
is($t->get('/two/refresh')->header('Refresh'), '5; url=/one/z', 'Refresh');
is(location("/default/redirect?to=$back/a"), "$own/default/a", 'default');
is(location("/off/redirect?to=$back/a"), "$back/a", 'off');
is(location('/default/redirect?to=/rel'), '/rel', 'a relative one stays');

# Other ways.

$r = $t->get('/accel');
is($r->body, "/internal/file x=1\n", 'X-Accel-Redirect');
is($r->header('Set-Cookie'), 'c=1', 'keeps cookies');
is($r->header('X-Lost'), undef, 'and little else');
is($t->get('/named')->body, "named\n", 'to a named location');
$r = $t->get('/ignore/accel');
is($r->body, 'theirs', 'proxy_ignore_headers');
is($t->get('/catch/404')->body, "caught\n", 'proxy_intercept_errors');
is($t->get('/catch/404')->status, 404, 'the status stays');
is($t->get('/catch/401')->header('WWW-Authenticate'), 'Basic realm="x"',
    'so does the challenge');
is($t->get('/404')->body, 'theirs', 'not by default');
$r = $t->get('/trailers');
is($r->body, 'ab', 'a body with trailers');
is($r->trailer('X-Sum'), undef, 'which are not passed on by default');
is($t->get('/continue')->body, 'after', '100 is dropped');
$r = $t->get('/hints');
is($r->body, 'after', '103 is not in the way');
is(scalar $r->informational, 0, 'nor passed on by default');

done_testing;
