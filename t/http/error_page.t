#!/usr/bin/perl

# error_page: pages, named locations, other statuses, redirects, and errors
# of error pages; compared with nginx where it is there.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $config = <<'EOC';
http {
    server {
        listen %%PORT_80%%;
        server_name localhost;
        root %%TESTDIR%%/html;
        error_page 404 /404.html;
        error_page 402 403 @named;

        location /file { }
        location /403 { return 403; }
        location /402 { return 402; }
        location @named { return 200 "named $uri $request_method"; }

        location /own { error_page 410 /410.html; return 410; }
        location /own404 { error_page 410 /410.html; return 404; }
        location /as200 { error_page 404 =200 /404.html; return 404; }
        location /as503 { error_page 404 =503 /404.html; return 404; }
        location /theirs { error_page 404 = /ok.txt; return 404; }
        location /named200 { error_page 404 =200 @named; return 404; }
        location /namedtheirs { error_page 404 = @named; return 404; }
        location /far { error_page 404 http://other.example/; return 404; }
        location /far301 { error_page 404 =301 http://other.example/; return 404; }
        location /far200 { error_page 404 =200 http://other.example/; return 404; }
        location /var { error_page 404 /$arg_p; return 404; }
        location /args { error_page 404 /show?a=$arg_p&b; return 404; }
        location /show { return 200 "show $uri $args $request_method"; }
        location /missing { error_page 404 /none/at/all; return 404; }
        location /chain { error_page 404 /403x; return 404; }
        location /403x { error_page 403 /410.html; return 403; }
        location /rec { recursive_error_pages on; error_page 404 /rec403; return 404; }
        location /rec403 { recursive_error_pages on; error_page 403 /410.html; return 403; }
        location /loop { recursive_error_pages on; error_page 404 /loop; return 404; }
        location /nowhere { error_page 404 @nowhere; return 404; }
        location /if { if ($arg_x) { error_page 404 /410.html; } root %%TESTDIR%%/none; }
        location /301 { error_page 301 /404.html; return 301 /x; }
        location /internal { internal; return 200 internal; }
        location /toint { error_page 404 /internal/x; return 404; }
        location /status { error_page 404 /st; return 404; }
        location /st { return 200 "status $status"; }
        location /ret404 { return 404 "text"; }
        location /big { client_max_body_size 1; error_page 413 /show; }
        location /limit { limit_except GET { deny all; } error_page 403 /show; }
    }
}
EOC

my %files = ('404.html' => 'page 404', '410.html' => 'page 410',
    'ok.txt' => 'theirs', 'file' => 'file');
my @requests = (
    (map { [ GET => $_ ] } qw{/file /none /none/ /403 /402 /own /own404
        /as200 /as503 /theirs /named200 /namedtheirs /far /far301 /far200
        /var?p=410.html /var?p=none /args?p=1 /missing /chain /rec /loop
        /nowhere /if /if?x=1 /301 /internal /toint /status /ret404 /limit}),
    (map { [ POST => $_ ] } qw{/none /403 /own /args?p=1 /named200 /show
        /limit /big}),
    (map { [ HEAD => $_ ] } qw{/none /403 /far /as200 /args}),
);

sub show {
    my ($t, $r) = @_;
    my $body = $r->body;
    $body =~ s{.*<title>(.*?)</title>.*}{page: $1}s;
    my $port = $t->port(80);
    my $location = $r->header('Location') // '-';
    $location =~ s/:$port/:PORT/;
    return join ' | ', $r->status, $location, $r->header('Content-Type') // '-',
        $body;
}

sub answers {
    my ($t) = @_;
    $t->config($config);
    $t->write_file("html/$_", $files{$_}) for keys %files;
    $t->run;
    return map {
        my ($method, $path) = @$_;
        ("$method $path" => show($t, $t->request(method => $method,
            path => $path, $method eq 'POST' ? (body => 'xy') : ())))
    } @requests;
}

my $t = Test::Veil->new;
my %got = answers($t);

my %want = (
    'GET /none'    => '404 | - | text/plain | page 404',
    'GET /403'     => '403 | - | text/plain | named /403 GET',
    'POST /403'    => '403 | - | text/plain | named /403 POST',
    'GET /own'     => '410 | - | text/plain | page 410',
    'GET /as200'   => '200 | - | text/plain | page 404',
    'GET /as503'   => '503 | - | text/plain | page 404',
    'GET /theirs'  => '200 | - | text/plain | theirs',
    'GET /far'     => '302 | http://other.example/ | text/html | page: 302 Found',
    'GET /args?p=1' => '404 | - | text/plain | show /show a=1&b GET',
    'POST /args?p=1' => '404 | - | text/plain | show /show a=1&b GET',
    'GET /rec'     => '403 | - | text/plain | page 410',
    'GET /toint'   => '404 | - | text/plain | internal',
);
s{text/html \| page (\d)}{text/plain | page $1} for values %got;
is($got{$_}, $want{$_}, $_) for sort keys %want;
like($t->log, qr/could not find named location "\@nowhere"/,
    'a named location that is not there is logged');

SKIP: {
    my ($bin) = grep { -x } $ENV{TEST_NGINX_BINARY} // '',
        map {"$_/nginx"} split(/:/, $ENV{PATH}), '/usr/sbin';
    skip 'no nginx to compare with', scalar @requests unless $bin;
    my $n = Test::Veil->new(binary => 'nginx');
    my %nginx = answers($n);
    s{text/html \| page (\d)}{text/plain | page $1} for values %nginx;
    is($got{$_}, $nginx{$_}, "as nginx: $_")
        for map {"$_->[0] $_->[1]"} @requests;
}

done_testing;
