#!/usr/bin/perl

# redirect: where to, with which status, and with what of the URI.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/redirect/)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        server_name a.example;

        location / { redirect https://www.example.com/; }
        location /path { redirect /elsewhere; }
        location /all { redirect https://example.com$request_uri; }
        location /rest/ { redirect https://example.com/x/$path; }
        location /302 { redirect http://b.example/ status=302; }
        location /303 { redirect http://b.example/ status=303; }
        location /307 { redirect http://b.example/ status=307; }
        location /308 { redirect http://b.example/ status=308; }
        route /legacy/ {
            redirect https://example.com/v2 status=301 preserve_path;
        }
        route /slash { redirect https://example.com/v2/ preserve_path; }
        location /loc/ { redirect https://example.com/v2 preserve_path; }
        location ~ ^/re/(\d+)$ { redirect https://example.com/n/$1; }
        location /own {
            redirect http://b.example/;
            location /own/inner { return 404; }
            location /own/none { root %%TESTDIR%%; }
        }
        location /if {
            if ($arg_go) { redirect http://b.example/if; }
            root %%TESTDIR%%/html;
        }
    }
    server {
        listen %%PORT_80%%;
        server_name http.example;
        redirect https://example.com$request_uri;
    }
}
EOC
$t->write_file('html/if', 'stays');
$t->run;

sub to {
    my ($path, $want, $what, %o) = @_;
    my $status = delete $o{want} // 301;
    my $r = $t->get($path, %o);
    is($r->status, $status, "$what: status");
    is($r->header('Location'), $want, "$what: where to");
}

to('/', 'https://www.example.com/', 'a URL');
to('/a/b?c', 'https://www.example.com/', 'whatever lies below');
to('/path', 'http://a.example:' . $t->port(80) . '/elsewhere', 'a path',
    host => 'a.example:' . $t->port(80));
to('/all/x?y=1', 'https://example.com/all/x?y=1', '$request_uri');
to('/all/%20?y=%2f', 'https://example.com/all/%20?y=%2f',
    '$request_uri as received');
to('/rest/a/b', 'https://example.com/x/a/b', '$path');
to('/rest//a/b?c', 'https://example.com/x/a/b', '$path has no slash in front');
to("/$_", 'http://b.example/', $_, want => $_) for 302, 303, 307, 308;

to('/legacy/users', 'https://example.com/v2/users', 'preserve_path');
to('/legacy/api/data', 'https://example.com/v2/api/data', 'deeper');
to('/legacy/', 'https://example.com/v2', 'the prefix itself');
to('/legacy', 'https://example.com/v2', 'without its slash');
to('/legacy/a?b=c&d', 'https://example.com/v2/a?b=c&d', 'with the query');
to('/legacy?b=c', 'https://example.com/v2?b=c', 'only the query');
to('/legacy/a/', 'https://example.com/v2/a/', 'a slash at the end');
to('/legacy/a%20b%0d%0aX:%20y', 'https://example.com/v2/a%20b%0D%0AX:%20y',
    'escaped again');
to('/slash/a', 'https://example.com/v2/a', 'one slash between');
to('/slash', 'https://example.com/v2/', 'none is taken away');
to('/loc/a', 'https://example.com/v2/a', 'in a location');
to('/re/17', 'https://example.com/n/17', 'captures');
to('/a?b=c', 'https://example.com/a?b=c', 'in a server',
    host => 'http.example');

is($t->get('/own/inner')->status, 404, 'it is not inherited');
is($t->get('/own/none')->status, 404, 'it is not inherited');
is($t->get('/if')->body, 'stays', 'if, not so');
to('/if?go=1', 'http://b.example/if', 'if');
is($t->post('/308', 'a body')->status, 308, 'a POST');

for (
    [ 'redirect http://a/ status=300;', qr/invalid status "300"/ ],
    [ 'redirect http://a/ status=304;', qr/invalid status "304"/ ],
    [ 'redirect http://a/ keep_path;', qr/keep_path.*preserve_path/s ],
    [ 'redirect;', qr/invalid number of arguments in "redirect"/ ],
    [ 'redirect "";', qr/the URL of a redirect is empty/ ],
    [ 'redirect http://a/?b preserve_path;', qr/cannot have a query/ ],
    [ 'redirect http://a/ ; redirect http://b/;', qr/"redirect".*duplicate/ ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config(
        "http { server { listen %%PORT_80%%; $text } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
