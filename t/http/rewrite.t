#!/usr/bin/perl

# return, rewrite, set, if, break: as nginx has them, compared with it.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $config = <<'EOC';
http {
    default_type text/plain;
    server {
        listen %%PORT_80%%;
        server_name localhost;
        root %%TESTDIR%%/html;

        set $server yes;
        rewrite ^/server/(.*)$ /show/$1?server=1;
        if ($arg_stop) { return 403; }
        if ($arg_srw) { rewrite ^ /show/srw? last; }
        rewrite ^/sbreak /show/sbreak break;
        rewrite ^/show/sbreak$ /show/never;

        location /show { return 200 "$uri|$args|$server|$request_uri"; }
        location /last/ { rewrite ^/last/(.*)$ /show/$1 last; return 400; }
        location /break/ { rewrite ^/break/(.*)$ /$1 break; return 200 not; }
        location /plain/ { rewrite ^/plain/(.*)$ /show/$1; }
        location /two/ { rewrite ^/two/(.*)$ /three/$1; rewrite ^/three/(.*)$ /show/2$1; }
        location /args/ { rewrite ^/args/(.*)$ /show?a=$1 last; }
        location /noargs/ { rewrite ^/noargs/(.*)$ /show/$1? last; }
        location /newargs/ { rewrite ^/newargs/(.*)$ /show?a=$1? last; }
        location /redir/ { rewrite ^/redir/(.*)$ /x/$1 redirect; }
        location /perm/ { rewrite ^/perm/(.*)$ /x/$1 permanent; }
        location /abs/ { rewrite ^/abs/(.*)$ https://other.example/$1; }
        location /absq/ { rewrite ^/absq/(.*)$ https://other.example/$1?x; }
        location /named/ { rewrite "^/named/(?<a>\w+)/(?<b>\w{2})$" /show/$b/$a last; }
        location /cycle { rewrite ^ /cycle/x last; }
        location /cap/ { rewrite ^/cap/(\d)(\d)?(\d)?$ /show/[$1][$2][$3] last; }
        location /var/ { set $x "a$arg_v"; set $y "$x-$x"; return 200 $y; }
        location /braces/ { set $x a; return 200 "${x}b$x"; }
        location /dollar { return 200 "${dollar}|$server"; }
        location /uninit/ { if ($arg_never) { set $z 1; } return 200 "[$z]"; }
        location /if/ {
            set $r 0;
            if ($arg_a) { set $r "${r}1"; }
            if ($arg_a = b) { set $r "${r}2"; }
            if ($arg_a != b) { set $r "${r}3"; }
            if ($arg_a ~ ^(B|b)(.*)$) { set $r "${r}4$2"; }
            if ($arg_a ~* ^B) { set $r "${r}5"; }
            if ($arg_a !~ b) { set $r "${r}6"; }
            if ($arg_a !~* B) { set $r "${r}7"; }
            if (-f $document_root/file) { set $r "${r}8"; }
            if (!-f $document_root/none) { set $r "${r}9"; }
            if (-d $document_root/dir) { set $r "${r}a"; }
            if (-e $document_root/dir) { set $r "${r}b"; }
            if (!-e $document_root/none) { set $r "${r}c"; }
            if (-x $document_root/file) { set $r "${r}d"; }
            if ( $arg_a = "b c" ) { set $r "${r}e"; }
            if ($arg_a = '') { set $r "${r}f"; }
            return 200 $r;
        }
        location /ifret { if ($request_method = POST) { return 405; } return 200 get; }
        location /ifbreak { set $q 1; if ($arg_b) { set $q 2; break; } set $q 3; if ($arg_x) { return 200 x; } add_header X-Q $q; }
        location /ifheader { if ($arg_h) { add_header X-H h; } }
        location /ret200 { return 200; }
        location /ret204 { return 204; }
        location /retempty { return 200 ""; }
        location /ret301rel { return 301 rel; }
        location /ret301 { return 301 /abs?x=$arg_x; }
        location /ret302 { return 302 $scheme://other/; }
        location /ret303 { return 303 /y; }
        location /returl { return https://other.example$request_uri; }
        location /ret404 { return 404; }
        location /ret404t { return 404 "gone $uri"; }
        location /ret599 { return 599 "x"; }
        location /ret100 { return 700 "x"; }
        location /type { default_type text/css; return 200 "x"; }
        location /type.html { return 200 "x"; }
        location /esc { rewrite ^ "/show/a b?q=%41" last; }
        location /escr { rewrite ^/escr/(.*)$ /t/$1 redirect; }
        location /enc/ { rewrite ^/enc/(.*)$ /show?p=$1 last; }
    }
}
EOC

my @paths = qw{/server/a /server/a?b=c /show?stop=1 /any?srw=1 /sbreak
    /last/a /last/a?b /break/file /break/none /plain/x /two/x /args/x
    /args/x?y /noargs/x?y /newargs/x?y /redir/a /redir/a?b /redir/a%20b
    /perm/a?b=%20 /abs/a /abs/a?b /absq/a?b /named/one/xy /named/one/xyz
    /cycle /cap/1 /cap/12 /cap/123 /cap/1234 /var/?v=1 /braces/
    /uninit/ /if/ /if/?a=b /if/?a=B /if/?a=bcd /if/?a=0 /if/?a=x /ifret
    /ifbreak /ifbreak?b=1 /ifbreak?x=1 /ifheader /ifheader?h=1 /ret200
    /ret204 /retempty /ret301rel /ret301?x=1 /ret302 /ret303 /returl?a
    /ret404 /ret404t /ret599 /ret100 /type /type.html /esc /escr/a%20b
    /enc/a&b /enc/a+b /enc/a%20b /enc/a%26b /enc/%C3%A4};

$config =~ s/^ *location \/dollar.*\n//m;

sub show {
    my ($t, $r) = @_;
    my $port = $t->port(80);
    my $body = $r->body;
    $body =~ s{.*<title>(.*?)</title>.*}{page: $1}s;
    my $location = $r->header('Location') // '-';
    $location =~ s/:$port/:PORT/;
    return join ' | ', $r->status, $location, $r->header('Content-Type') // '-',
        $r->header('X-Q') // '-', $r->header('X-H') // '-', $body;
}

sub answers {
    my ($t) = @_;
    $t->config($config);
    $t->write_file('html/file', 'file');
    chmod 0644, $t->testdir . '/html/file';
    mkdir $t->testdir . '/html/dir';
    $t->write_file('html/ifbreak', 'f');
    $t->write_file('html/ifheader', 'f');
    $t->run;
    return map { ($_ => show($t, $t->get($_, host => 'localhost'))) } @paths;
}

my $t = Test::Veil->new;
my %got = answers($t);
is($t->get('/escr/a%3Fb', host => 'localhost')->header('Location'),
    'http://localhost:' . $t->port(80) . '/t/a%3Fb',
    'what was no query does not become one in a redirect');
sub text { my ($b) = $got{ $_[0] } =~ /([^|]*(?:\|[^|]+){0,3})$/; return $b }

my $plain = '200 | - | text/plain | - | - | ';
my %want = (
    '/server/a?b=c' => "$plain/show/a|server=1&b=c|yes|/server/a?b=c",
    '/show?stop=1'  => '403 | - | text/html | - | - | page: 403 Forbidden',
    '/sbreak'       => "$plain/show/sbreak||yes|/sbreak",
    '/last/a?b'     => "$plain/show/a|b|yes|/last/a?b",
    '/newargs/x?y'  => "$plain/show|a=x|yes|/newargs/x?y",
    '/cap/12'       => "$plain/show/[1][2][]||yes|/cap/12",
    '/var/?v=1'     => "${plain}a1-a1",
    '/uninit/'      => "$plain\[]",
    '/cycle'        => '500 | - | text/html | - | - | page: 500 Internal Server Error',
    '/ret404t'      => '404 | - | text/plain | - | - | gone /ret404t',
    '/enc/a%26b'    => "$plain/show|p=a%26b|yes|/enc/a%26b",
    '/redir/a%20b'  => '302 | http://localhost:PORT/x/a%20b | text/html | - | - | page: 302 Found',
);
is($got{$_}, $want{$_}, $_) for sort keys %want;
like($t->log, qr/using uninitialized "z" variable/, 'an unset variable');
like($t->log, qr/rewrite or internal redirection cycle while processing/,
    'a cycle');

SKIP: {
    my ($bin) = grep { -x } $ENV{TEST_NGINX_BINARY} // '',
        map {"$_/nginx"} split(/:/, $ENV{PATH}), '/usr/sbin';
    skip 'no nginx to compare with', scalar @paths unless $bin;
    my %nginx = answers(Test::Veil->new(binary => 'nginx'));
    is($got{$_}, $nginx{$_}, "as nginx: $_") for @paths;
}

# 444 says nothing at all; rewrite_log tells what happened.

my $more = Test::Veil->new->config(<<'EOC');
error_log %%TESTDIR%%/error.log notice;
http {
    server {
        listen %%PORT_80%%;
        rewrite_log on;
        location /444 { return 444; }
        location /log { rewrite ^/log /other?x last; }
        location /quiet { uninitialized_variable_warn off; return 200 "[$q]"; }
        location /set { set $q 1; return 200 $q; }
        location / { return 200 "$uri"; }
    }
}
EOC
$more->run;
is($more->raw("GET /444 HTTP/1.1\r\nHost: x\r\n\r\n"), '',
    '444 closes the connection');
is($more->get('/log')->body, '/other', 'rewritten');
like($more->log, qr/rewritten data: "\/other", args: "x"/, 'rewrite_log');
is($more->get('/quiet')->body, '[]', 'an unset variable');
unlike($more->log, qr/uninitialized/, 'uninitialized_variable_warn off');

done_testing;
