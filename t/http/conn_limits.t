#!/usr/bin/perl

# What a connection may: keepalive_disable, keepalive_min_timeout,
# max_headers, many requests in one segment, and what others get meanwhile.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Time::HiRes ();

my $t = Test::Veil->new->config(<<'EOC');
worker_processes 1;
http {
    keepalive_drain_grace 0;
    close_spread 0;
    keepalive_requests 100000;
    server {
        listen %%PORT_80%%;
        location / { return 200 "$uri\n"; }
        location /safari { keepalive_disable safari; return 200 x; }
        location /none { keepalive_disable none; return 200 x; }
        location /rate { limit_rate 20k; root %%TESTDIR%%/html; }
    }
    server {
        listen %%PORT_81%%;
        max_headers 5;
        keepalive_min_timeout 60s;
        return 200 ok;
    }
}
EOC
$t->write_file('html/rate', 'r' x 10_000);
$t->run;

sub connection {
    my ($method, $path, $agent) = @_;
    my $c = $t->connect;
    my $r = $c->request(method => $method, path => $path,
        headers => [ 'User-Agent' => $agent ],
        $method eq 'POST' ? (body => 'x') : ());
    return $r->header('Connection');
}

my $msie = 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)';
my $sv1 = 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)';
my $safari = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_8) AppleWebKit/536 '
    . '(KHTML, like Gecko) Version/6.0 Safari/536';
my $chrome = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_8) AppleWebKit/537 '
    . '(KHTML, like Gecko) Chrome/99.0 Safari/537';
for my $case (
    [ 'POST', '/', $msie, 'close' ], [ 'GET', '/', $msie, 'keep-alive' ],
    [ 'POST', '/', $sv1, 'keep-alive' ],
    [ 'POST', '/', 'MSIE', 'keep-alive' ],
    [ 'POST', '/', 'MSIE 6', 'keep-alive' ],
    [ 'POST', '/none', $msie, 'keep-alive' ],
    [ 'GET', '/safari', $safari, 'close' ],
    [ 'GET', '/safari', $chrome, 'keep-alive' ],
    [ 'GET', '/', $safari, 'keep-alive' ],
    [ 'POST', '/safari', $msie, 'keep-alive' ])
{
    my ($method, $path, $agent, $want) = @$case;
    is(connection($method, $path, $agent), $want, "$method $path $agent");
}

# max_headers counts fields.

my $mark = $t->log_mark;
my $head = "GET / HTTP/1.1\r\nHost: a\r\n";
like($t->raw($head . "X-A: 1\r\n" x 4 . "\r\n", port => 81, shutdown => 1),
    qr{^HTTP/1\.1 200 }, 'as many headers as allowed');
like($t->raw($head . "X-A: 1\r\n" x 5 . "\r\n", port => 81),
    qr{^HTTP/1\.1 431 }, 'one too many');
ok($t->wait_for_log(qr/client sent .*too large/, from => $mark), 'logged');

# A flood of requests in few segments: all are answered in order, and others
# are served in between.

my $n = 3000;
my $flood = $t->connect;
my $bytes = join '', map { "GET /$_ HTTP/1.1\r\nHost: a\r\n\r\n" } 1 .. $n;
# The answers may be more than there is room for while nobody reads them.
my $writer = Test::Veil::Guard::child(
    sub { $flood->write($bytes, 100) != length $bytes });
is($t->get('/other')->body, "/other\n", 'another one is served meanwhile');
my $wrong = 0;
for my $i (1 .. $n) {
    my $r = $flood->read_response;
    $wrong++ if $r->body ne "/$i\n";
    last if $wrong;
}
is($wrong, 0, "$n requests at once, in order");
is(Test::Veil::Guard::reap($writer), 0, '... all of which were sent');

# limit_rate also for what is small: 10k at 20k a second.

my $from = Time::HiRes::time();
is(length $t->get('/rate')->body, 10_000, 'limit_rate');
my $took = Time::HiRes::time() - $from;
ok($took > 0.25 && $took < 20, 'takes its time') or diag("took $took");

# A drain: one that has not asked yet may do so for a second.  If we are not
# as quick as that, we try again.

my $r;
for (1 .. 20) {
    my $fresh = $t->connect;
    my $since = Time::HiRes::time();
    $t->reload or last;
    $r = $fresh->get('/');
    last if $r->body eq "/\n" || Time::HiRes::time() - $since < 1;
}
is($r->body, "/\n", 'one that had not asked before a drain is served');

# An idle connection lives on for keepalive_min_timeout.

my $short = $t->connect;
is($short->get('/')->body, "/\n", 'an idle connection');
my $long = $t->connect(81);
is($long->get('/')->body, 'ok', 'one with keepalive_min_timeout');
ok($t->reload, 'reload');
ok($short->eof(5), 'the first is closed');
$r = $long->get('/');
is($r->body, 'ok', 'the other is still served');
is($r->header('Connection'), 'close', '... once');
ok($long->eof(5), '... and then closed');

done_testing;
