#!/usr/bin/perl

# Clients that others have written: nghttp, h2load, curl and Chromium.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 100_000;
$t->write_file('html/big', $big);
$t->write_file('html/small', 'small');
$t->config(<<'EOC');
http {
    keepalive_requests 100000;
    log_format agent '$http2 $status $http_user_agent';
    access_log %%TESTDIR%%/h2.log agent;
    server {
        listen %%PORT_80%% http2;
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        root %%TESTDIR%%/html;
        location /page {
            default_type text/html;
            return 200 "<p>$server_protocol $http2</p>";
        }
    }
}
EOC
$t->run;

my ($dir, $p80, $p443) = ($t->testdir, $t->port(80), $t->port(443));
like(($t->command('-t'))[1], qr/"http2" parameter of "listen" is deprecated/,
    'listen ... http2 warns');

my $stat = `nghttp -ns http://127.0.0.1:$p80/big http://127.0.0.1:$p80/small 2>&1`;
is(join(' ', sort $stat =~ m{ (200) +\S+ (/small|/big)$}mg),
    '/big /small 200 200', 'nghttp');
is(sha256_hex(`nghttp --no-verify-peer https://localhost:$p443/big 2>&1`),
    sha256_hex($big), 'nghttp over TLS');
for my $url ("http://127.0.0.1:$p80", "https://localhost:$p443") {
    my $scheme = $url =~ s/:.*//sr;
    like(`h2load -n 200 -c 4 -m 20 $url/small 2>&1`,
        qr/status codes: 200 2xx/, "h2load, $scheme");
    like(`h2load -n 20 -c 2 -m 10 $url/big 2>&1`,
        qr/status codes: 20 2xx/,
        "h2load with large answers, $scheme");
}
is(`curl -sS --http2 --cacert $dir/root.crt --resolve localhost:$p443:127.0.0.1 https://localhost:$p443/page`,
    '<p>HTTP/2.0 h2</p>', 'curl');

my $r = $tls->chromium('/page', cert => 'site', port => 443);
SKIP: {
    skip 'no Chromium', 2 if !defined $r;
    like($r->{out}, qr{<p>HTTP/2.0 h2</p>}, 'Chromium shows the page');
    ok($t->wait_for(sub { $t->read_file('h2.log') =~ /^h2 200 .*Chrome/m }),
        'it is in the log');
}
unlike($t->log, qr/connection is ended|broke the rules/,
    'nobody did what is not allowed');
done_testing();
