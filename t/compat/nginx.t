#!/usr/bin/perl

# One nginx.conf, two servers: nginx and veil run the same file and must give
# the same answers.  Where veil's defaults differ on purpose the file says the
# value, as docs/nginx-differences.md asks of those who move.
#
# Compared are the status, the version, every header but Server and Date, and
# the body.  Of the pages a server makes by itself only the title counts.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $nginx = Test::Veil->new(binary => 'nginx');
my $veil = Test::Veil->new(name => 'veil');

# Both serve the same files and speak to the same backend.

my $docroot = $nginx->testdir . '/html';
my $u = Test::Veil::Upstream->new(routes => {
    '/b/plain'    => \&echo,
    '/b/cookie'   => answer(headers => [
        'Set-Cookie' => 'a=b; path=/b/; domain=backend.example',
        'Set-Cookie' => 'c=d; Path=/other', 'X-Hidden' => 1,
        'X-Shown' => 2, 'X-Powered-By' => 'perl' ], body => 'cookies'),
    '/b/redirect' => answer(status => 302,
        headers => [ Location => 'http://backend.example/b/next' ]),
    '/b/here'     => answer(status => 301,
        headers => [ Location => '/b/next' ], body => 'moved'),
    '/b/chunked'  => Test::Veil::Upstream::chunked([ 'one ', 'two' ], []),
    '/b/big'      => answer(body => 'z' x 300_000),
    '/b/404'      => answer(status => 404, body => 'own 404'),
    '/b/500'      => answer(status => 500, body => 'own 500'),
    '/b/204'      => sub { $_[0]->write("HTTP/1.1 204 No Content\r\n\r\n") },
    '/b/304'      => sub {
        $_[0]->write("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
    },
    '/b/reset'    => Test::Veil::Upstream::reset_now(),
    '/b/close'    => Test::Veil::Upstream::close_now(),
    '/b/dates'    => answer(headers => [
        'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT',
        'ETag' => '"v1"', 'Cache-Control' => 'max-age=5',
        'Expires' => 'Thu, 01 Jan 1970 00:00:00 GMT',
        'Content-Type' => 'text/css' ], body => 'dated'),
}, handler => \&echo);

sub answer {
    my @o = @_;
    return sub {
        my ($conn, $req) = @_;
        my %o = @o;
        if ($req->{method} eq 'HEAD') {
            my $length = length($o{body} // '');
            $conn->write(Test::Veil::Upstream::_head($o{status} // 200,
                [ @{ $o{headers} // [] }, 'Content-Length' => $length ]));
            return;
        }
        $conn->reply(%o);
    };
}

# The order of header lines is the proxy's own affair.

sub echo {
    my ($conn, $req) = @_;
    my $text = join "\n", $req->{line},
        (sort map { lc($_->[0]) . ": $_->[1]" } @{ $req->{headers} }), '',
        $req->{body};
    answer(headers => [ 'Content-Type' => 'text/plain' ], body => $text)
        ->($conn, $req);
}

my $config = <<'EOC';
worker_processes 1;
worker_rlimit_nofile 1024;
timer_resolution 10ms;
pid %%TESTDIR%%/veil.pid;
error_log %%TESTDIR%%/error.log info;
daemon off;

events {
    worker_connections 512;
    multi_accept off;
}

http {
    types {
        text/html html htm;
        text/plain txt;
        text/css css;
        image/png png;
    }
    default_type application/octet-stream;
    types_hash_max_size 1024;

    log_format short '$remote_addr "$request" $status $body_bytes_sent';
    access_log %%TESTDIR%%/access.log short;
    log_not_found off;

    sendfile on;
    sendfile_max_chunk 512k;
    tcp_nopush off;
    tcp_nodelay on;
    output_buffers 2 32k;
    postpone_output 1460;

    keepalive_timeout 75s;
    keepalive_requests 1000;
    client_header_timeout 60s;
    client_header_buffer_size 1k;
    large_client_header_buffers 4 8k;
    client_body_timeout 60s;
    client_body_buffer_size 8k;
    client_max_body_size 100k;
    send_timeout 60s;
    lingering_close on;
    lingering_time 30s;
    lingering_timeout 10s;
    reset_timedout_connection off;

    server_tokens on;
    server_names_hash_max_size 512;
    server_names_hash_bucket_size 64;
    absolute_redirect on;
    port_in_redirect on;
    server_name_in_redirect off;
    ignore_invalid_headers on;
    underscores_in_headers off;
    merge_slashes on;
    recursive_error_pages off;
    etag on;
    if_modified_since exact;
    max_ranges 3;
    chunked_transfer_encoding on;

    open_file_cache max=100 inactive=20s;
    open_file_cache_valid 30s;
    open_file_cache_min_uses 1;
    open_file_cache_errors on;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $proxy_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_connect_timeout 50s;
    proxy_read_timeout 50s;
    proxy_send_timeout 50s;
    proxy_buffering on;
    proxy_buffer_size 4k;
    proxy_buffers 8 4k;
    proxy_request_buffering on;
    proxy_next_upstream off;

    map_hash_max_size 1024;
    map $arg_m $mapped {
        default none;
        one 1;
        ~^re(.*)$ "re $1";
        ~*^CI ci;
        "" empty;
    }
    map $http_host $by_host {
        hostnames;
        *.example head;
        www.* tail;
        .dot.test dot;
        default other;
    }

    upstream backend {
        server %%BACKEND%% weight=2 max_fails=0;
        keepalive 8;
    }

    server {
        listen %%PORT_80%% default_server backlog=128;
        server_name one.example *.one.example;
        root %%DOCROOT%%;
        index index.html index.txt;
        add_header X-Server one;

        location / { try_files $uri $uri/ =404; }
        location = /exact { return 200 "exact\n"; }
        location = /exact/ { return 200 "exact slash\n"; }
        location /prefix { return 200 "prefix $uri\n"; }
        location /prefix/longer { return 200 "longer $uri\n"; }
        location ^~ /static/ { add_header X-Kind static; }
        location ~ \.txt$ { add_header X-Kind text always; }
        location ~* \.(PNG|gif)$ { add_header X-Kind image; }
        location ~ ^/cap/(\w+)/(?<rest>.*)$ { return 200 "$1 $rest\n"; }
        location /alias/ { alias %%DOCROOT%%/dir/; }
        location ~ ^/ra/(.*)$ { alias %%DOCROOT%%/dir/$1; }
        location /outer {
            add_header X-Outer 1;
            location /outer/inner { return 200 "inner\n"; }
            location ~ \.x$ { return 200 "nested regex\n"; }
            return 200 "outer\n";
        }

        location /vars {
            default_type text/plain;
            set $mine "$arg_a-$arg_b";
            return 200 "$request_method|$uri|$args|$is_args|$mine|$host|$http_x_test|$scheme|$server_protocol|$content_length|$cookie_c|$request_uri|$document_uri|$query_string|$http_user_agent\n";
        }
        location /if {
            default_type text/plain;
            set $v none;
            if ($arg_x = 1) { set $v one; }
            if ($arg_x != "") { set $v "${v}+"; }
            if ($request_method = POST) { return 200 "posted $v\n"; }
            if ($http_x_test ~* "^m(a)tch$") { return 200 "matched $1 $v\n"; }
            if (-f $request_filename) { return 200 "file\n"; }
            return 200 "$v\n";
        }
        location /rw/ {
            rewrite ^/rw/last/(.*)$ /prefix/$1 last;
            rewrite ^/rw/break/(.*)$ /dir/$1 break;
            rewrite ^/rw/redirect/(.*)$ /to/$1?n=1 redirect;
            rewrite ^/rw/permanent/(.*)$ /to/$1? permanent;
            rewrite ^/rw/abs/(.*)$ http://other.example/$1;
            return 404;
        }
        location /ret/301 { return 301 /to; }
        location /ret/302 { return 302 https://other.example/x; }
        location /ret/307 { return 307 $uri/x; }
        location /ret/308 { return 308 /y; }
        location /ret/url { return http://other.example/; }
        location /ret/403 { return 403; }
        location /ret/404text { return 404 "mine\n"; }
        location /ret/410 { return 410; }
        location /ret/418 { return 418; }
        location /ret/500 { return 500; }
        location /ret/503 { return 503; }
        location /ret/204 { return 204; }

        location /ep/ {
            error_page 404 /errors/404.html;
            error_page 403 = /errors/403.html;
            error_page 500 502 =200 /errors/5xx.html;
            error_page 410 =301 /gone;
            error_page 418 @teapot;
            location /ep/403 { return 403; }
            location /ep/500 { return 500; }
            location /ep/410 { return 410; }
            location /ep/418 { return 418; }
        }
        location @teapot { return 200 "teapot $uri\n"; }
        location /errors/ { internal; }

        location /map { return 200 "$mapped $by_host\n"; }
        location /deny/ { deny all; alias %%DOCROOT%%/; }
        location /allow/ { allow 127.0.0.1; deny all; alias %%DOCROOT%%/; }
        location /order/ { deny 127.0.0.1; allow all; alias %%DOCROOT%%/; }
        location /any/ { satisfy any; allow 10.0.0.0/8; deny all; alias %%DOCROOT%%/; }
        location /all/ { satisfy all; allow 127.0.0.0/8; alias %%DOCROOT%%/; }
        location /except/ { limit_except GET { deny all; } alias %%DOCROOT%%/; }
        location /except2/ { limit_except POST PUT { deny all; } alias %%DOCROOT%%/; }
        location /expires/epoch/ { expires epoch; alias %%DOCROOT%%/; }
        location /expires/max/ { expires max; alias %%DOCROOT%%/; }
        location /expires/modified/ { expires modified 1y; alias %%DOCROOT%%/; }
        location /expires/off/ { expires off; alias %%DOCROOT%%/; }
        location /expires/var/ { expires $arg_e; alias %%DOCROOT%%/; }
        location /headers/ {
            add_header X-Empty "";
            add_header X-Two 1;
            add_header X-Two 2 always;
            add_header Cache-Control no-store;
            add_header Last-Modified "";
            add_header ETag '"mine"';
            add_trailer X-Trailer "t $uri";
            alias %%DOCROOT%%/;
        }

        location /tf1 { try_files /dir$uri /dir/a.txt; }
        location /tf2 { try_files /no/such /nor/this @named; }
        location /tf3 { try_files /no/such =410; }
        location @named { return 200 "named $uri\n"; }

        location /small/ {
            client_max_body_size 10;
            proxy_pass http://backend/b/plain;
        }
        location /nobuf/ {
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_pass http://backend/b/;
        }
        location /b/ {
            proxy_pass http://backend;
            proxy_hide_header X-Hidden;
            proxy_cookie_domain backend.example front.example;
            proxy_cookie_path /b/ /front/;
            proxy_redirect http://backend.example/b/ /front/;
        }
        location /front/ {
            proxy_pass http://backend/b/;
            proxy_redirect default;
            proxy_set_header X-Extra "$arg_e";
            proxy_set_header Connection "";
            proxy_set_header Accept-Encoding "";
            proxy_intercept_errors on;
            error_page 404 /errors/404.html;
        }
        location /pm/ {
            proxy_method PUT;
            proxy_set_body "body of $uri";
            proxy_pass_request_headers off;
            proxy_pass http://backend/b/plain;
        }
        location /pv/ {
            set $where backend;
            proxy_pass http://$where/b/plain?from=$arg_q;
        }
        location /limited/ { limit_rate 1m; limit_rate_after 10k; alias %%DOCROOT%%/; }
    }

    server {
        listen %%PORT_80%%;
        server_name two.example "~^(?<sub>\w+)\.two\.example$";
        location / { return 200 "two $sub $host $server_name\n"; }
    }
    server {
        listen %%PORT_80%%;
        server_name tail.* .dot.example;
        location / { return 200 "tail $host\n"; }
    }
    server {
        listen %%PORT_81%%;
        server_name "";
        etag off;
        if_modified_since off;
        max_ranges 0;
        root %%DOCROOT%%;
        location /merge { return 200 "$uri\n"; }
        merge_slashes off;
    }
}
EOC
$nginx->write_file('html/index.html', "<p>index</p>\n");
$nginx->write_file('html/a.txt', "file a\n");
$nginx->write_file('html/empty.txt', '');
$nginx->write_file('html/pic.png', "\x89PNG" . "\0" x 100);
$nginx->write_file('html/noext', 'no extension');
$nginx->write_file('html/range', join '', 'a' .. 'z');
$nginx->write_file('html/big.css', join '', map {"$_\n"} 1 .. 50_000);
$nginx->write_file('html/static/s.txt', "static\n");
$nginx->write_file('html/dir/index.txt', "dir index\n");
$nginx->write_file('html/dir/a.txt', "dir a\n");
$nginx->write_file('html/noindex/x', "x\n");
$nginx->write_file('html/errors/404.html', "my 404\n");
$nginx->write_file('html/errors/403.html', "my 403\n");
$nginx->write_file('html/errors/5xx.html', "my 5xx\n");
$nginx->write_file('html/a b.txt', "space\n");
utime 1_700_000_000, 1_700_000_000, glob("$docroot/*.* $docroot/r*");

for my $t ($nginx, $veil) {
    $t->set(DOCROOT => $docroot, BACKEND => $u->addr);
    $t->config($config);
    $t->run;
}

# ---------------------------------------------------------------- comparing --

# normal($t, $response): what must be the same.

sub normal {
    my ($t, $r) = @_;
    my $body = $r->body;
    my $page = 0;

    if ($r->status >= 300 && $body =~ m{<html.*<title>(.*?)</title>}si) {
        $body = "page: $1";
        $page = 1;
    }
    my @headers;
    for my $h (@{ $r->{header_list} }) {
        my ($name, $value) = (lc $h->[0], $h->[1]);
        next if $name eq 'server' || $name eq 'date';
        next if $name eq 'content-length' && ($page || $r->status >= 300
            && $r->body eq '');
        push @headers, "$name: $value";
    }
    my $text = join "\n", "HTTP/" . $r->version . ' ' . $r->status,
        sort(@headers), '', $body;
    my ($boundary) = $text =~ /boundary=(\S+)/;
    $text =~ s/\Q$boundary\E/BOUNDARY/g if defined $boundary;
    for my $n (80, 81) {
        my $port = $t->port($n);
        $text =~ s/:$port\b/:PORT_$n/g;
    }
    $text .= "\n(" . $r->error . ')' if length $r->error;
    $text .= "\n(followed by " . $r->rest . ')' if length $r->rest;
    return $text;
}

my $compared = 0;

sub same {
    my ($name, %o) = @_;
    my ($want, $got) = map {
        normal($_, $_->request(quiet => 1, host => 'one.example', %o))
    } $nginx, $veil;
    $compared++;
    is($got, $want, $name);
}

# Files, in every way a file can be asked for.

my @paths = qw{/ /a.txt /empty.txt /pic.png /noext /range /big.css
    /static/s.txt /dir/ /dir /dir/a.txt /noindex/ /missing /missing/
    /a.txt/ /a%20b.txt /a%2etxt /./a.txt /dir/../a.txt //a.txt /dir//a.txt
    /a.txt?query /alias/a.txt /alias/ /alias /ra/a.txt /ra/none /limited/range
    /errors/404.html};

same("GET $_", path => $_) for @paths;
same("HEAD $_", path => $_, method => 'HEAD') for @paths;
same("GET $_ HTTP/1.0", path => $_, version => '1.0') for @paths[ 0 .. 9 ];
same("POST $_", path => $_, method => 'POST', body => 'x')
    for @paths[ 1 .. 4 ];
same("$_ /a.txt", path => '/a.txt', method => $_)
    for qw/PUT DELETE OPTIONS PATCH TRACE/;

# Locations.

same("GET $_", path => $_) for qw{/exact /exact/ /exact/x /exact?y /prefix
    /prefixed /prefix/ /prefix/x /prefix/longer /prefix/longer/x
    /prefix/x.txt /static/none.txt /x.png /x.PNG /x.GiF /x.txt /cap/a/b/c
    /cap/a/ /cap/ /outer /outer/ /outer/inner /outer/inner/x /outer/a.x
    /outer/inner/a.x /tf1 /tf1/x /tf2 /tf2/y /tf3};

# Variables, if, rewrite, return, error_page.

same("vars $_->[0]", path => $_->[0], headers => $_->[1] // [])
    for [ '/vars' ], [ '/vars?a=1&b=2' ], [ '/vars?' ], [ '/vars/%41?A=x' ],
    [ '/vars', [ 'X-Test' => 'v', Cookie => 'b=1; c=2' ] ],
    [ '/vars', [ 'User-Agent' => 'test/1', 'X_Test' => 'dropped' ] ];
same('vars of a POST', path => '/vars', method => 'POST', body => 'abc');
same("if $_->[0]", path => $_->[0], %{ $_->[1] // {} })
    for [ '/if' ], [ '/if?x=1' ], [ '/if?x=2' ], [ '/if?x=' ],
    [ '/if?x=1', { method => 'POST', body => '' } ],
    [ '/if', { headers => [ 'X-Test' => 'MATCH' ] } ],
    [ '/if', { headers => [ 'X-Test' => 'match ' ] } ];
same("rewrite $_", path => $_) for qw{/rw/last/x /rw/last/a?b=c /rw/break/a.txt
    /rw/break/none /rw/redirect/x /rw/redirect/x?q=2 /rw/permanent/x?q=2
    /rw/abs/x /rw/abs/x?y /rw/other};
for my $path (qw{301 302 307 308 url 403 404text 410 418 500 503 204}) {
    same("return $path", path => "/ret/$path");
    same("HEAD return $path", path => "/ret/$path", method => 'HEAD');
}
same("error_page $_", path => $_) for qw{/ep/403 /ep/500 /ep/410 /ep/418
    /ep/missing};
same("POST error_page $_", path => $_, method => 'POST', body => 'x')
    for qw{/ep/403 /ep/410 /ep/418};

# Ranges and conditions.

same("Range: $_", path => '/range', headers => [ Range => $_ ])
    for 'bytes=0-4', 'bytes=5-', 'bytes=-3', 'bytes=0-0', 'bytes=25-30',
    'bytes=26-', 'bytes=30-40', 'bytes=5-2', 'bytes=-0', 'bytes=0-1,4-5',
    'bytes=0-1, 4-5, 20-', 'bytes=0-1,2-3,4-5,6-7', 'items=0-1', 'bytes=a-b',
    'bytes=', 'bytes=0-25', 'bytes=-100', 'bytes=0-0,-1';
my $date = 'Tue, 14 Nov 2023 22:13:20 GMT';
my $etag = $nginx->get('/range')->header('ETag');
for my $case (
    [ 'If-Modified-Since' => $date ],
    [ 'If-Modified-Since' => 'Wed, 15 Nov 2023 22:13:20 GMT' ],
    [ 'If-Modified-Since' => 'Mon, 13 Nov 2023 22:13:20 GMT' ],
    [ 'If-Modified-Since' => 'nonsense' ],
    [ 'If-None-Match' => $etag ],
    [ 'If-None-Match' => "W/$etag" ],
    [ 'If-None-Match' => '"other"' ],
    [ 'If-None-Match' => "\"other\", $etag" ],
    [ 'If-None-Match' => '*' ],
    [ 'If-Match' => $etag ],
    [ 'If-Match' => '"other"' ],
    [ 'If-Match' => '*' ],
    [ 'If-Unmodified-Since' => $date ],
    [ 'If-Unmodified-Since' => 'Mon, 13 Nov 2023 22:13:20 GMT' ],
    [ 'If-None-Match' => '"other"', 'If-Modified-Since' => $date ],
    [ Range => 'bytes=0-1', 'If-Range' => $etag ],
    [ Range => 'bytes=0-1', 'If-Range' => '"other"' ],
    [ Range => 'bytes=0-1', 'If-Range' => $date ],
    [ Range => 'bytes=0-1', 'If-None-Match' => $etag ],
    )
{
    same("@$case", path => '/range', headers => $case);
    same("other server: @$case", path => '/range', port => 81,
        headers => $case);
}

# Maps, access rules, header fields.

same("map $_", path => "/map?m=$_") for qw/one ONE two re17 RE CIx/, '';
same("map for $_", path => '/map', host => $_)
    for qw/a.example www.x dot.test a.dot.test x.org/;
for my $at (qw{/deny/ /allow/ /order/ /any/ /all/ /except/ /except2/}) {
    same("$_ ${at}range", path => "${at}range", method => $_,
        $_ eq 'POST' ? (body => 'x') : ()) for qw/GET HEAD POST DELETE/;
}
same("$_", path => $_) for qw{/expires/epoch/range /expires/max/range
    /expires/modified/range /expires/off/range /expires/var/range?e=max
    /expires/var/range?e=off /expires/var/range?e=x /expires/epoch/none
    /headers/range /headers/none};
same("HEAD $_", path => $_, method => 'HEAD')
    for qw{/headers/range /expires/max/range};
same('a range with header fields', path => '/headers/range',
    headers => [ Range => 'bytes=0-3' ]);

# Which server.

same("Host: $_", path => '/vars', host => $_) for qw{one.example ONE.Example
    www.one.example one.example:80 one.example. two.example sub.two.example
    a.sub.two.example tail.org tail.co.uk dot.example x.dot.example
    unknown.example localhost 127.0.0.1 [::1]};
same('no Host in 1.0', path => '/vars', version => '1.0', host => undef);
same('absolute form', path => 'http://two.example/abs?x');
same('absolute form, other Host', path => 'http://x.two.example/',
    host => 'one.example');

# Refusals.

same('no Host', path => '/', host => undef);
same('a bad Host', path => '/', host => 'a/b');
same('two Hosts', path => '/', header => [ 'Host: a', 'Host: b' ]);
same('above the root', path => '/../x');
same('a bad escape', path => '/%zz');
same('a NUL', path => '/a%00b');
same('an unknown version', path => '/', version => '3.0');
same('a long URI', path => '/' . 'u' x 9000);
is($veil->get('/', headers => [ 'X-L' => 'h' x 9000 ])->status, 431,
    'a long header: 431, as documented, where nginx has 400');
same('a URI that still fits', path => '/prefix' . 'u' x 4000);
same('too large a body', path => '/b/plain', method => 'POST',
    body => 'x' x 102_401);
same('a body that still fits', path => '/b/plain', method => 'POST',
    body => 'x' x 102_400);
same('too large for this one', path => '/small/', method => 'POST',
    body => 'x' x 11);
same('an unknown coding', path => '/b/plain', method => 'POST',
    headers => [ 'Transfer-Encoding' => 'gzip' ], body => undef);

# Through the proxy.

for my $at ('/b/', '/front/', '/nobuf/') {
    same("$at$_", path => "$at$_") for qw{plain plain?a=b cookie redirect here
        chunked big 404 500 204 304 reset close dates other/path%20x};
    same("HEAD $at$_", path => "$at$_", method => 'HEAD')
        for qw{plain big 404 dates};
    same("POST $at", path => "${at}plain", method => 'POST', body => 'data');
    same("chunked POST $at", path => "${at}plain", method => 'POST',
        chunked => [ 'some ', 'data' ]) if $at ne '/nobuf/';
    same("large POST $at", path => "${at}plain", method => 'PUT',
        body => 'l' x 60_000);
    same("headers through $at", path => "${at}plain?e=1", headers => [
        'X-Forwarded-For' => '10.0.0.1', 'Accept-Encoding' => 'gzip',
        'X-Twice' => 1, 'X-Twice' => 2, 'TE' => 'trailers',
        'Keep-Alive' => 'x', 'X-Empty' => '' ]);
    same("1.0 through $at$_", path => "$at$_", version => '1.0')
        for qw{plain chunked};
    same("condition through $at", path => "${at}dates",
        headers => [ 'If-None-Match' => '"v1"' ]);
    same("range through $at", path => "${at}dates",
        headers => [ 'Range' => 'bytes=0-1' ]);
}
same("proxied $_", path => $_) for qw{/pm/ /pm/x?y /pv/ /pv/x?q=3 /small/};

# Kept connections: the same in a row.

for my $close (0, 1) {
    my @got = map {
        my $t = $_;
        my $c = $t->connect;
        [ map {
            normal($t, $c->request(path => $_, host => 'one.example',
                headers => $close && $_ eq '/b/plain'
                ? [ Connection => 'close' ] : []))
        } qw{/a.txt /exact /missing /ret/204 /big.css /b/chunked /b/plain} ];
    } $nginx, $veil;
    $compared++;
    is_deeply($got[1], $got[0], "a kept connection, close: $close");
}

cmp_ok($compared, '>=', 200, "$compared answers were compared");
my %used = map { $_ => 1 } $config =~ /^\s*(?:location [^\n]*?\{ )?([a-z_]+)/gm;
cmp_ok(scalar(keys %used), '>=', 50, 'with ' . keys(%used) . ' directives');

done_testing;
