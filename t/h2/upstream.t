#!/usr/bin/perl

# HTTP/2 to upstreams: multiplexed and kept, bodies, trailers and interim
# responses; peers that refuse, reset, go away, or do not behave.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use POSIX ();
use Test::Veil;
use Test::Veil::Guard;
use Test::Veil::Python;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2')->has('v2_upstream');
my $python = Test::Veil::Python->find($t, 'h2');
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);

my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 200_000;
$t->write_file('html/big', $big);
$t->write_file('html/small', 'small');
$t->upstream(old => handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => length $req->{body} ? sha256_hex($req->{body})
        : 'HTTP/1');
});
# It does as requests say.
$t->set(PEER => '127.0.0.1:' . ($python
    ? $python->server('t/lib/h2_server.py', "$dir/peer.log") : 1));
$t->config(<<'EOC');
http {
    client_max_body_size 20m;
    proxy_http_version 2;
    proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    proxy_set_header Host $http_host;
    proxy_ssl_name localhost;
    proxy_next_upstream_tries 1;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        http2 on;
        server_name localhost;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        root %%TESTDIR%%/html;
        location /what {
            return 200 "$server_protocol $scheme $request_method $http_host $http_x_a$http_connection";
        }
        location /up/ {
            proxy_http_version 1.1;
            proxy_pass http://%%UPSTREAM_old%%/;
        }
        location /conn { return 200 $connection; }
    }
    server {
        listen %%PORT_444%% ssl;
        http2 off;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        return 200 "$server_protocol $scheme";
    }
    server {
        listen %%PORT_81%%;
        http2 on;
        proxy_pass_trailers on;
        location / { proxy_pass http://%%PORT_80%%; }
        location /tls/ { proxy_pass https://%%PORT_443%%/; }
        location /tls-old/ { proxy_pass https://%%PORT_444%%/; }
        location /h2c/ {
            proxy_http_version 1.1;
            proxy_h2c on;
            proxy_pass http://%%PORT_80%%/;
        }
        location /few/ { proxy_pass http://%%PORT_85%%/; }
        location /peer/ { proxy_pass http://%%PEER%%/; }
        location /timeout/ {
            proxy_read_timeout 300ms;
            proxy_pass http://%%PEER%%/hang/;
        }
        location /slow/ {
            proxy_buffering off;
            proxy_pass http://%%PEER%%/large/;
        }
        location /stream/ {
            proxy_request_buffering off;
            proxy_set_header TE trailers;
            proxy_pass http://%%PEER%%/;
        }
    }
}
EOC
$t->run;

my $p80 = $t->port(80);
my $p81 = $t->port(81);
my $base = "http://127.0.0.1:$p81";

# "-T -" sends what there is.
open STDIN, '<', '/dev/null' or die "/dev/null: $!";
my $seconds = Test::Veil::HTTP1::patient(20);

sub curl {
    my (@args) = @_;
    open my $f, '-|', 'curl', '-s', '--max-time', $seconds, @args
        or die "curl: $!";
    local $/;
    my $out = <$f>;
    close $f;
    return $out;
}

sub status {
    my ($path, @args) = @_;
    return curl('-o', '/dev/null', '-w', '%{http_code}', @args, "$base$path");
}

# --- a server that behaves

is(curl('-H', 'X-A: 1', "$base/what"), "HTTP/2.0 http GET 127.0.0.1:$p81 1",
    'a request without TLS');
is(curl("$base/h2c/what"), "HTTP/2.0 http GET 127.0.0.1:$p81 ", 'proxy_h2c');
is(curl("$base/tls/what"), "HTTP/2.0 https GET 127.0.0.1:$p81 ", 'ALPN');
is(curl("$base/tls-old/"), 'HTTP/1.1 https', 'ALPN: a server without HTTP/2');
is(curl("$base/conn"), curl("$base/conn"), 'the connection is kept');
is(curl("$base/up/x"), 'HTTP/1', 'HTTP/1 behind HTTP/2');
for my $where ('', '/tls') {
    is(sha256_hex(curl("$base$where/big")), sha256_hex($big),
        "a large response$where");
    is(sha256_hex(curl('--http2-prior-knowledge', "$base$where/big")),
        sha256_hex($big), "the same to a client of HTTP/2$where");
}
is(curl('-I', '-o', '/dev/null', '-w', '%{http_code} %{size_download}',
    "$base/big"), '200 0', 'HEAD');
is(status('/none'), '404', 'an error is passed on');
is(status('/big', '-H', 'Range: bytes=0-3'), '206', 'a range');
is(curl('-T', "$dir/html/big", "$base/up/x"), sha256_hex($big), 'an upload');
my $load = `h2load -n 1000 -c 5 -m 40 $base/small 2>&1`;
like($load, qr/status codes: 1000 2xx/, 'two hundred streams at once');

# Many at once, of a peer that takes few: nobody is refused too often.
my $few = $t->port(85) =~ s/.*://r;
my $nghttpd = fork // die "fork: $!";
if ($nghttpd == 0) {
    POSIX::setsid();
    Test::Veil::Guard::in_child();
    open STDOUT, '>', "$dir/nghttpd.log" or POSIX::_exit(126);
    open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
    { exec 'nghttpd', '--no-tls', '-m', 5, '-d', "$dir/html", '-a',
        '127.0.0.1', $few; }
    POSIX::_exit(127);
}
Test::Veil::Guard::add($nghttpd);
ok($t->wait_for(sub { status('/few/small') eq '200' }), 'nghttpd');
like(`h2load -n 600 -c 6 -m 50 $base/few/small 2>&1`,
    qr/status codes: 600 2xx/, 'three hundred at once, five by connection');

done_testing(), exit unless $python;

# --- one that does what it is told

sub peer {
    return $t->read_file('peer.log');
}

is(status('/peer/ok'), '200', 'a peer');
like(peer(), qr/^1 1 GET \/ok 127\.0\.0\.1:$p81 - -$/m, 'what it hears');
like(curl("$base/peer/ok"), qr/^1 0/, 'on the same connection');
is(curl('-d', 'x' x 100_000, "$base/peer/echo"), '1 100000', 'POST');
like(peer(), qr/POST \/echo \S+ 100000 -$/m, 'with a length');
is(curl('-T', '-', "$base/stream/echo") // '', '1 0', 'PUT without bytes');
like(peer(), qr/PUT \/echo \S+ - trailers$/m, 'without one; TE is ours to set');
is(curl("$base/peer/hints"), 'hinted', 'an interim response');
is(status('/peer/empty'), '204', 'a response without a body');
like(curl('--raw', '-H', 'TE: trailers', "$base/peer/trailers"),
    qr/text\r\n0\r\nX-After: yes\r\n/i, 'trailers');

is(status('/peer/refuse-once/a', '-d', 'body'), '200',
    'REFUSED_STREAM: a POST is sent again');
is(status('/peer/goaway/a', '-d', 'body'), '200',
    'GOAWAY: so is one that was not looked at');
is(scalar(() = peer() =~ m{POST /goaway/a}g), 2, 'once');
is(status('/peer/refuse/a'), '502', 'refused for ever');
is(scalar(() = peer() =~ m{GET /refuse/a}g), 4, 'after four attempts');
is(status('/peer/reset'), '502', 'a reset');
is(status('/peer/half'), '200', 'a reset after the head...');
unlike(curl('-w', '%{exitcode}', "$base/peer/half"), qr/^half0$/,
    '... is an error for the client');
is(status('/peer/big-head'), '502', 'a head beyond proxy_buffer_size');
is(status('/peer/garbage'), '502', 'a peer without HTTP/2');
is(status('/timeout/x'), '504', 'proxy_read_timeout');
is(status('/peer/flood'), '502', 'a flood of pings');
is(status('/peer/early', '-d', 'x' x 1000), '200', 'an early response');
is(status('/peer/ok'), '200', 'and it goes on');

# Two meet on one connection; three do not, as two streams are its limit.
sub clients {
    my ($n, $path) = @_;
    return map {
        my $pid = open my $f, '-|', 'curl', '-s', '--max-time', $seconds,
            "$base$path" or die "curl: $!";
        { pid => $pid, out => $f }
    } 1 .. $n;
}
is(join(' ', map { readline $_->{out} } clients(2, '/peer/two')), 'both both',
    'streams share a connection');
my @three = clients(3, '/peer/hang/three');
ok($t->wait_for(sub { 3 == (() = peer() =~ m{GET /hang/three}g) }), 'three');
my %on;
$on{$_}++ for peer() =~ m{^(\d+) \d+ GET /hang/three}mg;
is(join(' ', sort values %on), '1 2', 'the limit of the peer is kept');
kill 'TERM', map { $_->{pid} } @three;
close $_->{out} for @three;

# Whether all of these requests were cancelled.
sub cancelled {
    my ($path) = @_;
    my $said = peer();
    my @asked = $said =~ m{^(\d+ \d+) GET \Q$path\E }mg;
    return @asked && !grep {
        my ($conn, $stream) = split;
        $said !~ /^$conn reset $stream 8$/m
    } @asked;
}
ok($t->wait_for(sub { cancelled('/hang/three') }), 'nobody waits any more');

# A client that does not read holds its stream and no other.
my $stuck_pid = open my $stuck, '-|', 'curl', '-sS', '--limit-rate', '10k', '--max-time', 3 * $seconds,
    "$base/slow/20000000" or die "curl: $!";
$t->wait_for(sub { peer() =~ m{GET /large/20000000} });
my ($busy) = peer() =~ m{^(\d+) \d+ GET /large/20000000}m;
is(curl("$base/peer/large/300000"), "y" x 300_000,
    'another goes on beside one that is stuck');
like(peer(), qr{^$busy \d+ GET /large/300000 }m, 'on the same connection');

my ($one) = clients(1, '/peer/hang/one');
ok($t->wait_for(sub { peer() =~ m{^$busy \d+ GET /hang/one }m }),
    'one that hangs beside it');
kill 'TERM', $one->{pid};
close $one->{out};
ok($t->wait_for(sub { cancelled('/hang/one') }),
    'is cancelled when nobody waits for it any more');
kill 'TERM', $stuck_pid;
close $stuck;

# Its last stream is cancelled so, too, and the connection is kept.
my ($stuck_id) = peer() =~ m{^$busy (\d+) GET /large/20000000}m;
ok($t->wait_for(sub { peer() =~ /^$busy reset $stuck_id /m }),
    'the last stream of a connection is cancelled');
is((curl("$base/peer/ok") =~ /^(\d+) /)[0], $busy, 'which is used again');

done_testing();
