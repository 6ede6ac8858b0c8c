#!/usr/bin/perl

# TLS in the kernel, as far as the kernel of this machine goes: with it or
# without, what is asked for is served, and veil says which.  What it is like
# with such a kernel is t/ktls/vm.t's to show.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl proxy/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my $large = join '', map {"line $_\n"} 1 .. 100000;
$t->write_file('html/large', $large);

my $config = <<'EOC';
http {
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    ssl_ciphers ECDHE+AESGCM:ECDHE-ECDSA-AES128-SHA;
    root %%TESTDIR%%/html;
    ssl_ktls on;

    server {
        listen %%PORT_443%% ssl;
        error_page 497 =400 /plain;
        location = /plain { return 400 plain; }
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_ktls_fallback off;
        ssl_early_data on;
    }
    server {
        listen %%PORT_80%%;
        location / {
            proxy_pass https://localhost:%%PORTNUM_443%%;
            proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
            proxy_ssl_ktls on;
        }
    }
}
EOC

# The process that reads the configuration may load the module by asking.
$t->config($config)->run;

open my $ulp, '<', '/proc/sys/net/ipv4/tcp_available_ulp';
my $has = defined $ulp && (<$ulp> // '') =~ /\btls\b/;

if ($has) {
    $t->wait_for_log(qr/\[notice\] .* kTLS: the kernel has TLS/);
    pass('what the kernel has is in the log');
} else {
    $t->wait_for_log(qr/\[error\] .* kTLS is required .* try "modprobe tls"/);
    pass('what is required and not there is in the log');
}

for my $v (qw/1.2 1.3/) {
    my $r = $tls->s_client(path => '/large', ca => 'root', tls => $v);
    ok($r->response->complete && $r->response->body eq $large,
        "TLS $v: a file");
}
my $r = $tls->s_client(path => '/large', ca => 'root', tls => '1.2',
    ciphers => 'ECDHE-ECDSA-AES128-SHA');
ok($r->response->complete && $r->response->body eq $large,
    'a suite that no kernel knows');
is($t->get('/large', port => $t->port(80))->body, $large, 'an upstream');
like($t->get('/', port => $t->port(443)), qr/^HTTP\S+ 400.*plain$/s,
    'plain text on the port');

my $mark = $t->log_mark;
$r = $tls->s_client(path => '/large', ca => 'root', tls => '1.2',
    port => $t->port(444), ciphers => 'ECDHE-ECDSA-AES128-SHA');
unlike($r->{out}, qr/^HTTP/m, 'required: another suite is refused');
like($t->wait_for_log(qr/kTLS is required.*connection refused/,
        from => $mark),
    $has ? qr/the kernel does not know the cipher/
        : qr/the kernel has no TLS/, '  and the log says why');
$r = $tls->s_client(path => '/large', ca => 'root', tls => '1.3',
    port => $t->port(444));
is(!!$has, !!($r->{out} =~ /^HTTP/m), '  others are served by such a kernel');

$mark = $t->log_mark;
$t->stop;
like($t->read_file('error.log'), $has
    ? qr/kTLS: ktls_tx=[1-9]\d* ktls_rx=[1-9]\d* ktls_fallback: cipher=2/
    : qr/kTLS: ktls_tx=0 ktls_rx=0 ktls_fallback: unavailable=[1-9]/,
    'the counters are in the log at the end');
done_testing();
