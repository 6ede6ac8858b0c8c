#!/usr/bin/perl

# The rules of RFC 9113 and RFC 7541 that a client can break, each on a
# connection of its own: lib/h2_conformance.py says what comes of it.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'hpack', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->write_file('html/file', 'x' x 30000);
$t->upstream(a => handler => sub { $_[0]->reply(body => 'ok') });
$t->config(<<'EOC');
http {
    http2 on;
    large_client_header_buffers 4 32k;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        server_name localhost;
        root %%TESTDIR%%/html;
        client_max_body_size 10m;
        location /ok { return 200 ok; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
        location /gated {
            proxy_request_buffering off;
            proxy_pass http://%%UPSTREAM_a%%;
        }
    }
}
EOC
$t->run;

open my $f, '-|', '/usr/bin/python3', 't/lib/h2_conformance.py', $t->port(80),
    $t->port(443), $t->testdir . '/root.crt' or die "python3: $!";
while (my $line = <$f>) {
    next unless $line =~ /^(not )?ok - (.*)/;
    ok(!$1, $2);
}
ok(close($f), 'the script came to its end');
done_testing();
