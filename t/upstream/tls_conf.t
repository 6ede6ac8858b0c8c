#!/usr/bin/perl

# What a configuration may not say about TLS to upstreams.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('me', ca => 'root');
$tls->cert('you', ca => 'root');
$tls->cert('secret', ca => 'root', password => 'open sesame');
$t->write_file('passwords', "wrong\n");
$t->write_file('nonsense', "nonsense\n");
my $here = $t->testdir;

sub tested {
    my ($http, $location) = @_;
    $t->config(<<"EOC");
http {
    $http
    server {
        listen %%PORT_80%%;
        location / { $location }
    }
}
EOC
    return $t->command('-t');
}

sub refused {
    my ($http, $location, $why, $name) = @_;
    my ($status, $out) = tested($http, $location);
    like($out, $why, $name // $location);
    isnt($status, 0, 'it is an error');
}

sub accepted {
    my ($http, $location, $name) = @_;
    my ($status, $out) = tested($http, $location);
    is($status, 0, $name // $location) or diag($out);
    return $out;
}

my $to = 'proxy_pass https://127.0.0.1:1;';

accepted('', "$to proxy_ssl_verify off;");
accepted('', "$to proxy_ssl_trusted_certificate root.crt;");
accepted('', "$to proxy_ssl_trusted_certificate $here/root.crt;");

refused('', "$to proxy_ssl_trusted_certificate none.crt;",
    qr{not found: \Q$here\E/none\.crt in .*veil\.conf:5:});
refused('', "$to proxy_ssl_trusted_certificate nonsense;",
    qr{\Q$here\E/nonsense.*veil\.conf:5:}s);
refused('', "$to proxy_ssl_trusted_certificate root.crt; "
    . 'proxy_ssl_crl nonsense;', qr{no revocation list.*nonsense});
refused('', "$to proxy_ssl_certificate me.crt;",
    qr{no "proxy_ssl_certificate_key" is defined for.*"me\.crt"});
refused('', "$to proxy_ssl_certificate none.crt; "
    . 'proxy_ssl_certificate_key me.key;', qr{\Q$here\E/none\.crt});
refused('', "$to proxy_ssl_certificate me.crt; "
    . 'proxy_ssl_certificate_key you.key;', qr{you\.key|me\.crt},
    'a key of another certificate');
refused('', "$to proxy_ssl_certificate secret.crt; "
    . 'proxy_ssl_certificate_key secret.key;', qr{secret\.key},
    'a key without its password');
refused('', "$to proxy_ssl_certificate secret.crt; "
    . 'proxy_ssl_certificate_key secret.key; '
    . 'proxy_ssl_password_file passwords;', qr{secret\.key},
    'a key with another password');
refused('', "$to proxy_ssl_password_file none;",
    qr{cannot read the passwords "\Q$here\E/none": No such file});
refused('', "$to proxy_ssl_certificate_key engine:x:y;",
    qr{BoringSSL has neither engines nor stores});
refused('', "$to proxy_ssl_conf_command Options KTLS;",
    qr{BoringSSL has no configuration commands});
refused('', "$to proxy_ssl_protocols SSLv3;",
    qr{BoringSSL has nothing older than TLSv1});
refused('', "$to proxy_ssl_protocols TLSv1.4;", qr{invalid value.*TLSv1\.4}s);
refused('', "$to proxy_ssl_protocols TLSv1.1 TLSv1.3;",
    qr{cannot leave out TLSv1\.2});
refused('', "$to proxy_ssl_ciphers TLS_AES_128_GCM_SHA256;",
    qr{none of the ciphers});
refused('', "$to proxy_ssl_certificate_cache inactive=1s;",
    qr{must have the "max" parameter});
refused('', "$to proxy_ssl_certificate_cache max=0;",
    qr{invalid parameter "max=0"});
refused('', "$to proxy_ssl_certificate_cache on;", qr{"on".*"off"}s);
accepted('', "$to proxy_ssl_certificate_cache off;");
accepted('', "$to proxy_ssl_certificate ''; proxy_ssl_certificate_key '';",
    'no certificate');
refused('', "$to proxy_ssl_certificate me.crt;",
    qr{no "proxy_ssl_certificate_key" is defined for the certificate "me\.crt"});
refused('', 'grpc_pass grpcs://127.0.0.1:1; grpc_ssl_certificate me.crt;',
    qr{no "grpc_ssl_certificate_key" is defined for the certificate "me\.crt"})
    if $t->has_feature('grpc');

# Options that nothing needs are not looked at.

accepted('proxy_ssl_trusted_certificate none.crt;',
    'proxy_pass http://127.0.0.1:1;', 'nothing speaks TLS');
accepted('upstream a { server https://127.0.0.1:1; } '
    . 'upstream b { server 127.0.0.1:1; }'
    . 'proxy_ssl_trusted_certificate none.crt;',
    'proxy_pass http://b;', 'not here');
refused('upstream a { server https://127.0.0.1:1; } '
    . 'proxy_ssl_trusted_certificate none.crt;',
    'proxy_pass http://a;', qr{none\.crt}, 'but there');

# Schemes of servers.

refused('upstream a { server 127.0.0.1; server http://127.0.0.1:1; }',
    'proxy_pass https://a;',
    qr{the URL says https://, and the server "127\.0\.0\.1:1" of upstream "a" is http://});
refused('upstream a { server http://127.0.0.1 sni=x; }', '',
    qr{"sni=" has no meaning for a server with http://});
refused('upstream a { server https://127.0.0.1 sni=; }', '',
    qr{invalid parameter "sni="});
refused('upstream a { server ftp://127.0.0.1; }', '', qr{invalid host});
accepted('upstream a { server http://127.0.0.1:1; '
    . 'server https://127.0.0.1:1 sni=x; }', 'proxy_pass http://a;',
    'both schemes');

# The system's bundle.

$t->env(SSL_CERT_FILE => "$here/none.crt");
refused('', $to, qr{none\.crt}, 'SSL_CERT_FILE is not there');
accepted('', "$to proxy_ssl_verify off;", 'and not needed');
accepted('', 'proxy_pass http://127.0.0.1:1;', 'nor here');
$t->env(SSL_CERT_FILE => "$here/root.crt");
accepted('', $to, 'SSL_CERT_FILE');

# Default ports: one name, two groups.

$t->env(SSL_CERT_FILE => "$here/root.crt");
accepted('', 'location /a { proxy_pass http://127.0.0.1; } '
    . 'location /b { proxy_pass https://127.0.0.1; }', 'two schemes');

done_testing;
