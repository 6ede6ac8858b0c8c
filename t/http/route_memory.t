#!/usr/bin/perl

# "file_mode memory" in a route to one file: the file stays as it was until a
# reload, even if it is removed.  Below a directory it does not.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/static/);
my $dir = $t->testdir;
my $large = join '', map { chr(65 + $_ % 26) } 1 .. 300_000;

$t->write_file('www/icon.ico', 'an icon');
$t->write_file('www/large', $large);
$t->config(<<'EOC');
http {
    types { image/x-icon ico; }
    server {
        listen %%PORT_80%%;
        route /icon.ico { alias %%TESTDIR%%/www/icon.ico; file_mode memory; }
        route /large    { alias %%TESTDIR%%/www/large; file_mode memory; }
        route /dir      { alias %%TESTDIR%%/www; file_mode memory; }
        route /late     { alias %%TESTDIR%%/www/late; file_mode memory; }
    }
}
EOC
$t->run;

my $r = $t->get('/icon.ico');
is($r->body, 'an icon', 'it is served');
is($r->header('Content-Type'), 'image/x-icon', '... with its type');
is($t->get('/large')->body, $large, 'a large one as well');
is($t->get('/dir/icon.ico')->body, 'an icon', 'and below a directory');
is($t->get('/late')->status, 404, 'what is not there is not remembered');

unlink "$dir/www/icon.ico", "$dir/www/large";
$t->write_file('www/late', 'now');
is($t->get('/icon.ico')->body, 'an icon', 'removed, it is still served');
is($t->get('/large')->body, $large, 'a large one as well');
is($t->get('/large', headers => [ Range => 'bytes=26-29' ])->body, 'BCDE',
    'a part of it');
is($t->get('/dir/icon.ico')->status, 404, 'below a directory it is gone');
is($t->get('/late')->body, 'now', 'what came late is found');

$t->write_file('www/icon.ico', 'another');
is($t->get('/icon.ico')->body, 'an icon', 'a new one is not seen');
ok($t->reload, 'a reload');
is($t->get('/icon.ico')->body, 'another', '... brings it');

done_testing;
