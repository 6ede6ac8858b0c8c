#!/usr/bin/perl

# HTTP/2 as curl and nghttp speak it: over TLS and by prior knowledge, files,
# bodies in both directions, many streams, a browser's HTTP/1 beside it.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 100_000;
$t->write_file('html/big', $big);
$t->write_file('html/small', 'small');
$t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => join "\n", $req->{method}, length $req->{body},
        sha256_hex($req->{body}), $conn->header($req, 'Host') // '-',
        $conn->header($req, 'Cookie') // '-');
});
$t->config(<<'EOC');
http {
    http2 on;
    client_max_body_size 2m;
    access_log %%TESTDIR%%/h2.log;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        server_name localhost;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        root %%TESTDIR%%/html;
        location /proto { return 200 "$server_protocol $scheme $http_host"; }
        location /p/ {
            proxy_set_header Host $http_host;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /slow { limit_rate 100k; alias %%TESTDIR%%/html/small; }
    }
    server {
        listen %%PORT_81%%;
        http2 off;
        return 200 "$server_protocol";
    }
}
EOC
$t->run;

my $dir = $t->testdir;
my $p80 = $t->port(80);
my $p81 = $t->port(81);
my $p443 = $t->port(443);

# "-T -" sends what there is.
open STDIN, '<', '/dev/null' or die "/dev/null: $!";
my $seconds = Test::Veil::HTTP1::patient(20);

sub curl {
    my (@args) = @_;
    open my $f, '-|', 'curl', '-sS', '--max-time', $seconds, '--cacert',
        "$dir/root.crt", @args or die "curl: $!";
    local $/;
    my $out = <$f>;
    close $f;
    return $out;
}

my @h2c = ('--http2-prior-knowledge');
is(curl(@h2c, "http://127.0.0.1:$p80/proto"),
    "HTTP/2.0 http 127.0.0.1:$p80", 'prior knowledge');
is(curl('--http2', '--resolve', "localhost:$p443:127.0.0.1",
    "https://localhost:$p443/proto"),
    "HTTP/2.0 https localhost:$p443", 'ALPN');
is(curl('--http1.1', '--resolve', "localhost:$p443:127.0.0.1",
    "https://localhost:$p443/proto"),
    "HTTP/1.1 https localhost:$p443", 'a client that has only HTTP/1.1');
is(curl("http://127.0.0.1:$p80/proto"), "HTTP/1.1 http 127.0.0.1:$p80",
    'HTTP/1.1 on the same port');
is($t->raw("GET /proto HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    size => 1, pause => 0) =~ s/.*\r\n\r\n//sr, 'HTTP/1.1 http a',
    'the same byte by byte');
like($t->raw("PRI * HTTP/2.0\r\n\r\nSM\r\nX", size => 1, pause => 0),
    qr/^HTTP\/1.1 505 /, 'what only begins like a preface');
is(curl('--http1.1', "http://127.0.0.1:$p81/"), 'HTTP/1.1', 'http2 off');

is(sha256_hex(curl(@h2c, "http://127.0.0.1:$p80/big")), sha256_hex($big),
    'a file of 900 KB');
is(curl(@h2c, '-r', '8-17', "http://127.0.0.1:$p80/big"), substr($big, 8, 10),
    'a range');
is(curl(@h2c, '-I', '-o', '/dev/null', '-w', '%{http_code} %{size_download}',
    "http://127.0.0.1:$p80/big"), '200 0', 'HEAD');
is(curl(@h2c, '-w', '%{http_code}', '-o', '/dev/null',
    "http://127.0.0.1:$p80/none"), '404', 'an error');

my @sent = ('POST', length $big, sha256_hex($big), "127.0.0.1:$p80");
is(curl(@h2c, '--data-binary', "\@$dir/html/big",
    "http://127.0.0.1:$p80/p/x"), join("\n", @sent, '-'),
    'an upload goes to the backend as it was');
is(curl(@h2c, '-T', '-', '-H', 'Cookie: a=1', "http://127.0.0.1:$p80/p/x")
    =~ s/\n.*\n(.*)$/ $1/sr, 'PUT a=1', 'one without a length; a cookie');
$t->write_file('html/huge', 'x' x 3_000_000);
is(curl(@h2c, '-H', 'Expect:', '-F', "x=\@$dir/html/huge", '-o', '/dev/null',
    '-w', '%{http_code} %{exitcode}', "http://127.0.0.1:$p80/p/x"), '413 0',
    'client_max_body_size: the answer reaches who goes on sending');

# One connection, many streams.
like(`h2load -n 300 -c 1 -m 60 http://127.0.0.1:$p80/small 2>&1`,
    qr/status codes: 300 2xx/, 'sixty streams at once');

ok($t->wait_for(sub { $t->read_file('h2.log') =~ /"GET \/none HTTP\/2.0" 404/ }),
    'the log says HTTP/2.0');

done_testing();
