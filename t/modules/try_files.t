#!/usr/bin/perl

# try_files: files, directories, fallbacks, and how it goes with alias.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/try_files/)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        add_header X-Uri $uri;

        location / { try_files $uri $uri/ =404; }
        location /app/ { try_files $uri /app.html; }
        location /named/ { try_files $uri @named; }
        location @named { return 200 "named $uri $args"; }
        location /args/ { try_files $uri /show?from=$uri&$args; }
        location = /show { return 200 "show $args"; }
        location /code/ { try_files $uri =410; }
        location /code/204 { try_files /none =204; }
        location /list/ { try_files /none /b.txt /a.txt =404; }
        location /fixed { try_files /a.txt =404; }
        location /noindex { try_files $uri /dir/ =404; }
        location /alias/ {
            alias %%TESTDIR%%/html/real/;
            try_files $uri $uri/ /app.html;
        }
        location /aliasvar/ {
            alias %%TESTDIR%%/html/real/;
            try_files $uri /aliasvar/other$is_args$args;
        }
        location ~ ^/re/(.*)$ {
            alias %%TESTDIR%%/html/real;
            try_files /$1 /app.html;
        }
        location /outer {
            try_files /a.txt =404;
            location /outer/inner { }
        }
        location /self/ { try_files /none /self/again; }
        location /type { try_files /a.txt =404; }
        location /regex/ { try_files $uri.txt =404; }
        location ~ \.txt$ { add_header X-Loc txt; }
        location /nowhere { try_files /none @nowhere; }
        location /if {
            if ($arg_x) { add_header X-If yes; }
            try_files /a.txt =404;
        }
        location /empty { try_files /none $arg_e; }
    }
    server {
        listen %%PORT_81%%;
        root %%TESTDIR%%/html;
        try_files $uri /app.html;
        location /loc { }
    }
}
EOC
$t->write_file('html/a.txt', 'a');
$t->write_file('html/b.txt', 'b');
$t->write_file('html/app.html', 'app');
$t->write_file('html/dir/index.html', 'index');
$t->write_file('html/app/file', 'app file');
$t->write_file('html/real/x', 'real x');
$t->write_file('html/real/sub/index.html', 'real index');
$t->write_file('html/regex/y.txt', 'y');
mkdir $t->testdir . '/html/bare';
$t->run;

sub body { return $t->get(@_)->body }

is(body('/a.txt'), 'a', 'a file');
is($t->get('/dir')->status, 301, 'a directory without its slash');
is(body('/dir/'), 'index', 'a directory');
is($t->get('/bare/')->status, 403, 'a directory without index');
is($t->get('/none')->status, 404, 'nothing: the code');
is($t->get('/none/')->status, 404, 'nothing, with a slash');
is($t->get('/a.txt/')->status, 404, 'a file is no directory');

is(body('/app/file'), 'app file', 'a file');
is(body('/app/none'), 'app', 'else a URI');
is($t->get('/app/none')->header('X-Uri'), '/app.html',
    'which is the URI then');
is(body('/named/x?y'), 'named /named/x y',
    'a named location, the URI as it was');
is(body('/args/x?y=1'), 'show from=/args/x&y=1', 'arguments');
is($t->get('/code/none')->status, 410, 'a code');
is($t->get('/code/204')->status, 204, 'a code that is no error');
is(body('/list/x'), 'b', 'the first of several');
is($t->get('/list/x')->header('X-Loc'), undef, 'in this location');
is(body('/fixed'), 'a', 'a fixed name');
is($t->get('/type')->header('Content-Type'), 'text/plain',
    'the type is that of the file found');
is(body('/regex/y'), 'y', 'text around a variable');

is(body('/if'), 'a', 'an "if" that does not hold');
is(body('/if?x=1'), 'a', 'and one that does');
is($t->get('/if?x=1')->header('X-If'), 'yes', 'which has its effect');

is(body('/alias/x'), 'real x', 'alias: a file');
is(body('/alias/sub/'), 'real index', 'alias: a directory');
is($t->get('/alias/sub')->header('Location'),
    'http://localhost:' . $t->port(80) . '/alias/sub/',
    'alias: a directory without its slash');
is(body('/alias/none'), 'app', 'alias: else a URI');
is(body('/aliasvar/x'), 'real x', 'alias: a file');
like($t->get('/aliasvar/none?a')->status, qr/500/,
    'alias: the last is a URI as it stands, here a cycle');
is(body('/re/x'), 'real x', 'alias of a regex: a file');
is(body('/re/none'), 'app', 'alias of a regex: else a URI');

is(body('/outer/x'), 'a', 'a location');
is($t->get('/outer/inner')->status, 404, 'an inner one does not inherit');
is($t->get('/self/x')->status, 500, 'a cycle ends');
like($t->log, qr/rewrite or internal redirection cycle/, 'and is logged');
is($t->get('/nowhere')->status, 500, 'no such named location');
is($t->get('/empty')->status, 500, 'an empty last argument');
is(body('/empty?e=/b.txt'), 'b', 'one that is not');

is(body('/none', port => 81), 'app', 'in a server');
is($t->get('/loc', port => 81)->status, 404, 'not for its locations');

is($t->post('/app/none', 'x')->status, 405, 'POST of a file');
is($t->head('/app/none')->body, '', 'HEAD');

for (
    [ 'try_files $uri;', qr/invalid number of arguments in "try_files"/ ],
    [ 'try_files $uri =40x;', qr/invalid code "=40x"/ ],
    [ 'try_files $uri =1000;', qr/invalid code "=1000"/ ],
    [ 'try_files $nobody =404;', qr/unknown "nobody" variable/ ],
    [ 'try_files a =404; try_files b =404;', qr/"try_files".*duplicate/ ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config("http { server { $text } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
