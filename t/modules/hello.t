#!/usr/bin/perl

# The example of a third-party module, built with --add-module=examples/hello.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/hello/)->plan(9)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%;

        location /hello {
            hello "Hello, $remote_addr!";
            hello_header on;

            location /hello/file { }
        }
        location /plain {
            return 200 plain;
        }
    }
}
EOC
$t->write_file('hello/file/a.txt', 'a file');
$t->run;

my $r = $t->get('/hello');
like($r, qr/ 200 /, 'the handler answers');
is($r->body, 'Hello, 127.0.0.1!', 'with the text, variables expanded');
is($r->header('Content-Type'), 'text/plain', 'as text');
is($r->header('X-Hello'), 'yes', 'the filter adds its header');

$r = $t->get('/hello/file/a.txt');
is($r->body, 'a file', 'the text is the location\'s own');
is($r->header('X-Hello'), 'yes', 'the header is inherited');

is($t->get('/plain')->header('X-Hello'), undef, 'and off by default');

is($t->head('/hello')->body, '', 'HEAD has no body');
like($t->post('/hello', 'x'), qr/ 405 /, 'POST is refused');
