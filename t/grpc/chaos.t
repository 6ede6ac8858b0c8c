#!/usr/bin/perl

# Calls that are left, cancelled and late in all places, while their servers
# come and go and the configuration is loaded again.  What is looked for is
# what a server must not do then, whatever its clients get.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::GRPC;
use Test::Veil::TLS;

my $t = Test::Veil->new(timeout => 60)->has('v2')->has('v2_upstream')
    ->has('grpc')->has('grpcio');
my $g = Test::Veil::GRPC->new($t);
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my ($server, $plain) = $g->server('server.log', $t->port('plain'));
my ($secure_server, undef, $secure) = $g->server('secure.log', 0,
    "$dir/site.key", "$dir/site.crt");

$t->set(PLAIN => "127.0.0.1:$plain", SECURE => "127.0.0.1:$secure");
$t->config(<<'EOC')->run;
worker_processes 2;
http {
    http2 on;
    client_max_body_size 64m;
    grpc_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    grpc_ssl_name localhost;
    keepalive_requests 30;
    grpc_max_timeout 10s;
    server {
        listen %%PORT_80%%;
        location / { grpc_pass %%PLAIN%%; }
    }
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location / { grpc_pass grpcs://%%SECURE%%; }
    }
}
EOC

my @clients = ($g->client(80, '-', 'chaos', $$, 25),
    $g->client(443, "$dir/root.crt", 'chaos', $$ + 1, 25));
note("seed $$");
ok($g->checks($_, 'chaos', 'some are fine'), 'a client is served') for @clients;
my $mark = $t->log_mark;
$t->wait_for_log(qr/the call's deadline has passed/, from => $mark);
$g->kill_server($server);
($server) = $g->server('server.log', $plain);
$mark = $t->log_mark;
$t->reload;
ok($t->wait_for_log(qr/generation 2 serves/, from => $mark), 'reloaded');
$g->go_on($_) for @clients;
ok($g->checks($_, 'chaos'), 'a client has ended') for @clients;
$g->group('afterwards', $_ eq '-' ? 80 : 443, $_, 'wait')
    for '-', "$dir/root.crt";

done_testing();
