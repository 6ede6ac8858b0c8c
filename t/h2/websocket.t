#!/usr/bin/perl

# WebSockets over HTTP/2 (RFC 8441), with TLS and without: to backends that
# are asked for HTTP/1 and for HTTP/2, many on one connection, beside requests.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'hpack', 'tls', 'v2_upstream');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->write_file('html/big', join '', map { sprintf "%08d\n", $_ } 1 .. 30_000);
$t->upstream(ws => routes => {
    '/ws' => Test::Veil::Upstream::websocket(),
    '/refuse' => Test::Veil::Upstream::reply(status => 403, body => 'no'),
});
$t->config(<<'EOC');
http {
    http2 on;
    proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    proxy_ssl_name localhost;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        server_name localhost;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location /ok { return 200 ok; }
        location /html { alias %%TESTDIR%%/html; }
        location /h1/ { proxy_pass http://%%UPSTREAM_ws%%/; }
        location /tls/ { proxy_pass https://%%PORT_443%%/h1/; }
        location /h2c/ { proxy_h2c on; proxy_pass http://%%PORT_80%%/h1/; }
        location /h2/ {
            proxy_http_version 2;
            proxy_pass https://%%PORT_443%%/h1/;
        }
    }
}
EOC
$t->run;

for my $how ('-', $t->testdir . '/root.crt') {
    open my $f, '-|', '/usr/bin/python3', 't/lib/h2_websocket.py', $how,
        $t->port($how eq '-' ? 80 : 443), $t->testdir or die "python3: $!";
    while (my $line = <$f>) {
        ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
    }
    ok(close($f), 'the script came to its end');
}
done_testing();
