#!/usr/bin/perl

# The ways a file is sent, each with sizes around its limits, and what
# open_file_cache keeps of files that change.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my @modes = qw/sendfile memory auto off/;
my $servers = '';
my %port;
for my $mode (@modes) {
    my $how = $mode eq 'off' ? 'sendfile off;' : "file_mode $mode;";
    for my $cache ('', 'cached') {
        my $n = keys(%port) + 1;
        $port{"$mode $cache"} = $n;
        my $text = $cache ? 'open_file_cache max=100;' : '';
        $servers .= "server { listen %%PORT_$n%%; $how $text }\n";
    }
}
$t->config(<<"EOC");
worker_processes 1;
http {
    default_type text/plain;
    root %%TESTDIR%%/html;
    $servers
    open_file_cache_valid 300ms;
    server { listen %%PORT_short%%; open_file_cache max=100 inactive=60s; }
    server {
        listen %%PORT_nocontent%%;
        open_file_cache max=100;
        open_file_cache_content 0;
    }
    server {
        listen %%PORT_uses%%;
        open_file_cache max=100;
        open_file_cache_min_uses 3;
        open_file_cache_valid 60s;
    }
    server {
        listen %%PORT_errors%%;
        open_file_cache max=100;
        open_file_cache_valid 60s;
        open_file_cache_errors on;
    }
    server {
        listen %%PORT_shorterrors%%;
        open_file_cache max=100;
        open_file_cache_errors on;
    }
    server {
        listen %%PORT_noerrors%%;
        open_file_cache max=100;
        open_file_cache_valid 60s;
    }
    server {
        listen %%PORT_links%%;
        open_file_cache max=100;
        open_file_cache_valid 60s;
        location /deny/ { alias %%TESTDIR%%/html/; disable_symlinks on
            from=%%TESTDIR%%/html; }
        location /allow/ { alias %%TESTDIR%%/html/; }
    }
    server { listen %%PORT_plain%%; }
}
EOC

my $dir = $t->testdir . '/html';
my @sizes = (0, 1, 4095, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_003);
my %content;
for my $size (@sizes) {
    my $c = join '', map { chr(33 + $_ * 7 % 90) } 1 .. ($size > 9973 ? 9973 : $size);
    $c = substr $c x (1 + int $size / 9973), 0, $size;
    $content{$size} = $c;
    $t->write_file("html/f$size", $c);
}
$t->run;
my ($worker) = $t->worker_pids;

# --- ways to send

for my $how (sort keys %port) {
    my $c = $t->connect($port{$how});
    for my $size (@sizes) {
        for my $time (1, 2) {
            my $r = $c->request(path => "/f$size");
            ok($r->body eq $content{$size} && $r->complete
                    && $r->header('Content-Length') == $size,
                "$how: $size bytes, time $time");
        }
        next if $size < 100;
        my ($from, $to) = (int($size / 3), $size - 2);
        my $r = $c->request(path => "/f$size",
            headers => [ Range => "bytes=$from-$to" ]);
        ok($r->status == 206
                && $r->body eq substr($content{$size}, $from, $to - $from + 1),
            "$how: a part of $size bytes");
        is($c->request(method => 'HEAD', path => "/f$size")
                ->header('Content-Length'), $size, "$how: HEAD");
    }
}

# --- files that change, with a cache that checks after 300 ms

# A get that is repeated until the answer is new; the time it may take is
# bounded by the wait.
sub becomes {
    my ($port, $path, $want, $what) = @_;
    my $last = '';
    $t->wait_for(sub {
        my $r = $t->get($path, port => $port);
        $last = $r->status == 200 ? $r->body : $r->status;
        return $last eq $want;
    });
    is($last, $want, $what);
}

for my $port (qw/short nocontent/) {
    my $p = $t->port($port);
    my $file = "c-$port";
    my $get = sub { $t->get("/$file", port => $port)->body };

    $t->write_file("html/$file", 'first');
    is($get->(), 'first', "$port: cached") for 1, 2;
    $t->write_file("html/$file.new", 'second');
    rename "$dir/$file.new", "$dir/$file" or die;
    becomes($port, "/$file", 'second', "$port: a file that is replaced");
    $t->append_file("html/$file", ' and more');
    becomes($port, "/$file", 'second and more', "$port: one that grows");
    truncate "$dir/$file", 3;
    becomes($port, "/$file", 'sec', "$port: one that is truncated");
    truncate "$dir/$file", 0;
    becomes($port, "/$file", '', "$port: to nothing");
    unlink "$dir/$file";
    becomes($port, "/$file", 404, "$port: removed");
    $t->write_file("html/$file", 'back');
    becomes($port, "/$file", 'back', "$port: and there again");
    unlink "$dir/$file";
    mkdir "$dir/$file";
    becomes($port, "/$file", 301, "$port: a directory now");
    rmdir "$dir/$file";
    $t->write_file("html/$file", 'again');
    becomes($port, "/$file", 'again', "$port: and a file");
    chmod 0, "$dir/$file";
    $t->write_file("html/$file.b", 'again');
    chmod 0, "$dir/$file.b";
    is($t->get("/$file.b", port => $port)->status, 403, "$port: not readable");
}

# A truncated file whose length is in the cache: the response cannot be
# completed, the connection ends, and nobody else is harmed.
$t->write_file('html/trunc', 'x' x 200_000);
my $other = $t->connect($t->port('plain'));
is(length $t->get('/trunc', port => 'uses')->body, 200_000, 'before')
    for 1 .. 4;
truncate "$dir/trunc", 50_000;
my $c = $t->connect($t->port('uses'));
$c->send_request(path => '/trunc');
my $got = $c->read_all(5);
like($got, qr/^Content-Length: 200000\r$/m, 'a length from the cache');
cmp_ok(length $got, '<', 60_000, 'that the file has no longer');
ok($t->wait_for_log(qr/the file was truncated while it was sent/),
    'which is logged');
is($other->request(path => '/f1')->body, $content{1},
    'another connection is not harmed');
is(($t->worker_pids)[0], $worker, 'nor the worker');

# min_uses: kept open from the third on.
$t->write_file('html/uses', 'one');
for my $i (1 .. 2) {
    is($t->get('/uses', port => 'uses')->body, $i == 1 ? 'one' : 'two',
        "use $i is not kept");
    $t->write_file('html/uses.new', $i == 1 ? 'two' : 'three');
    rename "$dir/uses.new", "$dir/uses" or die;
}
is($t->get('/uses', port => 'uses')->body, 'three', 'the third is looked up');
$t->write_file('html/uses.new', 'four');
rename "$dir/uses.new", "$dir/uses" or die;
is($t->get('/uses', port => 'uses')->body, 'three', 'and kept');

# Errors.
is($t->get('/later', port => $_)->status, 404, "$_: not there")
    for qw/errors shorterrors noerrors/;
$t->write_file('html/later', 'now');
is($t->get('/later', port => 'noerrors')->body, 'now',
    'errors are not kept unless asked for');
is($t->get('/later', port => 'errors')->status, 404, 'a kept error');
becomes('shorterrors', '/later', 'now', 'which ends, too');

# What was found in one way is not used in the other.
symlink 'f1', "$dir/link" or die;
for (1, 2) {
    is($t->get('/allow/link', port => 'links')->status, 200, 'a link');
    is($t->get('/deny/link', port => 'links')->status, 403,
        'not for disable_symlinks');
}

# --- larger than 32 bits

SKIP: {
    my $size = 5 * 1024 * 1024 * 1024;
    my $f;
    open $f, '>', "$dir/huge" and seek($f, $size - 3, 0) and print $f 'end'
        and close $f
        or skip 'no large files here', 12;
    for my $port ('plain', $port{'memory '}, $port{'sendfile cached'}) {
        my $r = $t->head('/huge', port => $port);
        is($r->header('Content-Length'), $size, 'a file of 5 GB');
        $r = $t->get('/huge', port => $port,
            headers => [ Range => 'bytes=-5' ]);
        is($r->body, "\0\0end", 'its end');
        is($r->header('Content-Range'),
            'bytes ' . ($size - 5) . '-' . ($size - 1) . "/$size",
            'where that is');
        $r = $t->get('/huge', port => $port,
            headers => [ Range => 'bytes=4294967290-4294967300' ]);
        is($r->body, "\0" x 11, 'about 4 GB');
        # Nobody reads all of it: the client goes in the middle.
        my $c = $t->connect($port);
        $c->send_request(path => '/huge');
        $c->read_bytes(300_000);
        $c->abort;
    }
    unlink "$dir/huge";
    is($t->get('/f1', port => 'plain')->body, $content{1}, 'all is well');
}

chmod 0644, glob "$dir/c-*";
done_testing;
