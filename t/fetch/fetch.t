#!/usr/bin/perl

# veil-fetch: methods, bodies, connections, ends, and what goes wrong, over
# plain TCP.  With TLS: tls.t.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::Fetch;

my $t = Test::Veil->new->has('fetch');
my $fetch = Test::Veil::Fetch->new($t);
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 400_000;
my $loop = $fetch->uses_epoll ? 'epoll' : qr/io_uring|epoll/;

sub seen {
    my ($conn, $req) = @_;
    my $head = join '', map { "$_->[0]: $_->[1]\n" } @{ $req->{headers} };
    $conn->reply(body => join ' ', $req->{method}, $req->{uri},
        length($req->{body}), sha256_hex($req->{body}), "\n$head");
}

my $u = $t->upstream(a => gates => [qw/one/], handler => \&seen, routes => {
    '/large' => sub { $_[0]->reply(body => $large) },
    '/chunked' => Test::Veil::Upstream::chunked([ 'one ', 'two' ]),
    '/close' => sub { $_[0]->reply(close => 1, body => 'until the end') },
    '/until' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\n\r\nno length"),
    '/short' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive."),
    '/cut' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive.\r\n"),
    '/head' => Test::Veil::Upstream::bytes("HTTP/1.1 200 OK\r\nA: "),
    '/nothing' => Test::Veil::Upstream::close_now(),
    '/reset' => Test::Veil::Upstream::reset_now(),
    '/garbage' => Test::Veil::Upstream::bytes("220 mail ready\r\n\r\n"),
    '/escape' => Test::Veil::Upstream::bytes("HTTP/1.1 200 \e[31m\r\n"
        . "Content-Length: 0\r\n\r\n"),
    '/both' => Test::Veil::Upstream::bytes("HTTP/1.1 200 OK\r\n"
        . "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"),
    '/204' => Test::Veil::Upstream::keep_bytes("HTTP/1.1 204 No\r\n\r\n"),
    '/304' => Test::Veil::Upstream::keep_bytes(
        "HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n"),
    '/hints' => Test::Veil::Upstream::keep_bytes("HTTP/1.1 100 Go\r\n\r\n"
        . "HTTP/1.1 103 Hint\r\nLink: x\r\n\r\n"
        . "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    '/101' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n"),
    '/missing' => sub { $_[0]->reply(status => 404, body => 'no such') },
    '/twice' => Test::Veil::Upstream::keep_bytes(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" x 2),
    '/once' => sub {
        my ($conn) = @_;
        $conn->reply(body => "served " . $conn->number . "\n");
        $conn->close;
    },
    '/slow' => Test::Veil::Upstream::gated('one'),
});
my $early = $t->upstream(early => raw => sub {
    my ($conn) = @_;
    $conn->read_head;
    $conn->write("HTTP/1.1 413 Large\r\nContent-Length: 5\r\n\r\nlarge");
    $conn->flush;
    $conn->wait_peer_close;
});

$t->config(<<'EOC')->run;
http {
    client_max_body_size 20m;
    server {
        listen %%PORT_80%%;
        listen unix:%%TESTDIR%%/veil.sock;
        location /up/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /say/ { return 200 "$request_method $http_host $uri\n"; }
        location / { root %%TESTDIR%%/html; }
    }
}
EOC
my $veil = 'http://127.0.0.1:' . $t->port(80);
my $base = 'http://' . $u->addr;
$t->write_file('html/index.html', "the page\n");
$t->write_file('html/large', $large);
$t->write_file('large', $large);
$t->write_file('empty', '');
$t->write_file('small', 'a small file');

# --------------------------------------------------------------- responses --

my $r = $fetch->run("$veil/index.html");
is($r->{status}, 0, 'a page');
like($r->{out}, qr{\AHTTP/1\.1 200 OK\n(?:[\w-]+: [^\n]*\n)+\nthe page\n\z},
    'status line, fields, body');
like($r->{err}, qr/\Aveil-fetch: Using plain TCP \+ $loop\n\z/, 'the path');
is($fetch->run('-q', $veil)->{err}, '', '--quiet does not say it');
$r = $fetch->run('-o', 'got', "$veil/large");
is("$r->{status} " . sha256_hex($t->read_file('got')),
    '0 ' . sha256_hex($large), 'a large one to a file');
unlike($r->{out}, qr/0000001/, 'which is then not printed');
like($r->{out}, qr{\AHTTP/1\.1 200 .*\n\n\z}s, 'but its head is');
is(sha256_hex($fetch->body("$base/large")), sha256_hex($large),
    'the same to standard output');
is($fetch->body("$base/chunked"), 'one two', 'chunks');
is($fetch->body("$base/until"), 'no length',
    'a body without a length ends with a plain connection');
is($fetch->body('-I' => "$veil/") =~ /unknown option "-I"/, 1,
    'there is no -I');
$r = $fetch->run('-XHEAD', "$veil/index.html");
like($r->{out}, qr{\AHTTP/1\.1 200 .*Content-Length: 9\n.*\n\n\z}s,
    'HEAD has no body');
is("$r->{status}", 0, 'and does not wait for one');
for my $status (204, 304) {
    $r = $fetch->run("$base/$status", "$base/a");
    is($r->{status}, 0, "$status has no body");
    like($r->{out}, qr{^HTTP/1\.1 $status .*^HTTP/1\.1 200 }ms,
        'and the connection goes on');
}
$r = $fetch->run('-v', "$base/hints");
is("$r->{status} " . $r->{out} =~ s/\A.*?\n\n//sr, '0 ok',
    'interim responses are passed over');
like($r->{err}, qr{^< HTTP/1\.1 103 Hint\n< Link: x\n}m, '-v shows them');
like($r->{err}, qr{^> GET /hints HTTP/1\.1\n> Host: 127}m, 'and the request');

# ---------------------------------------------------------------- requests --

for my $method (qw/GET POST PUT PATCH DELETE OPTIONS REPORT/) {
    like($fetch->body('-X', $method, "$base/x?y=1"),
        qr{\A$method /x\?y=1 0 }, $method);
}
like($fetch->body('-d', 'text=1', "$base/x"), qr{\APOST\ /x\ 6\ \S+\ \n
    .*Content-Type:\ application/x-www-form-urlencoded\n
    .*Content-Length:\ 6\n}sx, 'a body of the command line');
like($fetch->body('-X', 'POST', "$base/x"), qr/^Content-Length: 0$/m,
    'no body, which is said');
for my $method (qw/PUT PATCH POST/) {
    like($fetch->body('-X', $method, '-d', '@large', "$base/x"),
        qr{\A$method /x ${\length $large} ${\sha256_hex($large)} },
        "$method with a large file");
}
like($fetch->body('-d', '@large', "$veil/up/x"),
    qr{ ${\sha256_hex($large)} }, 'through the server');
like($fetch->body('-d', '@empty', "$base/x"), qr{\APOST\ /x\ 0\ .*
    Content-Length:\ 0\n}sx, 'an empty file');
for my $body ('', 'short', $large) {
    my $n = length $body;
    like($fetch->body({ input => $body }, '-d', '@-', "$base/x"),
        qr{\APOST\ /x\ $n\ ${\sha256_hex($body)}\ .*
            Transfer-Encoding:\ chunked\n}sx,
        "$n bytes of standard input, in chunks");
}
like($fetch->body({ input => $large }, '-d', '@-', "$veil/up/x"),
    qr{ ${\sha256_hex($large)} }, 'through the server');
like($fetch->body({ input => '12345' }, '-d', '@-', '-H',
    'Content-Length: 5', "$base/x"), qr{\APOST /x 5 .*^Content-Length: 5$}ms,
    'standard input whose length is said');
$r = $fetch->run({ input => '1234' }, '-d', '@-', '-H',
    'Content-Length: 5', "$base/x");
is($r->{status}, 7, 'and which is shorter');
like($r->{err}, qr/"standard input" ended after 4 of 5 bytes/, 'is told');
$r = $fetch->run({ stdin => '1234' }, '-d', '@-', '--max-time', '1s',
    "$base/x");
is($r->{status}, 6, 'or does not end');
for my $body ('@large', 'text', '@small', '@empty') {
    my $text = $body =~ /^@(.*)/ ? $t->read_file($1) : $body;
    like($fetch->body('-d', $body, '-H', 'Transfer-Encoding: chunked',
        "$base/x"), qr{\APOST\ /x\ ${\length $text}\ ${\sha256_hex($text)}\ .*
            ^Transfer-Encoding:\ chunked$}msx, "$body in chunks if asked to");
}
like($fetch->body('-H', 'Host: other', '-H', 'X-A: b', '-H', 'accept:',
    "$base/x"), qr/\A(?!.*Accept)(?=.*^Host: other$).*^X-A: b$/ms,
    'fields that are given');
$r = $fetch->run('-d', '@large', '-H', 'Expect: 100-continue', '-v',
    "$veil/up/x");
like($r->{out}, qr/ ${\sha256_hex($large)} /, 'a body that waits for 100');
like($r->{err}, qr{> Expect: 100-continue\n.*< HTTP/1\.1 100 }s,
    'which comes');
like($fetch->body('-d', 'x', '-H', 'Expect: 100-continue', "$base/x"),
    qr/\APOST .x 1 /, 'or does not');
$r = $fetch->run('-d', '@large', '-d', 'b', $base);
is("$r->{status}", 1, 'two bodies are a mistake');
$r = $fetch->run('-s', '-d', '@large', 'http://' . $early->addr);
like("$r->{status} $r->{out}", qr/^0 413 POST /, 'an early answer counts');

# ------------------------------------------------------------- connections --

$r = $fetch->run("$base/chunked", '-s', "$base/a", "$base/b");
is("$r->{status} " . join(' ', $r->{out} =~ /(new|kept) connection$/mg),
    '0 new kept kept', 'URLs of one server share a connection');
is(() = $r->{err} =~ /Using/g, 1, 'of which is told once');
like($r->{out}, qr{^200 GET \Q$base\E/chunked: 7 bytes, \d+ ms, plain, }m,
    'the summary');
$r = $fetch->run('-s', '--reconnect', "$base/a", "$base/b");
is(join(' ', $r->{out} =~ /(new|kept) connection$/mg), 'new new',
    '--reconnect');
$r = $fetch->run('-s', "$base/close", "$base/until", "$base/b");
is("$r->{status} " . join(' ', $r->{out} =~ /(new|kept) connection$/mg),
    '0 new new new', 'one that ends is not used again');
$r = $fetch->run('-s', "$base/twice", "$base/b");
is("$r->{status} " . join(' ', $r->{out} =~ /(new|kept) connection$/mg),
    '0 new new', 'nor one that says more than it was asked');
$r = $fetch->run('-s', "$base/a", "$veil/", "$base/b");
is("$r->{status} " . join(' ', $r->{out} =~ /(new|kept) connection$/mg),
    '0 new new new', 'servers differ');
my $before = $u->connections;
$r = $fetch->run("$base/once", "$base/a", "$base/once");
is("$r->{status}", 0, 'a kept connection that is gone is no failure');
is($u->connections - $before, 2, 'another is made');
$before = () = grep { m{^GET /reset} } $u->request_lines;
$r = $fetch->run('-s', "$base/a", "$base/reset");
is($r->{status}, 4, 'a connection that is lost twice is');
is((() = grep { m{^GET /reset} } $u->request_lines) - $before, 2,
    'after one more attempt');
$before = () = grep { m{^POST /reset} } $u->request_lines;
$r = $fetch->run('-s', '-d', 'x', "$base/a", "$base/reset");
is($r->{status}, 4, 'POST');
is((() = grep { m{^POST /reset} } $u->request_lines) - $before, 1,
    'is not sent twice');
is($fetch->body('--connect', '127.0.0.1:' . $t->port(80),
    'http://far.example/say/x'), "GET far.example /say/x\n", '--connect');
is($fetch->body('--connect', 'unix:' . $t->testdir . '/veil.sock',
    'http://far.example/say/y'), "GET far.example /say/y\n",
    '--connect to a path');
is($fetch->body('localhost:' . $t->port(80) . '/say/z'),
    'GET localhost:' . $t->port(80) . " /say/z\n", 'a name');

# -------------------------------------------------------------------- ends --

$r = $fetch->run("$base/short");
is($r->{status}, 5, 'a body that is too short');
like($r->{err}, qr/ended after 5 of the 10 bytes of the body/, 'is told');
like($r->{out}, qr/\n\nfive\.\z/, 'and printed as far as it came');
$r = $fetch->run("$base/cut");
is($r->{status}, 5, 'chunks without the last one');
like($r->{err}, qr/before the last chunk/, 'are told');
is($fetch->run("$base/head")->{status}, 5, 'half a head');
$r = $fetch->run("$base/nothing");
is($r->{status}, 4, 'nothing at all');
like($r->{err}, qr/ended without a response/, 'is told');
is($fetch->run("$base/reset")->{status}, 4, 'a reset');

# ------------------------------------------------------------------ errors --

$r = $fetch->run('-v', "$base/escape");
unlike("$r->{out}$r->{err}", qr/\e/, 'nothing is said to the terminal');
for ([ 'garbage', qr/the server sent an invalid status line/ ],
    [ 'both', qr/both Transfer-Encoding and Content-Length/ ],
    [ '101', qr/a 101 response that nobody asked for/ ])
{
    $r = $fetch->run("$base/$_->[0]");
    is($r->{status}, 4, "it says $_->[0]");
    like($r->{err}, $_->[1], 'is told');
}
$r = $fetch->run('-f', "$base/missing", "$base/a");
is($r->{status}, 22, 'a status with --fail');
like($r->{out}, qr{\AHTTP/1\.1 404 .*\n\nno such\z}s,
    'the page is shown, the next not fetched');
is($fetch->run("$base/missing")->{status}, 0, 'without it, an answer');
$r = $fetch->run('http://127.0.0.1:' . $t->port('nobody') . '/');
is($r->{status}, 2, 'nobody listens');
like($r->{err}, qr/cannot connect to 127\.0\.0\.1:\d+: Connection refused/,
    'is told');
is($fetch->run('--connect', 'unix:/nowhere', $base)->{status}, 2,
    'no such socket');
$r = $fetch->run({ timeout => 60 }, 'http://no.such.name.invalid/');
is($r->{status}, 2, 'no such name');
like($r->{err}, qr/cannot find the address of "no\.such\.name\.invalid"/,
    'is told');
$r = $fetch->run('--timeout', '1500ms', "$base/slow");
is($r->{status}, 6, 'a timeout');
like($r->{err}, qr/timed out while waiting for data from 127/, 'is told');
$r = $fetch->run('--max-time', '200ms', "$base/slow");
is($r->{status}, 6, '--max-time');
$u->release('one');
for ([ [], qr/there is no URL/ ],
    [ [ 'ftp://a/' ], qr/a scheme other than http and https/ ],
    [ [ '--bogus', $base ], qr/unknown option "--bogus"/ ],
    [ [ '--sumary', $base ], qr/did you mean "--summary"/ ],
    [ [ '-X' ], qr/the option "--request" needs a value/ ],
    [ [ '-H', 'A', $base ], qr/"A" is no header field/ ],
    [ [ '-d', '@-', $base, $base ], qr/standard input can be sent once/ ])
{
    $r = $fetch->run(@{ $_->[0] });
    is($r->{status}, 1, "bad usage: @{ $_->[0] }");
    like($r->{err}, $_->[1], 'is told');
}
$r = $fetch->run('-d', '@nowhere', $base);
is($r->{status}, 7, 'a body that is not there');
like($r->{err}, qr/cannot read "nowhere": No such file/, 'is told');
is($fetch->run('-d', '@.', $base)->{status}, 7, 'or a directory');
$before = $u->connections;
is($fetch->run('-o', 'no/where', $base)->{status}, 7, 'no place for output');
is($u->connections, $before, 'is seen before anything is sent');
SKIP: {
    skip 'there is no /dev/full', 2 unless -c '/dev/full';
    $r = $fetch->run('-o', '/dev/full', "$base/large");
    is($r->{status}, 7, 'a full disk');
    like($r->{err}, qr{cannot write to "/dev/full": No space}, 'is told');
}
$r = $fetch->{tls}->run_command([ 'sh', '-c',
    '{ "$0" "$@"; echo "status $?" >&2; } | head -c 10 > /dev/null',
    $fetch->{program}, "$base/large" ]);
like($r->{err}, qr/cannot write to standard output: Broken pipe\nstatus 7/,
    'a reader that is gone');
$r = $fetch->{tls}->run_command([ 'sh', '-c', '"$0" "$@" >&- <&-',
    $fetch->{program}, "$base/a" ]);
like("$r->{status} $r->{err}", qr/^7 .*standard output: Bad file/s,
    'standard output is closed');
$r = $fetch->{tls}->run_command([ 'sh', '-c',
    '{ "$0" "$@"; echo "status $?" >&2; } | { sleep 3.5; wc -c; }',
    $fetch->{program}, '-q', '--timeout', '2500ms', "$base/large" ]);
like("$r->{err}", qr/\Astatus 0\n/, 'a reader that is slow is no timeout');
like($fetch->run('--help')->{out}, qr/usage: veil-fetch .*--summary/s, 'help');
like($fetch->run('-V')->{out}, qr{\Aveil-fetch/\d+\.\d+}, 'the version');

done_testing();
