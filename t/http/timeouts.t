#!/usr/bin/perl

# Clients that are slow, stop, or never begin.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Time::HiRes qw/time/;

my $t = Test::Veil->new->plan(25)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location /text { return 200 ok; }
    }
    server {
        listen %%PORT_81%%;
        client_header_timeout 400ms;
        return 200 ok;
    }
    server {
        listen %%PORT_82%% sndbuf=16k;
        root %%TESTDIR%%/html;
        send_timeout 400ms;
    }
    server {
        listen %%PORT_83%%;
        root %%TESTDIR%%/html;
        limit_rate 100k;
        limit_rate_after 50k;
    }
    server {
        listen %%PORT_84%%;
        client_max_body_size 1k;
        lingering_time 60s;
        lingering_timeout 60s;
        location / { return 200 ok; }
    }
    server {
        listen %%PORT_85%% sndbuf=16k;
        root %%TESTDIR%%/html;
        send_timeout 2500ms;
    }
}
EOC
$t->write_file('html/big', 'b' x 8_000_000);
$t->write_file('html/150k', 'c' x 150_000);
$t->write_file('html/400k', 'd' x 400_000);
$t->run;

sub within {
    my ($from, $least, $most, $name) = @_;
    my $took = time - $from;
    ok($took >= $least && $took <= $most, $name)
        or diag("took $took s");
}

# A header that does not come.

my $from = time;
my $c = $t->connect(81);
is($c->read_all(8), '', 'no request: closed without a word');
within($from, 0.3, 20, 'after client_header_timeout');

$from = time;
$c = $t->connect(81);
$c->write("GET / HTTP/1.1\r\nHost: ");
like($c->read_all(8), qr{^(?:HTTP/1\.1 408 .*)?\z}s,
    'half a request: closed, with 408 or without');
within($from, 0.3, 20, 'after client_header_timeout');

# The whole header must come in that time: a byte now and then is not enough.

$from = time;
$c = $t->connect(81);
my $sent = 0;
for my $byte (split //, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    . 'y' x 100)
{
    last if $c->write($byte) == 0 || !$c->silent(0.05);
    $sent++;
}
cmp_ok($sent, '<', 100, 'a slow header is cut off');
within($from, 0.3, 20, 'in the same time');

# A client that does not read.

my $mark = $t->log_mark;
$c = $t->connect(82, rcvbuf => 4096);
$c->send_request(path => '/big');
ok($t->wait_for_log(qr/timed out/, timeout => 8, from => $mark),
    'send_timeout');
my $got = $c->read_all(5);
cmp_ok(length $got, '<', 8_000_000, 'the rest is not sent');

# One that reads slowly, but reads, is served to the end.

$c = $t->connect(85, rcvbuf => 4096);
$from = time;
$c->send_request(path => '/400k');
my $slow = '';
while (time < $from + 3) {
    $slow .= $c->read_bytes(4000);
    select undef, undef, undef, 0.05;
}
cmp_ok(length $slow, '<', 300_000, 'much is left after that time');
$slow .= $c->read_bytes(400_000 - length $slow =~ s/.*?\r\n\r\n//sr);
like($slow, qr/ 200 .*\r\n\r\nd{1000}d*\z/s, 'a slow reader gets it');
is(length $slow =~ s/.*?\r\n\r\n//sr, 400_000, '... to the end');

# limit_rate: 50k at once, 100k in a second.

$from = time;
is(length $t->get('/150k', port => 83)->body, 150_000, 'limit_rate');
within($from, 0.6, 20, 'takes its time');
is(length $t->get('/150k')->body, 150_000, 'without it');

# A refusal must reach a client that is still sending.

$c = $t->connect(84);
my $total = 0;
$c->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
for (1 .. 50) {
    my $n = $c->write('x' x 20_000);
    $total += $n;
    last if $n < 20_000;
}
my $r = $c->read_response(timeout => 5);
is($r->status, 413, '413 arrives');
ok($r->complete, 'whole');
ok(!$c->was_reset, 'before any reset');
ok($c->eof(5), 'and the connection ends');

# A connection that says nothing for long does not disturb the others.

my @idle = map { $t->connect } 1 .. 50;
is($t->get('/text')->body, 'ok', 'while others say nothing');
$_->write('GET /te') for @idle;
is($t->get('/text')->body, 'ok', 'while others wait in the middle');
$_->write("xt HTTP/1.0\r\n\r\n") for @idle;
is(scalar(grep { $_->read_response->body eq 'ok' } @idle), 50,
    'all of them are answered');

# Half-closed before the answer: the answer still comes.

$c = $t->connect;
$c->send_request(path => '/150k');
$c->shutdown;
is(length $c->read_response->body, 150_000, 'an answer after a half-close');
$c = $t->connect;
$c->write("GET /text HTTP/1.1\r\nHo");
$c->shutdown;
like($c->read_all(5), qr{^(?:HTTP/1\.1 400 .*)?\z}s,
    'half a request and a half-close: the end');
ok($c->eof, 'indeed');
is($t->get('/text')->body, 'ok', 'the server goes on');
