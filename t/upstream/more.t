#!/usr/bin/perl

# Proxying, the rarer directives: where to and from where, how it is asked,
# what an answer may order, how often it is tried.

use strict;
use warnings;
use lib 't/lib';
use Time::HiRes qw/time/;
use Test::Veil;

my $t = Test::Veil->new;

sub reply { return Test::Veil::Upstream::reply(@_) }

my %routes = (
    '/peer' => sub {
        my ($conn) = @_;
        $conn->reply(body => $conn->socket->peerhost);
    },
    '/trailers' => sub {
        my ($conn, $req) = @_;
        $conn->reply(chunks => ['body'],
            trailers => [ 'X-Sum' => '42', 'Content-Length' => '9' ]);
    },
    '/late-trailers' => Test::Veil::Upstream::drip(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "4\r\nbody\r\n0\r\nX-Sum: 43\r\n\r\n"),
    '/asked' => sub {
        my ($conn, $req) = @_;
        my @t = map {"$_->[0]=$_->[1]"} @{ $req->{trailers} };
        $conn->reply(body => join "\n", $req->{body}, @t, 'end');
    },
    '/accel' => reply(status => 404, body => 'from the backend', headers => [
        'X-Accel-Redirect' => '/inside/page?x=1',
        'Content-Type' => 'text/x-own', 'Set-Cookie' => 'a=b',
        'X-Other' => 'lost', 'Cache-Control' => 'max-age=5' ]),
    '/named' => reply(headers => [ 'X-Accel-Redirect' => '@named' ]),
    '/broken' => reply(headers => [ 'X-Accel-Redirect' => 'http://[' ]),
    '/buffering' => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\n"
            . "Content-Length: 10\r\n\r\nfirst");
        $conn->wait('go');
        $conn->write('again');
    },
    '/rate' => reply(body => 'r' x 20_000,
        headers => [ 'X-Accel-Limit-Rate' => 10_000 ]),
    # A quarter of a minute, if it counts.
    '/snail' => reply(body => 'r' x 16_000,
        headers => [ 'X-Accel-Limit-Rate' => 1000 ]),
    '/charset' => reply(body => 'c', headers => [
        'Content-Type' => 'text/plain', 'X-Accel-Charset' => 'koi8-r' ]),
    '/ranged' => reply(body => '0123456789'),
    '/ranges' => reply(body => '0123456789',
        headers => [ 'Accept-Ranges' => 'bytes' ]),
    '/big' => reply(body => 'b' x 60_000),
    '/404' => reply(status => 404, body => 'its own'),
    '/401' => reply(status => 401, body => 'who',
        headers => [ 'WWW-Authenticate' => 'Basic realm="x"' ]),
    '/503' => reply(status => 503, body => 'its own', headers => []),
    '/gate' => Test::Veil::Upstream::gated('hold', reply(body => 'passed')),
    '/gate2' => Test::Veil::Upstream::gated('hold2', reply(body => 'passed')),
    '/never' => Test::Veil::Upstream::never(),
    '/500' => reply(status => 500, body => 'five hundred'),
);

my $sock = $t->testdir . '/backend.sock';
my $u = $t->upstream(a => gates => [qw/hold hold2/], routes => \%routes);
my $local = $t->upstream(unix => unix => $sock);
my @bad = map {
    $t->upstream("bad$_" => routes => {
        '/never' => $routes{'/never'},
        '/500' => $routes{'/500'},
    }, handler => Test::Veil::Upstream::close_now())
} 1 .. 3;
$t->upstream(refused => start => 0);

$t->config(<<'EOC');
http {
    log_format up '$uri|$upstream_addr|$upstream_status|'
        '$upstream_response_length|$upstream_connect_time|'
        '$upstream_header_time|$upstream_response_time|'
        '$upstream_bytes_received';
    access_log %%TESTDIR%%/up.log up;

    upstream local { server unix:%%TESTDIR%%/backend.sock; }
    upstream one {
        server %%UPSTREAM_a%% max_conns=1;
    }
    upstream spill {
        server %%UPSTREAM_a%% max_conns=1;
        server %%UPSTREAM_unix%% backup;
    }
    upstream all {
        server %%UPSTREAM_bad1%% max_fails=0;
        server %%UPSTREAM_bad2%% max_fails=0;
        server %%UPSTREAM_bad3%% max_fails=0;
        server %%UPSTREAM_a%% backup;
    }
    upstream mixed {
        server %%UPSTREAM_refused%% max_fails=0;
        server %%UPSTREAM_a%% backup;
    }

    server {
        listen %%PORT_80%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location /unix/ {
            proxy_pass http://unix:%%TESTDIR%%/backend.sock:/uri/;
        }
        location /local/ { proxy_pass http://local/x/; }
        location /varunix/ {
            set $where unix:%%TESTDIR%%/backend.sock;
            proxy_pass http://$where:/var/;
        }
        location /plain/ {
            proxy_set_header X-Seen "$proxy_host $proxy_port";
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /bind/ {
            proxy_bind 127.0.0.2;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /bindvar/ {
            proxy_bind $arg_from;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /v10/ {
            proxy_http_version 1.0;
            proxy_set_header Connection close;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /method/ {
            proxy_method PUT;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /body/ {
            proxy_set_body "now $request_method";
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /nobody/ {
            proxy_pass_request_body off;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /trailers/ {
            proxy_pass_trailers on;
            proxy_set_header Connection "te";
            proxy_set_header TE "trailers";
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /reqtrailers/ {
            proxy_request_buffering off;
            proxy_pass_trailers on;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /force/ {
            proxy_force_ranges on;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /rate/ {
            proxy_limit_rate 30k;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /ignore/ {
            proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate
                X-Accel-Charset X-Accel-Buffering;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /inside/ {
            internal;
            return 200 "inside $uri $args";
        }
        location @named { return 200 "named"; }
        location /intercept/ {
            proxy_intercept_errors on;
            error_page 404 /sorry;
            error_page 401 /sorry;
            error_page 502 =200 /sorry;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location = /sorry { return 200 "sorry $status"; }
        location /one/ { proxy_pass http://one/; }
        location /spill/ { proxy_pass http://spill/; }
        location /all/ { proxy_pass http://all/; }
        location /all500/ {
            proxy_next_upstream error http_500;
            proxy_pass http://all/;
        }
        location /tries/ {
            proxy_next_upstream_tries 2;
            proxy_pass http://all/;
        }
        location /late/ {
            proxy_read_timeout 400ms;
            proxy_next_upstream_timeout 300ms;
            proxy_pass http://all/;
        }
        location /mixed/ { proxy_pass http://mixed/; }
    }
}
EOC
$t->run;

# Unix sockets.

is($t->get('/unix/a?b')->body =~ /^(GET [^\n]*)/ ? $1 : '',
    'GET /uri/a?b HTTP/1.1', 'unix: in proxy_pass, with a URI');
like($t->get('/unix/a')->body, qr/^Host: localhost$/m,
    'unix: the name of the host');
like($t->get('/local/a')->body, qr{^GET /x/a }, 'unix: in upstream {}');
like($t->get('/varunix/a')->body, qr{^GET /var/}, 'unix: in a variable');
is($t->post('/unix/', 'p' x 300_000)->body =~ /(p+)\z/ ? length $1 : 0,
    300_000, 'unix: a body');
$local->stop;
is($t->get('/unix/')->status, 502, 'unix: nobody there');
$local->start;
like($t->get('/unix/')->body, qr{^GET /uri/}, 'unix: there again');

# From where, and how.

is($t->get('/plain/peer')->body, '127.0.0.1', 'no proxy_bind');
is($t->get('/bind/peer')->body, '127.0.0.2', 'proxy_bind');
is($t->get('/bindvar/peer?from=127.0.0.3')->body, '127.0.0.3',
    'proxy_bind, a variable');
is($t->get('/bindvar/peer')->body, '127.0.0.1', 'proxy_bind, empty');

my $r = $t->get('/v10/x');
like($r->body, qr{^GET /x HTTP/1\.0$}m, 'proxy_http_version 1.0');
like($r->body, qr/^Connection: close$/m, '1.0: closed');
$r = $t->request(method => 'POST', path => '/v10/x',
    chunked => [qw/one two/]);
like($r->body, qr/^Content-Length: 6\n.*onetwo\z/ms,
    '1.0: a chunked body gets its length');
unlike($r->body, qr/Transfer-Encoding/i, '1.0: and is not chunked');
is($t->get('/v10/trailers')->body, 'body', '1.0: a chunked answer');

like($t->get('/method/x')->body, qr{^PUT /x }, 'proxy_method');
$r = $t->post('/body/x', 'then something else');
like($r->body, qr/\n\nnow POST\z/, 'proxy_set_body');
like($r->body, qr/^Content-Length: 8$/m, 'proxy_set_body: its length');
like($t->get('/body/x')->body, qr/\n\nnow GET\z/, 'also where was none');
$r = $t->request(method => 'POST', path => '/body/x', chunked => ['abc']);
like($r->body, qr/\n\nnow POST\z/, 'proxy_set_body: for a chunked one');
unlike($r->body, qr/Transfer-Encoding/i, 'which is not chunked then');
like($t->post('/nobody/x', 'gone')->body, qr/\n\n\z/,
    'proxy_pass_request_body off');

# Trailers.

$r = $t->get('/plain/trailers');
is($r->body, 'body', 'trailers: the body');
is($r->trailer('X-Sum'), undef, 'trailers: not by default');
$r = $t->get('/trailers/trailers', header => 'TE: trailers');
is($r->trailer('X-Sum'), '42', 'proxy_pass_trailers');
is($r->trailer('Content-Length'), undef, 'but no field that is framing');
$r = $t->get('/trailers/late-trailers', header => 'TE: trailers');
is($r->trailer('X-Sum'), '43', 'trailers behind a body that was buffered');
for my $at (qw/plain reqtrailers/) {
    $r = $t->request(method => 'POST', path => "/$at/asked",
        chunked => ['x'], trailers => [ 'X-Check' => 'ok' ]);
    like($r->body, qr/\Ax\n.*end\z/s, "$at: a request with trailers");
}

# Ranges.

is($t->get('/plain/ranged', header => 'Range: bytes=2-4')->status, 200,
    'a range, but the backend has none');
$r = $t->get('/force/ranged', header => 'Range: bytes=2-4');
is($r->status, 206, 'proxy_force_ranges');
is($r->body, '234', 'its bytes');

# The pace.

# A server that was stopped meanwhile takes that time for a part of the pace:
# then once more.

sub paced {
    my ($path, $length) = @_;
    my ($start, $got, $took);
    for (1 .. 5) {
        $start = time;
        $got = length $t->get($path)->body;
        $took = time - $start;
        last if $got != $length || $took > 0.8;
    }
    is($got, $length, "$path: all of it");
    cmp_ok($took, '>', 0.8, 'not at once');
    return;
}

paced('/rate/big', 60_000); # proxy_limit_rate

# What an answer may order.

$r = $t->get('/plain/accel');
is($r->body, 'inside /inside/page x=1', 'X-Accel-Redirect');
is($r->status, 200, 'the status is the other page\'s');
is($r->header('Set-Cookie'), 'a=b', 'a cookie survives');
is($r->header('X-Other'), undef, 'others do not');
is($r->header('X-Accel-Redirect'), undef, 'nor the order itself');
is($t->get('/plain/named')->body, 'named', 'X-Accel-Redirect to a name');
is($t->get('/inside/page')->status, 404, 'which is internal');
$r = $t->get('/ignore/accel');
is($r->body, 'from the backend', 'proxy_ignore_headers X-Accel-Redirect');
is($r->status, 404, 'with its status');

my $c = $t->connect;
$c->send_request(path => '/plain/buffering');
$c->read_until(qr/\r\n\r\n/);
is($c->read_bytes(5), 'first', 'X-Accel-Buffering: no');
$u->release('go', 1);
is($c->read_bytes(5), 'again', 'and the rest');
$c->close;

paced('/plain/rate', 20_000); # X-Accel-Limit-Rate
my $start = time;
is(length $t->get('/ignore/snail')->body, 16_000, 'X-Accel-Limit-Rate: off');
cmp_ok(time - $start, '<', 12, 'does not');

# Errors that are ours.

$r = $t->get('/intercept/404');
is($r->body, 'sorry 404', 'proxy_intercept_errors');
is($r->status, 404, 'the status stays');
is($t->get('/plain/404')->body, 'its own', 'off by default');
is($t->get('/intercept/503')->body, 'its own', 'one without a page');
$r = $t->get('/intercept/401');
is($r->header('WWW-Authenticate'), 'Basic realm="x"',
    '401 keeps its challenge');

# Limits of connections.

$c = $t->connect;
$c->send_request(path => '/one/gate');
ok($u->wait_note(qr/waiting/), 'max_conns: one under way');
is($t->get('/one/x')->status, 502, 'a second one is refused');
$u->release('hold');
is($c->read_response->body, 'passed', 'the first gets its answer');
like($t->get('/one/x')->body, qr{^GET /x}, 'and there is room again');
$c->send_request(path => '/spill/gate2');
ok($u->wait_note(qr/waiting .*gate2/), 'max_conns: with a backup');
my $n = $local->requests;
like($t->get('/spill/x')->body, qr{^GET /x}, 'which takes what is too much');
is($local->requests, $n + 1, 'indeed');
$u->release('hold2');
$c->read_response;
$c->close;

# Several attempts.

my $addr = qr/127\.0\.0\.1:\d+/;

sub last_line {
    my ($uri) = @_;
    my $line;
    $t->wait_for(sub {
        ($line) = $t->read_file('up.log') =~ /^(\Q$uri\E\|.*)\n/m;
        defined $line;
    });
    return $line // '';
}

like($t->get('/all/x')->body, qr{^GET /x }, 'three that fail, and a backup');
my @f = split /\|/, last_line('/all/x');
is(scalar(my @a = split /, /, $f[1]), 4, '$upstream_addr: all of them');
is($f[2], '502, 502, 502, 200', '$upstream_status');
like($f[3], qr/^0, 0, 0, [1-9]\d*$/, '$upstream_response_length');
like($f[4], qr/^(\d\.\d{3}, ){3}\d\.\d{3}$/, '$upstream_connect_time');
like($f[5], qr/^(-, ){3}\d\.\d{3}$/, '$upstream_header_time');
like($f[6], qr/^(\d\.\d{3}, ){3}\d\.\d{3}$/, '$upstream_response_time');
like($f[7], qr/^0, 0, 0, [1-9]\d*$/, '$upstream_bytes_received');

like($t->get('/all500/500')->body, qr{five hundred}, 'all have it');
@f = split /\|/, last_line('/all500/500');
is($f[2], '500, 500, 500, 500', '$upstream_status of real answers');

is($t->get('/tries/x')->status, 502, 'proxy_next_upstream_tries');
@f = split /\|/, last_line('/tries/x');
is($f[2], '502, 502', 'so many');

is($t->get('/late/never')->status, 504, 'proxy_next_upstream_timeout');
@f = split /\|/, last_line('/late/never');
is($f[2], '504', 'no second try after it');

like($t->get('/mixed/x')->body, qr{^GET /x }, 'one that refuses');
@f = split /\|/, last_line('/mixed/x');
is($f[2], '502, 200', '$upstream_status: refused');
like($f[4], qr/^-, \d/, '$upstream_connect_time: never connected');

done_testing;
