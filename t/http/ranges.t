#!/usr/bin/perl

# Parts of a file, and conditions on it: 206, 304, 412, 416.  What nginx does
# the same way is tried with it, too (TEST_VEIL_BINARY).

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->config(<<'EOC');
http {
    default_type text/plain;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        add_header X-Always a always;
        location /one/ { max_ranges 1; }
        location /none/ { max_ranges 0; }
        location /off/ { if_modified_since off; }
        location /before/ { if_modified_since before; }
        location /noetag/ { etag off; }
        location /text { return 200 "0123456789"; }
        location /page/ {
            error_page 412 416 /page.txt;
        }
    }
}
EOC
my $text = join '', 'a' .. 'z';
my $date = 784111777;
my $http_date = 'Sun, 06 Nov 1994 08:49:37 GMT';
my $earlier = 'Sun, 06 Nov 1994 08:49:36 GMT';
my $later = 'Sun, 06 Nov 1994 08:49:38 GMT';
for my $name (map({ "html/$_/f" } qw/one none off before noetag page/),
    'html/f', 'html/page.txt')
{
    utime $date, $date, $t->write_file($name, $text);
}
utime $date, $date, $t->write_file('html/empty', '');
$t->run;

my $etag = $t->get('/f')->header('ETag');
like($etag, qr/^"[0-9a-f]+-1a"$/, 'a strong entity tag');

sub ask {
    my ($path, @headers) = @_;
    return $t->get($path, headers => \@headers);
}

# One range.

for my $case ([ '0-0', 'a', '0-0' ], [ '0-', $text, '0-25' ],
    [ '25-', 'z', '25-25' ], [ '3-5', 'def', '3-5' ], [ '-3', 'xyz', '23-25' ],
    [ '-100', $text, '0-25' ], [ '24-99', 'yz', '24-25' ],
    [ '30-40, 1-2', 'bc', '1-2' ])
{
    my ($range, $want, $sent) = @$case;
    my $r = ask('/f', Range => "bytes=$range");
    is($r->status, 206, "bytes=$range");
    is($r->body, $want, '... the bytes');
    is($r->header('Content-Range'), "bytes $sent/26", '... Content-Range');
    is($r->header('ETag'), $etag, '... ETag');
    ok($r->complete, '... well formed');
}

# Not a range after all.

for my $case ([ 'lines=0-1' ], [ 'bytes=0-20,10-25' ], [ '' ])
{
    my $r = ask('/f', Range => $case->[0]);
    is($r->status, 200, "Range: $case->[0]");
    is($r->body, $text, '... is the whole');
    is($r->header('Accept-Ranges'), 'bytes', '... and says that it could');
}
is(ask('/text', Range => 'bytes=1-2')->status, 200, 'a text is not cut');
is(ask('/empty', Range => 'bytes=0-1')->status, 200, 'nothing of nothing');
is(ask('/none/f', Range => 'bytes=0-1')->status, 200, 'max_ranges 0');
is(ask('/one/f', Range => 'bytes=0-1')->status, 206, 'max_ranges 1: one');
is(ask('/one/f', Range => 'bytes=0-1,3-4')->status, 200, '... two');
unless ($t->is_nginx) {
    my $r = $t->head('/f', headers => [ Range => 'bytes=0-1' ]);
    is($r->status, 200, 'HEAD describes the whole');
    is($r->header('Content-Length'), 26, '... with its length');
}

# Several.

my $r = ask('/f', Range => 'bytes=20-22, 0-1 , -1');
is($r->status, 206, 'three ranges');
my ($boundary) = ($r->header('Content-Type') // '')
    =~ m{^multipart/byteranges; boundary=(\S+)$};
ok(defined $boundary, '... of one type');
is($r->header('Content-Range'), undef, '... no Content-Range of the whole');
my @parts = split /\r\n--\Q$boundary\E/, $r->body;
is(scalar @parts, 5, '... three parts');
is(pop @parts, "--\r\n", '... and an end');
my @want = ([ '20-22', 'uvw' ], [ '0-1', 'ab' ], [ '25-25', 'z' ]);
for my $i (0 .. 2) {
    is($parts[ $i + 1 ], "\r\nContent-Type: text/plain\r\nContent-Range: bytes "
        . "$want[$i][0]/26\r\n\r\n$want[$i][1]", "... part $i");
}
is($r->header('Content-Length'), length $r->body, '... the length');

# Not satisfiable.

for my $range ('26-', '100-200', '-0', 'x', '5') {
    $r = ask('/f', Range => "bytes=$range");
    is($r->status, 416, "bytes=$range");
    is($r->header('Content-Range'), 'bytes */26', '... says how long it is');
}
$r = ask('/page/f', Range => 'bytes=100-');
is($r->status, 416, 'error_page for 416');
is($r->body, $text, '... is sent');

# If-Range.

for my $case ([ $etag, 206 ], [ '"other"', 200 ], [ $http_date, 206 ],
    [ $later, 200 ], [ $earlier, 200 ], [ 'nonsense', 200 ])
{
    is(ask('/f', Range => 'bytes=0-1', 'If-Range' => $case->[0])->status,
        $case->[1], "If-Range: $case->[0]");
}
is(ask('/f', Range => 'bytes=0-1', 'If-Range' => "W/$etag")->status, 200,
    'a weak tag does not do for If-Range');

# Conditions.

my @conditions = (
    [ 304, 'If-None-Match' => $etag ],
    [ 304, 'If-None-Match' => "W/$etag" ],
    [ 304, 'If-None-Match' => qq("x", $etag) ],
    [ 304, 'If-None-Match' => '*' ],
    [ 200, 'If-None-Match' => '"x"' ],
    [ 304, 'If-Modified-Since' => $http_date ],
    [ 200, 'If-Modified-Since' => $earlier ],
    [ 200, 'If-Modified-Since' => $later ],
    [ 200, 'If-Modified-Since' => 'nonsense' ],
    [ 200, 'If-None-Match' => '"x"', 'If-Modified-Since' => $http_date ],
    [ 304, 'If-None-Match' => $etag, 'If-Modified-Since' => $http_date ],
    [ 200, 'If-Match' => $etag ],
    [ 200, 'If-Match' => '*' ],
    [ 412, 'If-Match' => '"x"' ],
    [ 412, 'If-Match' => "W/$etag" ],
    [ 200, 'If-Unmodified-Since' => $http_date ],
    [ 200, 'If-Unmodified-Since' => $later ],
    [ 412, 'If-Unmodified-Since' => $earlier ],
    [ 304, 'If-Match' => $etag, 'If-None-Match' => $etag ],
    [ 412, 'If-Match' => '"x"', 'If-None-Match' => $etag ],
    [ 304, 'If-None-Match' => $etag, Range => 'bytes=0-1' ],
    [ 206, 'If-None-Match' => '"x"', Range => 'bytes=0-1' ],
    [ 412, 'If-Match' => '"x"', Range => 'bytes=0-1' ],
);
# What RFC 9110 wants and nginx does not do.
push @conditions, (
    [ 304, 'If-None-Match' => $etag, 'If-Modified-Since' => $earlier ],
    [ 200, 'If-Match' => $etag, 'If-Unmodified-Since' => $earlier ],
    [ 200, 'If-Unmodified-Since' => 'nonsense' ],
) unless $t->is_nginx;
for my $case (@conditions) {
    my ($status, @headers) = @$case;
    $r = ask('/f', @headers);
    is($r->status, $status, join ' ', @headers);
    ok($r->complete, '... well formed');
    next if $status != 304;
    is($r->body, '', '... no body');
    is($r->header('ETag'), $etag, '... ETag');
    is($r->header('Last-Modified'), $http_date, '... Last-Modified');
    is($r->header('Content-Length'), undef, '... no Content-Length');
    is($r->header('Content-Type'), undef, '... no Content-Type');
}
is(ask('/off/f', 'If-Modified-Since' => $http_date)->status, 200,
    'if_modified_since off');
is(ask('/before/f', 'If-Modified-Since' => $later)->status, 304,
    'if_modified_since before');
is(ask('/before/f', 'If-Modified-Since' => $earlier)->status, 200,
    '... not if it is newer');
is(ask('/noetag/f')->header('ETag'), undef, 'etag off');
is(ask('/noetag/f', 'If-None-Match' => $etag)->status, 200,
    '... then no tag matches');
is(ask('/text', 'If-None-Match' => '"x"')->status, 200, 'a text has no tag');
$r = ask('/page/f', 'If-Match' => '"x"');
is($r->status, 412, 'error_page for 412');
is($r->body, $text, '... is sent');

# A connection goes on after all of these.

my $c = $t->connect;
for my $headers ([ Range => 'bytes=1-2' ], [ 'If-None-Match' => $etag ],
    [ Range => 'bytes=0-1,3-4' ], [ Range => 'bytes=99-' ],
    [ 'If-Match' => '"x"' ], [])
{
    $r = $c->request(path => '/f', headers => $headers);
    ok($r->complete || $t->is_nginx, "one after the other");
}

done_testing;
