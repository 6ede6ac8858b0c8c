#!/usr/bin/perl

# Requests that two servers could read in two ways are refused: nothing of
# what follows them is served.  RFC 9112, sections 2.2, 3, 5, 6.1, 6.3, 7.1,
# 9.6 and 11.2.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->config(<<'EOC');
http {
    client_header_buffer_size 1k;
    large_client_header_buffers 4 2k;
    server {
        listen %%PORT_80%%;
        location / { return 200 "served another\n"; }
        location = / { return 200 "served /\n"; }
        location = /smuggled { return 200 "served /smuggled\n"; }
    }
}
EOC
$t->run;

# What is refused is followed by a request that must not be served.

my $next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
my $get = "GET / HTTP/1.1\r\nHost: a\r\n";
my $post = "POST / HTTP/1.1\r\nHost: a\r\n";

# [name, request, status, "nginx" if Debian's nginx refuses it as well]

my @refused = (
    [ 'two lengths that differ',
        $post . "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400,
        'nginx' ],
    [ 'two equal lengths',
        $post . "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400,
        'nginx' ],
    [ 'a list of lengths', $post . "Content-Length: 1, 1\r\n\r\na", 400,
        'nginx' ],
    [ 'a length with a sign', $post . "Content-Length: +1\r\n\r\na", 400,
        'nginx' ],
    [ 'a negative length', $post . "Content-Length: -1\r\n\r\na", 400,
        'nginx' ],
    [ 'a hexadecimal length', $post . "Content-Length: 0x1\r\n\r\na", 400,
        'nginx' ],
    [ 'an empty length', $post . "Content-Length: \r\n\r\n", 400, 'nginx' ],
    [ 'a length beyond all numbers',
        $post . "Content-Length: 99999999999999999999\r\n\r\n", 400,
        'nginx' ],
    [ 'length and coding',
        $post . "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "0\r\n\r\n", 400, 'nginx' ],
    [ 'coding and length',
        $post . "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
            . "0\r\n\r\n", 400, 'nginx' ],
    [ 'an unknown coding', $post . "Transfer-Encoding: gzip\r\n\r\n", 501,
        'nginx' ],
    [ 'chunked twice',
        $post . "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        qr/400|501/, 'nginx' ],
    [ 'two codings',
        $post . "Transfer-Encoding: chunked\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", qr/400|501/,
        'nginx' ],
    [ 'chunked, then identity',
        $post . "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        qr/400|501/, 'nginx' ],
    [ 'a coding in HTTP/1.0',
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "0\r\n\r\n", qr/400|501/ ],
    [ 'a vertical tab before the coding',
        $post . "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        qr/400|501/, 'nginx' ],
    [ 'a blank before the colon', $get . "X-A : b\r\n\r\n", 400, 'nginx' ],
    [ 'a blank before the colon of the length',
        $post . "Content-Length : 5\r\n\r\n", 400, 'nginx' ],
    [ 'a folded header', $get . "X-A: b\r\n c\r\n\r\n", 400 ],
    [ 'a blank before the first header',
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 ],
    [ 'a header without a colon', $get . "nonsense\r\n\r\n", 400 ],
    [ 'a header without a name', $get . ": b\r\n\r\n", 400 ],
    [ 'a NUL in a name', $get . "X\0A: b\r\n\r\n", 400, 'nginx' ],
    [ 'a NUL in a value', $get . "X-A: b\0c\r\n\r\n", 400, 'nginx' ],
    [ 'a bare CR in a value', $get . "X-A: b\rc\r\n\r\n", 400 ],
    [ 'a bare CR at the end', $get . "X-A: b\r\r\n\r\n", 400 ],
    [ 'bare LFs', "GET / HTTP/1.1\nHost: a\n\n", 400 ],
    [ 'a bare LF after the request line',
        "GET / HTTP/1.1\nHost: a\r\n\r\n", 400 ],
    [ 'a bare LF after a header', $get . "X-A: b\n\r\n", 400 ],
    [ 'a bare LF at the end of the header', $get . "\n", 400 ],
    [ 'no Host', "GET / HTTP/1.1\r\n\r\n", 400, 'nginx' ],
    [ 'two Hosts', $get . "Host: b\r\n\r\n", 400, 'nginx' ],
    [ 'a Host with a slash', "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400,
        'nginx' ],
    [ 'a Host with a blank', "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400,
        'nginx' ],
    [ 'a Host with a NUL', "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400,
        'nginx' ],
    [ 'a method with a control character',
        "GE\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 'nginx' ],
    [ 'a URI with a NUL', "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'a URI with a blank', "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400 ],
    [ 'a URI with a control character',
        "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400 ],
    [ 'a URI with an escaped NUL',
        "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400, 'nginx' ],
    [ 'a broken escape', "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'above the root', "GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'an unknown protocol', "GET / HTPT/1.1\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'an unknown version', "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505,
        'nginx' ],
    [ 'a version without a minor', "GET / HTTP/1\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'a version with a letter', "GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400,
        'nginx' ],
    [ 'TLS', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'x' x 60, 400,
        'nginx' ],
    [ 'a line that is too long',
        'GET /' . 'u' x 3000 . " HTTP/1.1\r\nHost: a\r\n\r\n", 414, 'nginx' ],
    [ 'a header that is too long', $get . 'X: ' . 'h' x 3000 . "\r\n\r\n",
        qr/400|431/, 'nginx' ],
    [ 'too many headers', $get . join('', map { "X-$_: " . 'h' x 1000
                    . "\r\n" } 1 .. 20) . "\r\n", qr/400|431/, 'nginx' ],
    [ 'CONNECT', "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        qr/400|405/, 'nginx' ],
);

for my $case (@refused) {
    my ($name, $request, $status, $nginx) = @$case;
    next if $t->is_nginx && !$nginx;

    for my $size (0, 1) {
        my $mark = $t->log_mark;
        my $c = $t->connect;
        $size ? $c->write_bytewise($request . $next)
            : $c->write($request . $next);
        my $r = $c->read_response(timeout => 5);
        my $rest = $c->read_all(5);
        my $how = $size ? "$name, byte by byte" : $name;
        ref $status ? like($r->status, $status, $how)
            : is($r->status, $status, $how);
        unlike($r . $rest, qr/smuggled/, '... and nothing follows');
        next if $size;
        ok($c->eof(0) || $c->was_reset, '... the connection ends');
        ok($t->wait_for_log(qr/\[(?:info|error|warn|notice)\].*client/,
            from => $mark), '... and the log says why');
    }
}

# What looks odd and is allowed.

my @served = (
    [ 'blanks around a value', $get . "X-A:  \t b \t \r\n\r\n" ],
    [ 'an empty value', $get . "X-A:\r\n\r\n" ],
    [ 'bytes beyond ASCII in a value', $get . "X-A: \xc3\xa4\xff\r\n\r\n" ],
    [ 'every token character in a name',
        $get . "!#\$%&'*+-.^_`|~1aA: b\r\n\r\n" ],
    [ 'a length with leading zeros', $post . "Content-Length: 003\r\n\r\nabc" ],
    [ 'a coding in capitals',
        $post . "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" ],
    [ 'an empty line before', "\r\n$get\r\n" ],
    [ 'an unknown method', "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ 'an absolute URI', "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" ],
    [ 'a later minor version', "GET / HTTP/1.2\r\nHost: a\r\n\r\n" ],
    [ 'a port in Host', "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n" ],
    [ 'an address as Host', "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" ],
);

for my $case (@served) {
    my ($name, $request) = @$case;
    for my $size (0, 1) {
        my $c = $t->connect;
        $size ? $c->write_bytewise($request . $next)
            : $c->write($request . $next);
        my $r = $c->read_response;
        is($r->body, "served /\n", $size ? "$name, byte by byte" : $name);
        is($c->read_response->body, "served /smuggled\n",
            '... and the next one is served') ;
    }
}

# Each byte of a good request, changed: an answer or the end, never a hang.

my $good = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
    . "Connection: close\r\n\r\nab";
my $wrong = 0;
for my $i (0 .. length($good) - 1) {
    for my $flip (0x01, 0x20, 0x80) {
        my $bytes = $good;
        substr($bytes, $i, 1) = chr(ord(substr $bytes, $i, 1) ^ $flip);
        my $got = $t->raw($bytes, shutdown => 1, timeout => 5);
        $wrong++, diag("no answer: $bytes => $got")
            if $got !~ m{^(?:HTTP/1\.[01] \d\d\d |\z)}
            && $got !~ /\A(?:served|<html)/;
    }
}
is($wrong, 0, 'each byte of a request changed');
like($t->get('/end'), qr/ 200 /, 'and the server goes on');

done_testing;
