#!/usr/bin/perl

# Both directions of a request at once, as in gRPC's streams, through HTTP/2
# to upstreams: who speaks first, who ends first, who gives up.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Python;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2')->has('v2_upstream');
my $python = Test::Veil::Python->new($t, 'h2');
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);

$t->upstream(old => raw => sub {
    my ($conn) = @_;
    $conn->read_until(qr/\r\n\r\n/);
    $conn->write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "5\r\nhello\r\n");
    while ($conn->read_until(qr/\A([0-9a-f]+)\r\n(.*?)\r\n/s) =~
            /\A([0-9a-f]+)\r\n(.*?)\r\n/s) {
        last if hex $1 == 0;
        $conn->write(sprintf "%x\r\n<%s>\r\n", 2 + length $2, $2);
    }
    $conn->write("0\r\n\r\n");
});
$t->set(PEER => '127.0.0.1:'
    . $python->server('t/lib/h2_server.py', "$dir/peer.log"));
$t->config(<<'EOC');
http {
    client_max_body_size 20m;
    lingering_timeout 300ms;
    proxy_http_version 2;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_pass_trailers on;
    proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    proxy_ssl_name localhost;
    server {
        listen %%PORT_80%%;
        http2 on;
        location /peer/ { proxy_pass http://%%PEER%%/; }
        location /tls/ { proxy_pass https://%%PORT_443%%/; }
        location /h1/ {
            proxy_http_version 1.1;
            proxy_pass http://%%UPSTREAM_old%%/;
        }
    }
    server {
        listen %%PORT_443%% ssl;
        http2 on;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location / { proxy_pass http://%%PEER%%; }
    }
}
EOC
$t->run;

$python->checks('t/lib/h2_stream.py', $t->port(80), "$dir/peer.log");
done_testing();
