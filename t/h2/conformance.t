#!/usr/bin/perl

# The rules of RFC 9113 and RFC 7541 that a client can break or see kept, each
# on a connection of its own: lib/h2_conformance.py says what comes of it, and
# README.md has the table of all of them.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'hpack', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->upstream(never => handler => sub { $_[0]->wait_peer_close(20) });
$t->write_file('html/file', 'x' x 30000);
$t->write_file('html/big', 'x' x 10_000_000);
$t->write_file('large.conf', 'add_header X-Large ' . 'v' x 40_000 . ';');
$t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    my %body = ('/up/cookie' => 'cookie', '/up/host' => 'host');
    my $name = $body{$req->{path} // $req->{uri} // ''};
    my @got = map { $_->[1] } grep { lc $_->[0] eq $name }
        @{$req->{headers}} if $name;
    $conn->reply(body => $name ? @got . ': ' . join ', ', @got : 'ok');
});
$t->upstream(hop => handler => sub {
    $_[0]->reply(body => 'ok', headers => [ 'X-Mixed' => 1,
        'Keep-Alive' => 'timeout=5', 'Proxy-Connection' => 'x',
        'Upgrade' => 'foo' ]);
});
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "socket: $!";
$t->set(SILENT => $silent->sockport);
$t->config(<<'EOC');
http {
    http2 on;
    large_client_header_buffers 4 32k;
    keepalive_requests 10000;
    client_max_header_size 128k;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3;
        ssl_ciphers ALL;
        server_name localhost;
        root %%TESTDIR%%/html;
        client_max_body_size 10m;
        location /ok { return 200 ok; }
        location /204 { return 204; }
        location /empty { return 200; }
        location /cookie { return 200 $http_cookie; }
        location /late { return 200 late=$http_x_late$http_accept_charset; }
        location /large { include %%TESTDIR%%/large.conf; return 200 large; }
        location /preload {
            add_header Link "</ok>; rel=preload";
            return 200 preload;
        }
        location /hop { proxy_pass http://%%UPSTREAM_hop%%; }
        location /hold { proxy_pass http://%%UPSTREAM_never%%; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
        location /up/host {
            proxy_set_header Host $http_host;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        # Its body is not read: a name is waited for.
        location /held {
            resolver 127.0.0.1:%%SILENT%%;
            set $held held.test;
            proxy_request_buffering off;
            proxy_pass http://$held;
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

my $table = `/usr/bin/python3 t/lib/h2_conformance.py --table`;
open my $readme, '<', 't/h2/README.md' or die "README.md: $!";
my $listed = join '', grep { /^\| RFC / } <$readme>;
ok($table eq $listed, 'README.md lists them all')
    or diag('h2_conformance.py --table prints its table');
done_testing();
