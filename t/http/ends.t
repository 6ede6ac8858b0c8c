#!/usr/bin/perl

# How connections and requests end when something else happens meanwhile:
# files that shrink, bodies nobody reads, a server that leaves.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Time::HiRes qw/time sleep/;

my $t = Test::Veil->new->config(<<'EOC');
worker_processes 1;
http {
    sendfile_max_chunk 0;
    server {
        listen %%PORT_80%% sndbuf=256k;
        root %%TESTDIR%%/html;
        lingering_timeout 4s;
        location /yes { return 200 yes; }
        location /413 { client_max_body_size 10; return 200 no; }
    }
    server {
        listen %%PORT_81%%;
        root %%TESTDIR%%/html;
        error_page 404 =200 $arg_page;
    }
    server {
        listen %%PORT_82%%;
        keepalive_drain_grace 60s;
        location /yes { return 200 yes; }
    }
}
EOC
$t->allow_alerts(qr/truncated/);
my $dir = $t->testdir . '/html';
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 2_000_000;
$t->write_file('html/small', 'small');
$t->write_file('html/shrink', $large);
$t->run;

# What follows an answer that came out too short would be taken for its rest.

my $c = $t->connect(80, rcvbuf => 4096);
$c->write(("GET /shrink HTTP/1.1\r\nHost: a\r\n\r\n"
    . "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"));
my $text = $c->read_bytes(1000);
truncate "$dir/shrink", 100_000;
$text .= $c->read_all(20);
cmp_ok(length $text, '<', length $large, 'a file shrank while it was sent');
is(() = $text =~ m{HTTP/1\.1 200}g, 1, 'and nothing was sent behind it');

# The time without data counts, not the whole, when a body is thrown away.

$c = $t->connect;
$c->write("POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
is($c->read_response->body, 'yes', 'answered before its body');
my $large_one = $t->connect;
$large_one->write(
    "POST /413 HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n");
is($large_one->read_response->status, 413, 'too large');
my $alive = 1;
for (1 .. 9) {
    sleep 0.5;
    $c->write('x');
    $alive &&= $large_one->write('x');
}
is($c->get('/yes')->body, 'yes', 'a slow body is thrown away to its end');
ok($alive && !$large_one->was_reset, 'and one that is too large may be sent');
$large_one->close;

# An error page that cannot be found does not turn the error into success.

is($t->get('/missing?page=@nowhere', port => 81)->status, 500,
    'no such named location');

# A client that only just came, and one whose body is thrown away.

my $new = $t->connect(82);
my $busy = $t->connect;
$busy->write("POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
is($busy->read_response->body, 'yes', 'the beginning of a body');
my $idle = $t->connect;
is($idle->get('/yes')->body, 'yes', 'a connection that is idle then');
my $mark = $t->log_mark;
$t->signal('QUIT');
ok($t->wait_for_log(qr/gracefully shutting down/, from => $mark), 'a drain');
is($new->get('/yes')->body, 'yes', 'a drain leaves what has not begun');
ok($new->eof, 'which ends after that');
$busy->write('xxx');
ok($idle->eof, 'what is idle is closed');
ok($busy->eof, 'so does one whose body was thrown away');

done_testing;
