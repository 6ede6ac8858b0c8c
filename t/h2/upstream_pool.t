#!/usr/bin/perl

# Connections of HTTP/2 to upstreams: how long they are kept and shared, how
# they end, and what becomes of the streams on them.

use strict;
use warnings;
use lib 't/lib';
use Time::HiRes qw/time/;
use Test::Veil;
use Test::Veil::Python;

my $t = Test::Veil->new->has('v2')->has('v2_upstream');
my $python = Test::Veil::Python->new($t, 'h2');
my $dir = $t->testdir;

sub h2_server {
    my ($log, @args) = @_;
    return '127.0.0.1:'
        . $python->server('t/lib/h2_server.py', "$dir/$log", @args);
}

$t->set(PEER => h2_server('peer.log', 100));
$t->set(FEW => h2_server('few.log', 2));
$t->config(<<'EOC');
worker_processes 1;
http {
    proxy_http_version 2;
    proxy_buffering off;
    proxy_request_buffering off;
    upstream few      { server %%FEW%%; keepalive 1; }
    upstream requests { server %%PEER%%; keepalive_requests 5; }
    upstream time     { server %%PEER%%; keepalive_time 500ms; }
    upstream timeout  { server %%PEER%%; keepalive_timeout 300ms; }
    upstream kept     { server %%PEER%%; }
    upstream none     { server %%PEER%%; keepalive 0; }
    server {
        listen %%PORT_80%%;
        http2 on;
        location /few/ { proxy_pass http://few/; }
        location /requests/ { proxy_pass http://requests/; }
        location /time/ { proxy_pass http://time/; }
        location /timeout/ { proxy_pass http://timeout/; }
        location /kept/ { proxy_pass http://kept/; }
        location /none/ { proxy_pass http://none/; }
        location /short/ {
            proxy_read_timeout 400ms;
            proxy_pass http://kept/;
        }
    }
}
EOC
$t->run;

sub peer { return $t->read_file($_[0] // 'peer.log') }
sub said { my ($what, $log) = @_;
    return $t->wait_for(sub { peer($log) =~ $what }) }
# The connection that answered.
sub conn { return ($t->get($_[0])->body // '') =~ /^(\d+) 0$/ ? $1 : 'none' }
# A request whose both directions stay open.
sub chat {
    my ($uri) = @_;
    my $c = $t->connect(80);
    $c->write("POST $uri HTTP/1.1\r\nHost: a\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n");
    return $c;
}
sub says {
    my ($c, $word) = @_;
    $c->write(sprintf "%x\r\n%s\r\n", length $word, $word);
    return $c->read_until(qr/<\Q$word\E>/) =~ /<\Q$word\E>/;
}
# Its connection.
sub of { return peer() =~ m{^(\d+) \d+ POST \Q$_[0]\E }m ? $1 : 'none' }

# --- keepalive_requests

my $c = chat('/requests/chat/a');
ok(says($c, 'one'), 'a request that stays');
my %n;
$n{conn('/requests/ok')}++ for 1 .. 14;
is(join(' ', map { $n{$_} } sort { $a <=> $b } keys %n), '4 5 5',
    'keepalive_requests');
my ($first) = of('/chat/a');
ok(exists $n{$first}, 'also counts what is under way');
ok(says($c, 'two'), 'which lives on');
for my $conn (grep { $_ != $first } keys %n) {
    ok(said(qr/^$conn goaway 0$/m), 'the others end with GOAWAY');
    ok(said(qr/^$conn end$/m), 'and then are closed');
}
unlike(peer(), qr/^$first (?:goaway|end)/m, 'this one does not');
$c->write("0\r\n\r\n");
ok($c->read_until(qr/0\r\n/), 'the request ends');
ok(said(qr/^$first goaway 0$/m), 'and its connection with it');

# --- keepalive_time

my ($old, $with, $fine);
for my $n (1 .. 20) {
    my $start = time;
    $c = chat("/time/chat/b$n");
    $fine = says($c, 'one');
    $old = of("/chat/b$n");
    $with = conn('/time/ok');
    last if $with eq $old || time - $start < 0.5;
    $c->close; # it was too slow to see it
}
ok($fine, 'a request that stays');
is($with, $old, 'another with it');
ok($t->wait_for(sub { conn('/time/ok') ne $old }), 'keepalive_time');
ok(says($c, 'two'), 'the first lives on');
unlike(peer(), qr/^$old (?:goaway|end)/m, 'with its connection');
$c->close;
ok(said(qr/^$old reset \d+ 8$/m), 'a client that goes away');
ok(said(qr/^$old goaway 0$/m), 'and the connection');

# --- keepalive_timeout, keepalive

my $idle = conn('/timeout/ok');
ok(said(qr/^$idle goaway 0$/m), 'keepalive_timeout');
ok(said(qr/^$idle end$/m), 'closed');
isnt(conn('/timeout/ok'), $idle, 'a new one');
my $once = conn('/none/ok');
ok(said(qr/^$once goaway 0$/m), 'keepalive 0');
my @chats = map { chat("/few/chat/$_") } 1 .. 5;
ok(says($chats[$_], "word$_"), 'one of five') for 0 .. 4;
my %few = map { $_ => 1 } peer('few.log') =~ m{^(\d+) \d+ POST /chat}mg;
is(join(' ', sort keys %few), '1 2 3', 'two streams on each connection');
$_->write("0\r\n\r\n") for @chats;
$_->read_until(qr/0\r\n/) for @chats;
ok($t->wait_for(sub { 2 == (() = peer('few.log') =~ /^\d+ goaway 0$/mg) }),
    'keepalive 1: two of three end');
my $kept = conn('/few/ok');
like($kept, qr/^[123]$/, 'one is kept');
unlike(peer('few.log'), qr/^$kept goaway/m, 'and is no other');

# --- the peer ends it

my $bye = conn('/kept/bye');
ok(said(qr/^$bye end$/m), 'the peer closes an idle connection');
my $next = conn('/kept/ok');
isnt($next, $bye, 'the next request has another');
is($t->get('/kept/drop')->status, 200, 'one that dies: sent again');
is(scalar(() = peer() =~ m{GET /drop }g), 2, 'on a new one');
like($t->get('/kept/ok')->body, qr/^\d+ 0$/, 'which is kept');
is($t->post('/kept/drop', 'x')->status, 502, 'but no POST');
is(scalar(() = peer() =~ m{POST /drop }g), 1, 'which was sent once');

# --- dead or only slow

my $conn = conn('/kept/ok');
is($t->get('/short/hang')->status, 504, 'a request times out');
isnt(conn('/kept/ok'), $conn, 'its connection was silent, and is left');
# Whoever is stopped for so long leaves it silent: then once more.
my ($waits, $status, $others, $after);
for my $n (2 .. 20) {
    $conn = conn('/kept/ok');
    my $slow = $t->connect(80);
    $slow->write("GET /short/hang/$n HTTP/1.1\r\nHost: a\r\n\r\n");
    $waits = said(qr/^$conn \d+ GET \/hang\/$n /m);
    $others = 0;
    for (1 .. 10) {
        $others += conn('/kept/ok') eq $conn;
        select undef, undef, undef, 0.05;
    }
    $status = $slow->read_until(qr/504/);
    $after = conn('/kept/ok');
    last if $after eq $conn;
}
ok($waits, 'another waits');
like($status, qr/504/, 'and times out');
cmp_ok($others, '>', 1, 'others were answered meanwhile');
is($after, $conn, 'and the connection is kept');
my $start = time;
is($t->get('/short/ping')->status, 504, 'PINGs are no answer');
cmp_ok(time - $start, '<', 10, 'and do not put off the timeout');

# --- a reload

$c = chat('/kept/chat/c');
ok(says($c, 'one'), 'a request that stays');
$conn = of('/chat/c');
my ($worker) = $t->worker_pids;
$t->reload;
ok(says($c, 'two'), 'is served by the old worker');
my $new = conn('/kept/ok');
isnt($new, $conn, 'new ones by the new one');
unlike(peer(), qr/^$conn (?:goaway|end)/m, 'the connection is there');
$c->write("0\r\n\r\n");
ok($c->read_until(qr/\r\n0\r\n/), 'to the end');
$c->close;
ok(said(qr/^$conn goaway 0$/m), 'which the connection hears');
ok($t->wait_for(sub { !kill 0, $worker }), 'the old worker exits');

# --- one that is not read holds no other

my $big = $t->connect(80);
$big->write("GET /kept/large/100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
ok(said(qr{GET /large/100000000 }), 'a hundred megabytes that nobody reads');
my ($busy) = peer() =~ m{^(\d+) \d+ GET /large/100000000 }m;
my $load = `h2load -n 50 -c 1 -m 25 -t 1 http://127.0.0.1:${\$t->port(80)}/kept/large/200000 2>&1`;
like($load, qr/ 50 2xx/, 'fifty others');
is(scalar(() = peer() =~ m{^$busy \d+ GET /large/200000 }mg), 50,
    'on the same connection');
$big->close;
ok(said(qr/^$busy reset \d+ 8$/m), 'is given up');

done_testing();
