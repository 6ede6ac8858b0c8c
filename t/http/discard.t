#!/usr/bin/perl

# Request bodies that nobody reads: the answer comes, the connection goes on,
# nothing of a body becomes a request.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->config(<<'EOC');
http {
    client_max_body_size 1m;
    lingering_time 60s;
    lingering_timeout 60s;
    log_format body '$request_uri $status $request_length';

    server {
        listen %%PORT_80%%;
        access_log %%TESTDIR%%/body.log body;
        root %%TESTDIR%%/html;
        location / { return 200 "$request_uri\n"; }
        location /403 { return 403; }
        location /small { client_max_body_size 1k; return 200 small; }
        location /big { }
        location /internal { error_page 403 /page; return 403; }
        location = /page { return 200 "page of $request_uri\n"; }
    }
    server {
        listen %%PORT_81%%;
        access_log %%TESTDIR%%/body.log body;
        lingering_timeout 500ms;
        location / { return 200 "$request_uri\n"; }
    }
}
EOC
$t->write_file('html/big', 'b' x 3_000_000);
$t->run;

my $smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

# By length and in chunks, at once and in pieces, small and large.

for my $bytewise (0, 1) {
    for my $n (1, 20, $bytewise ? () : 5000) {
        my $c = $t->connect;
        my $how = "$n times" . ($bytewise ? ', byte by byte' : '');
        my $r = $c->request(method => 'POST', path => '/a',
            body => $smuggled x $n, bytewise => $bytewise);
        is($r->body, "/a\n", "a body by length, $how");
        is($c->get('/b')->body, "/b\n", '... and the next request');
        $r = $c->request(method => 'POST', path => '/c',
            chunked => [ ($smuggled) x $n ], bytewise => $bytewise);
        is($r->body, "/c\n", "a body in chunks, $how");
        is($r->header('Connection'), 'keep-alive', '... keeps the connection');
        is($c->get('/d')->body, "/d\n", '... and the next request');
        $c->write($smuggled);
        is($c->read_response->body, "/smuggled\n", '... asked for');
        ok($c->silent(0.02), '... and nothing else');
    }
}

# With trailers, and pipelined.

my $c = $t->connect;
my $chunked = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    . "Trailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: y\r\nX-U: z\r\n\r\n";
$c->write($chunked x 20 . $smuggled);
is($c->read_response->body, "/p\n", "pipelined $_") for 1 .. 20;
is($c->read_response->body, "/smuggled\n", 'and the one behind');

# Answers from elsewhere.

$c = $t->connect;
my $r = $c->request(method => 'POST', path => '/403', chunked => [ 'x' x 9 ]);
is($r->status, 403, 'an error');
$r = $c->request(method => 'POST', path => '/internal', chunked => [ 'xy' ]);
is($r->body, "page of /internal\n", 'an error page');
is($c->get('/after')->body, "/after\n", 'after an error page');

# A client that writes all of a large body before it reads a large answer.

$c = $t->connect;
$c->write("GET /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
my $left = 1_000_000;
while ($left > 0) {
    my $n = $c->write('x' x ($left > 50_000 ? 50_000 : $left), 5);
    last if !$n;
    $left -= $n;
}
is($left, 0, 'all of a body is read while the answer waits');
is(length $c->read_response->body, 3_000_000, 'the answer');
is($c->get('/next')->body, "/next\n", 'and the next request');

# Bad chunks: the answer was given, and the connection ends.

for my $bad ("5\r\nabcdefgh\r\n0\r\n\r\n$smuggled", "x\r\n$smuggled",
    "-1\r\n$smuggled", "3\r\nabc\r\n0\r\nbroken trailer\r\n\r\n$smuggled")
{
    my $mark = $t->log_mark;
    my $got = $t->raw("POST /bad HTTP/1.1\r\nHost: a\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n$bad", timeout => 5);
    like($got, qr{^HTTP/1\.1 (?:200|400) }, 'bad chunks are answered');
    unlike($got, qr/smuggled/, '... and nothing more');
    ok($t->wait_for_log(qr/client sent .*(?:chunk|header)/, from => $mark),
        '... the log says why');
}

# Too large, in chunks: not known before it is read.

$c = $t->connect;
$c->write("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
    . "\r\n\r\n" . "400\r\n" . 'x' x 1024 . "\r\n");
$r = $c->read_response;
is($r->status, 200, 'a chunked body may grow');
$c->write("400\r\n" . 'x' x 1024 . "\r\n");
ok($c->eof(5) || $c->was_reset, 'not beyond the limit');

# The rest does not come: the request ends all the same, and is logged.

$c = $t->connect(81);
$c->write("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
is($c->read_response->body, "/slow\n", 'half a body: the answer comes');
ok($c->eof(5), 'lingering_timeout ends it');
ok($t->wait_for_log(qr{^/slow 200 }m, log => 'body.log'), 'it is logged');
$c = $t->connect;
$c->write("POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
is($c->read_response->body, "/cut\n", 'a body that is cut: the answer comes');
$c->shutdown;
ok($c->eof(5), 'the end ends it');
ok($t->wait_for_log(qr{^/cut 200 }m, log => 'body.log'), 'it is logged, too');

# Half-closed at once.

$c = $t->connect;
$c->write("POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
$c->shutdown;
is($c->read_response->body, "/half\n", 'half-closed in the body');
$c = $t->connect;
$c->send_request(path => '/big');
$c->shutdown;
is(length $c->read_response->body, 3_000_000, 'half-closed after the head');
ok($c->eof(5), 'then the end');

# Expect: the answer comes instead of 100, and says close.

$c = $t->connect(81);
$c->write("POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    . "Expect: 100-continue\r\n\r\n");
$r = $c->read_response;
is($r->status, 200, 'not asked for the body');
is(scalar(my @i = $r->informational), 0, '... not even in between');
is($r->header('Connection'), 'close', '... nobody knows what follows');
ok($c->eof(5), '... and so it ends');

done_testing;
