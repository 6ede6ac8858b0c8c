#!/usr/bin/perl

# Files that change, shrink, vanish or were never files, while they are sent.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->config(<<'EOC');
worker_processes 1;
http {
    default_type text/plain;
    server {
        listen %%PORT_80%% sndbuf=256k;
        root %%TESTDIR%%/html;
        sendfile on;
    }
    server {
        listen %%PORT_81%% sndbuf=256k;
        root %%TESTDIR%%/html;
        sendfile off;
    }
    server {
        listen %%PORT_82%%;
        root %%TESTDIR%%/html;
        open_file_cache max=10 inactive=60s;
        open_file_cache_valid 60s;
        open_file_cache_errors on;
        open_file_cache_min_uses 1;
    }
    server {
        listen %%PORT_83%%;
        root %%TESTDIR%%/html;
        disable_symlinks on from=%%TESTDIR%%;
    }
}
EOC
# A file that shrinks under a server is worth an alert.
$t->allow_alerts(qr/truncated|read only \d+ of/);

my $dir = $t->testdir . '/html';
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 2_000_000;
$t->write_file('html/large', $large);
$t->write_file('html/small', 'small');
$t->run;

for my $port (80, 81) {
    my $how = $port == 80 ? 'sendfile' : 'memory';

    my $r = $t->get('/large', port => $port);
    is(length $r->body, length $large, "$how: a large file");
    ok($r->body eq $large, "$how: unchanged");
    for my $range ([ 0, 0 ], [ 4095, 4096 ], [ 65535, 131072 ],
        [ length($large) - 1, length($large) - 1 ])
    {
        my ($from, $to) = @$range;
        $r = $t->get('/large', port => $port,
            headers => [ Range => "bytes=$from-$to" ]);
        is($r->body, substr($large, $from, $to - $from + 1),
            "$how: bytes $from to $to");
    }

    # One that shrinks while a slow client reads it.
    my $name = "shrink$port";
    $t->write_file("html/$name", $large);
    my $c = $t->connect($port, rcvbuf => 4096);
    $c->send_request(path => "/$name");
    $c->read_bytes(1000);
    truncate "$dir/$name", 1000;
    $r = $c->read_all(20);
    cmp_ok(length $r, '<', length $large, "$how: a file that shrank is short");
    ok($c->eof(0) || $c->was_reset,
        "$how: and the connection ends, as its length is wrong");

    # One that is replaced: what was opened is what is sent.
    $name = "replaced$port";
    $t->write_file("html/$name", $large);
    $c = $t->connect($port, rcvbuf => 4096);
    $c->send_request(path => "/$name");
    my $begin = $c->read_until(qr/\r\n\r\n/);
    $t->write_file("html/$name.new", 'x' x length $large);
    rename "$dir/$name.new", "$dir/$name";
    my ($whole) = $begin =~ /Content-Length: (\d+)/;
    ok($c->read_bytes($whole, 40) eq $large,
        "$how: a file that was replaced stays itself");
    is($t->get("/$name", port => $port)->body, 'x' x length $large,
        "$how: the next request gets the new one");

    # One that grows: the length that was announced holds.
    $t->write_file("html/grow$port", 'g' x 3_000_000);
    $c = $t->connect($port, rcvbuf => 4096);
    $c->send_request(path => "/grow$port");
    my $head = $c->read_until(qr/\r\n\r\n/);
    $t->append_file("html/grow$port", 'more');
    my ($length) = $head =~ /Content-Length: (\d+)/;
    is($length, 3_000_000, "$how: a file that grows");
    ok($c->read_bytes($length, 40) eq 'g' x 3_000_000,
        "$how: is sent as it was");
    $c->send_request(path => '/small');
    is($c->read_response->body, 'small', "$how: and the next one is right");

    is($t->get('/small', port => $port)->body, 'small', "$how: still well");
}

# With the cache: an entry that is valid is believed, errors as well.

is($t->get('/small', port => 82)->body, 'small', 'cached');
is($t->get('/small', port => 82)->body, 'small', 'cached, again');
is($t->get('/none', port => 82)->status, 404, 'not there');
$t->write_file('html/none', 'now there');
is($t->get('/none', port => 82)->status, 404, 'an error is kept, too');
is($t->get('/none')->body, 'now there', 'elsewhere it is there');
$t->write_file("html/f$_", "file $_") for 1 .. 30;
my @want = map {"file $_"} 1 .. 30;
for my $round (1, 2) {
    is_deeply([ map { $t->get("/f$_", port => 82)->body } 1 .. 30 ], \@want,
        "more files than the cache holds, round $round");
}

# What is not a file, or not to be read.

mkdir "$dir/sub";
symlink 'small', "$dir/link" or die;
symlink '/nowhere', "$dir/dangling" or die;
require POSIX;
POSIX::mkfifo("$dir/fifo", 0644) or die;
$t->write_file('html/secret', 'secret');
chmod 0, "$dir/secret";
is($t->get('/link')->body, 'small', 'a symbolic link');
is($t->get('/dangling')->status, 404, 'one to nowhere');
is($t->get('/link', port => 83)->status, 403, 'disable_symlinks');
is($t->get('/small', port => 83)->body, 'small', 'without a link');
like($t->get('/fifo')->status, qr/^40[34]$/, 'a fifo is no file');
is($t->get('/sub/')->status, 403, 'a directory without index');
is($t->get('/small/x')->status, 404, 'a file is no directory');
is($t->get('/secret')->status, 403, 'a file that may not be read');
is($t->get('/' . 'n' x 300)->status, 404, 'a name longer than names may be');
is($t->get('/small')->body, 'small', 'and the server goes on');

done_testing;
