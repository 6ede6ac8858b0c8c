#!/usr/bin/perl

# add_header, add_trailer, expires, remove_header: to which responses, and
# what an inner block gets of the outer one's.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/headers/)->config(<<'EOC');
http {
    add_header X-Http http;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;

        location /http { }
        location /own {
            add_header X-Own 1;
            add_header X-Own 2;
            add_header X-Var $arg_x;
            location /own/inner { }
            location /own/merge {
                add_header_inherit merge;
                add_header X-Inner inner;
                location /own/merge/deep { add_header X-Deep deep; }
                location /own/merge/none { }
            }
            location /own/off {
                add_header_inherit off;
                location /own/off/deep { }
                location /own/off/has {
                    add_header X-Has has;
                    location /own/off/has/deep { }
                }
            }
            location /own/if {
                if ($arg_go) { add_header X-If if; }
            }
        }
        location /status/ {
            add_header X-Safe safe;
            add_header X-Always always always;
            location /status/200 { return 200 x; }
            location /status/201 { return 201 x; }
            location /status/202 { return 202 x; }
            location /status/204 { return 204; }
            location /status/301 { return 301 /; }
            location /status/302 { return 302 /; }
            location /status/303 { return 303 /; }
            location /status/307 { return 307 /; }
            location /status/308 { return 308 /; }
            location /status/400 { return 400; }
            location /status/404 { return 404; }
            location /status/500 { return 500; }
        }
        location /special {
            add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
            add_header ETag '"mine"';
            add_header Cache-Control private;
            add_header Cache-Control max-age=5;
        }
        location /nodate { add_header Last-Modified ""; add_header ETag ""; }
        location /remove {
            remove_header Server Date ETag;
            remove_header last-modified;
            add_header X-Left left;
        }

        location /expires/ {
            location /expires/30d { expires 30d; }
            location /expires/zero { expires 0; }
            location /expires/minus { expires -1; }
            location /expires/modified { expires modified +1h; }
            location /expires/past { expires modified 1s; }
            location /expires/epoch { expires epoch; }
            location /expires/max { expires max; }
            location /expires/off { expires off; }
            location /expires/daily { expires @12h30m; }
            location /expires/var { expires $arg_e; }
            location /expires/404 { expires 30d; return 404; }
            location /expires/cc {
                expires 1h;
                add_header Cache-Control public;
            }
        }

        location /trailer {
            add_trailer X-Bytes $bytes_sent;
            add_trailer X-Fixed fixed;
            add_trailer X-Empty "";
            add_trailer X-Arg $uri;
            location /trailer/line { return 200 x; }
            location /trailer/empty { }
            location /trailer/404 { }
            location /trailer/always {
                add_trailer X-Always yes always;
                return 404;
            }
            location /trailer/merge {
                add_trailer_inherit merge;
                add_trailer X-More more;
            }
        }
    }
}
EOC
$t->write_file("html/$_", 'a file') for qw{
    http own/x own/inner/x own/merge/x own/merge/deep/x own/merge/none/x
    own/off/x own/off/deep/x own/off/has/x own/off/has/deep/x own/if/x
    special nodate remove trailer/x trailer/merge/x};
$t->write_file("html/expires/$_", 'a file')
    for qw/30d zero minus modified past epoch max off daily var cc/;
$t->write_file('html/trailer/empty', '');
my $now = time;
utime $now, $now, $t->testdir . '/html/expires/modified';
utime $now - 100, $now - 100, $t->testdir . '/html/expires/past';
$t->run;

# What a response has of the names in question, in order.
sub x {
    my ($r) = @_;
    return join ' ', map { $r->headers_all($_) }
        qw/X-Http X-Own X-Var X-Inner X-Deep X-Has X-If/;
}

is(x($t->get('/http')), 'http', 'from http');
is(x($t->get('/own/x')), '1 2', 'own ones replace them; empty ones are none');
is(x($t->get('/own/x?x=y')), '1 2 y', 'a variable');
is(x($t->get('/own/inner/x')), '1 2', 'inherited');
is(x($t->get('/own/merge/x')), '1 2 inner', 'merged');
is(x($t->get('/own/merge/deep/x')), '1 2 inner deep', 'merged again');
is(x($t->get('/own/merge/none/x')), '1 2 inner', 'nothing of its own');
is(x($t->get('/own/off/x')), '', 'not inherited');
is(x($t->get('/own/off/deep/x')), '', 'not inherited, deeper');
is(x($t->get('/own/off/has/x')), 'has', 'only its own');
is(x($t->get('/own/off/has/deep/x')), '', 'and these not, again');
is(x($t->get('/own/if/x')), '1 2', 'if, not so');
is(x($t->get('/own/if/x?go=1')), 'if', 'if');

for (200, 201, 204, 301, 302, 303, 307, 308, 202, 400, 404, 500) {
    my $r = $t->get("/status/$_");
    is($r->status, $_, "status $_");
    is($r->header('X-Safe'), /20[014]|3../ ? 'safe' : undef,
        "$_ without always");
    is($r->header('X-Always'), 'always', "$_ with always");
}
my $r = $t->get('/own/x', headers => [ Range => 'bytes=0-1' ]);
is($r->status, 206, 'a range');
is(x($r), '1 2', 'has them');
$r = $t->get('/own/x', headers => [
    'If-Modified-Since' => $t->get('/own/x')->header('Last-Modified') ]);
is($r->status, 304, 'not modified');
is(x($r), '1 2', 'has them');
is(x($t->head('/own/x')), '1 2', 'HEAD has them');

$r = $t->get('/special');
is(join('|', $r->headers_all('Last-Modified')),
    'Thu, 01 Jan 2015 00:00:00 GMT', 'Last-Modified is replaced');
is(join('|', $r->headers_all('ETag')), '"mine"', 'ETag is replaced');
is(join('|', $r->headers_all('Cache-Control')), 'private|max-age=5',
    'Cache-Control is added');
$r = $t->get('/nodate');
is($r->header('Last-Modified'), undef, 'Last-Modified removed');
is($r->header('ETag'), undef, 'ETag removed');

$r = $t->get('/remove');
is($r->header($_), undef, "$_ removed") for qw/Server Date ETag
    Last-Modified/;
is($r->header('X-Left'), 'left', 'others are not');
is($r->body, 'a file', 'nor is the body');

# Seconds may pass between two looks of the server at its clock.
sub http_time {
    my ($text) = @_;
    require HTTP::Tiny;
    return HTTP::Tiny->new->_parse_http_date($text);
}
sub about { return abs($_[0] - $_[1]) <= 10 }

my %cc = ('30d' => 'max-age=2592000', zero => 'max-age=0',
    minus => 'no-cache', past => 'no-cache', epoch => 'no-cache',
    max => 'max-age=315360000', off => undef, var => undef);
for (sort keys %cc) {
    is($t->get("/expires/$_")->header('Cache-Control'), $cc{$_},
        "Cache-Control of expires $_");
}
# From the response's own time, or from that of the file.
my %after = ('30d' => 2592000, zero => 0, minus => -1);
for (sort keys %after) {
    $r = $t->get("/expires/$_");
    my $got = $r->header('Expires');
    ok(about(http_time($got), http_time($r->header('Date')) + $after{$_}),
        "Expires of expires $_: $got");
}
my %at = (epoch => 1, modified => $now + 3600, past => $now - 99);
for (sort keys %at) {
    my $got = $t->get("/expires/$_")->header('Expires');
    is(http_time($got), $at{$_}, "Expires of expires $_: $got");
}
is($t->get('/expires/max')->header('Expires'),
    'Thu, 31 Dec 2037 23:55:55 GMT', 'expires max');
is($t->get('/expires/off')->header('Expires'), undef, 'expires off');
$r = $t->get('/expires/daily');
my ($age) = $r->header('Cache-Control') =~ /^max-age=(\d+)$/;
ok(defined $age && $age <= 90000, 'expires @time: within a day');
ok(about(http_time($r->header('Expires')), $r->header('Date')
    ? http_time($r->header('Date')) + $age : 0), 'and both agree');
my ($min) = (localtime http_time($r->header('Expires')))[1];
is($min, 30, 'at that minute');
is($t->get('/expires/var?e=1h')->header('Cache-Control'), 'max-age=3600',
    'a variable');
is($t->get('/expires/var?e=max')->header('Cache-Control'),
    'max-age=315360000', 'a variable, a word');
is($t->get('/expires/var?e=nonsense')->header('Expires'), undef,
    'a variable that is no time');
is($t->get('/expires/404')->header('Expires'), undef, 'not for errors');
is(join('|', $t->get('/expires/cc')->headers_all('Cache-Control')),
    'max-age=3600|public', 'with an add_header of the same name');

# Trailers.

$r = $t->get('/trailer/x');
is($r->body, 'a file', 'the body');
is($r->header('Content-Length'), undef, 'chunked');
like($r->trailer('X-Bytes'), qr/^\d+$/, 'a trailer, computed at the end');
is($r->trailer('X-Fixed'), 'fixed', 'a fixed one');
is($r->trailer('X-Empty'), undef, 'an empty one is none');
ok($r->complete, 'the response is well-formed');
$r = $t->get('/trailer/empty');
is($r->body . $r->trailer('X-Fixed'), 'fixed', 'of an empty body');
$r = $t->get('/trailer/404');
is($r->status, 404, 'an error');
is($r->trailer('X-Fixed'), undef, 'has none');
is($t->get('/trailer/always')->trailer('X-Always'), 'yes', 'unless always');
$r = $t->get('/trailer/merge/x');
is($r->trailer('X-More') . $r->trailer('X-Fixed'), 'morefixed', 'merged');
$r = $t->get('/trailer/x', version => '1.0');
is($r->body, 'a file', 'HTTP/1.0');
is($r->header('Content-Length'), 6, 'is not chunked');
$r = $t->head('/trailer/x');
ok($r->complete && $r->body eq '', 'HEAD');
$r = $t->get('/trailer/line%0d%0aX-Evil:%20y');
is($r->trailer('X-Arg'), '/trailer/line  X-Evil: y', 'a trailer is one line');
is($r->trailer('X-Evil'), undef, 'whatever is in the URI');
my $c = $t->connect(80);
for (1 .. 3) {
    $c->send_request(path => '/trailer/x');
    is($c->read_response->trailer('X-Fixed'), 'fixed', "kept alive, $_");
}

for (
    [ 'add_header X;', qr/invalid number of arguments in "add_header"/ ],
    [ 'add_header X y sometimes;', qr/sometimes.*always/s ],
    [ 'add_header "" y;', qr/the name of a field is empty/ ],
    [ 'add_header X $nobody;', qr/unknown "nobody" variable/ ],
    [ 'add_header_inherit maybe;', qr/maybe.*merge/s ],
    [ 'expires never;', qr/invalid time: "never"/ ],
    [ 'expires @25h;', qr/less than 24 hours/ ],
    [ 'expires modified @1h;', qr/cannot be used with "modified"/ ],
    [ 'expires after 1h;', qr/after.*modified/s ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config("http { $text server { } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
