#!/usr/bin/perl

# Variables of TLS: what they say, and, where nginx is there, that nginx says
# the same, byte for byte.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->ca('clients', subject => '/C=JP/O=Authority, Ltd./CN=clients');
$tls->cert('site', ca => 'root', names => ['site.test']);
$tls->cert('rsa', ca => 'root', names => ['site.test'], key => 'rsa2048');
$tls->cert('client', ca => 'clients', client => 1, subject =>
    '/C=JP/ST=T\\xc5\\x8dky\\xc5\\x8d/O=A+B, "C" <d>;/OU= x #/CN=client/'
    . 'emailAddress=c@example.com');
$tls->cert('short', ca => 'clients', client => 1, key => 'rsa2048');

my @names = qw/ssl_protocol ssl_cipher ssl_ciphers ssl_curve ssl_curves
    ssl_session_reused ssl_server_name ssl_alpn_protocol ssl_early_data
    ssl_client_verify ssl_client_s_dn ssl_client_i_dn ssl_client_s_dn_legacy
    ssl_client_i_dn_legacy ssl_client_serial ssl_client_fingerprint
    ssl_client_v_start ssl_client_v_end ssl_client_v_remain ssl_client_cert
    ssl_client_raw_cert ssl_client_escaped_cert scheme https/;
my $all = join ' ', map {"$_=[\$$_]"} @names;

sub config {
    my ($more) = @_;
    return <<"EOC";
http {
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate @{[ $tls->path('site.crt') ]};
    ssl_certificate_key @{[ $tls->path('site.key') ]};
    ssl_certificate @{[ $tls->path('rsa.crt') ]};
    ssl_certificate_key @{[ $tls->path('rsa.key') ]};
    ssl_client_certificate @{[ $tls->path('clients.crt') ]};
    server {
        listen %%PORT_443%% ssl;
        server_name site.test;
        ssl_verify_client optional_no_ca;
        location = /all { return 200 '$all'; }
        $more
    }
    server {
        listen %%PORT_80%%;
        return 200 '$all';
    }
}
EOC
}

my $more = '';
$more .= "location = /$_ { return 200 '<\$$_>'; }\n" for qw/ssl_sigalgs
    ssl_session_id ssl_client_sigalg ssl_ech_status ssl_ciphers
    ssl_sigalg ssl_ech_outer_server_name/;
$t->config(config($more))->run;

# --- what they are

sub ask {
    my ($path, %o) = @_;
    my $r = $tls->s_client(port => 443, name => 'site.test', path => $path,
        %o);
    return $r->response ? $r->response->body : $r->err;
}

sub value {
    my ($name, %o) = @_;
    return ask('/all', %o) =~ /\b$name=\[(.*?)\]/s ? $1 : undef;
}

is(value('ssl_protocol', tls => $_), "TLSv$_", "ssl_protocol $_")
    for qw/1.2 1.3/;
is(value('ssl_cipher', tls => '1.2',
    ciphers => 'ECDHE-RSA-CHACHA20-POLY1305'),
    'ECDHE-RSA-CHACHA20-POLY1305', 'ssl_cipher');
is(value('ssl_cipher', suites => 'TLS_AES_256_GCM_SHA384', tls => '1.3'),
    'TLS_AES_256_GCM_SHA384', 'ssl_cipher of TLS 1.3');
is(value('ssl_curve', groups => 'P-384'), 'secp384r1', 'ssl_curve');
is(value('ssl_curves', groups => 'X25519:X448:P-256'),
    'X25519:X448:prime256v1', 'ssl_curves');
is(value('ssl_server_name', name => 'SITE.test'), 'SITE.test',
    'ssl_server_name as it was sent');
is(value('ssl_server_name', name => undef, http_host => 'site.test'), '',
    'or none');
is(value('ssl_alpn_protocol', alpn => 'x,http/1.1'), 'http/1.1',
    'ssl_alpn_protocol');
is(value('ssl_alpn_protocol'), '', 'or none');
is(value('ssl_early_data'), '', 'ssl_early_data');
is(value('ssl_client_verify'), 'NONE', 'ssl_client_verify');
is(value('ssl_client_s_dn'), '', 'without a certificate nothing is known');
is(value('scheme') . value('https'), 'httpson', 'scheme and https');
is(ask('/ssl_sigalgs', sigalgs => 'ECDSA+SHA256:rsa_pss_rsae_sha512:ed448'),
    '<ecdsa_secp256r1_sha256:rsa_pss_rsae_sha512:ed448>', 'ssl_sigalgs');
is(ask('/ssl_client_sigalg', cert => 'client'), '<ecdsa_secp256r1_sha256>',
    'ssl_client_sigalg');
is(ask('/ssl_client_sigalg', cert => 'short'), '<rsa_pss_rsae_sha256>',
    'of an RSA key');
is(ask('/ssl_client_sigalg'), '<>', 'of none');
is(ask('/ssl_sigalg'), '<ecdsa_secp256r1_sha256>', 'ssl_sigalg');
is(ask('/ssl_sigalg', tls => '1.2', ciphers => 'ECDHE-RSA-AES128-GCM-SHA256',
    sigalgs => 'RSA+SHA384'), '<rsa_pkcs1_sha384>', 'of RSA');
is(ask('/ssl_ech_outer_server_name'), '<>', 'ssl_ech_outer_server_name');
is(ask('/ssl_ech_status'), '<NOT_TRIED>', 'ssl_ech_status');
like(ask('/ssl_session_id', tls => '1.2'), qr/^<(?:[\da-f]{64})?>$/,
    'ssl_session_id');

is(value('ssl_session_reused', sess_out => 'session', tls => '1.2'), '.',
    'ssl_session_reused');
is(value('ssl_session_reused', sess_in => 'session', tls => '1.2'), 'r',
    'of a resumed one');

my $plain = $t->get('/', port => 80)->body;
is($plain, join(' ', map { "$_=[" . ($_ eq 'scheme' ? 'http' : '') . ']' }
    @names), 'on a plain connection there are none');

# Grease, and numbers nobody knows.
my $hello = $tls->client_hello(name => 'site.test',
    ciphers => [ 0x1a1a, 0x1301, 0xc02f, 0x00ff, 0x9999 ]);
ok(length $hello, 'a hello with grease is answered')
    && do {
    my $c = $t->connect(443);
    $c->write($tls->record(22, $hello, 0x0301));
    like($c->read_some, qr/^\x16\x03\x03/, 'by the server\'s hello');
    $c->close;
    };

# --- what nginx says

SKIP: {
    my $nginx = eval { Test::Veil->new(binary => 'nginx') };
    skip 'no nginx', 1 unless $nginx;
    my $version = `$nginx->{binary} -V 2>&1`;
    skip 'nginx has no TLS', 1 unless $version =~ /with-http_ssl_module/;
    $nginx->config(config(''))->run;

    my $both = sub {
        my ($what, %o) = @_;
        my @said;
        for my $server ($t, $nginx) {
            my $r = $tls->s_client(port => $server->port(443),
                name => 'site.test', path => '/all', %o);
            push @said, $r->response ? $r->response->body : $r->err;
        }
        # Each of them as a test of its own.
        my ($ours, $its) = map {
            my $s = $_;
            +{ map { $_ => $s =~ /(?:^| )$_=\[(.*?)\](?= \w+=\[|$)/s ? $1 : undef }
                @names };
        } @said;
        for my $name (@names) {
            next if ($o{except} // '') =~ /\b$name\b/;
            is($ours->{$name}, $its->{$name}, "$name, $what");
        }
    };
    $both->('TLS 1.2', tls => '1.2');
    $both->('TLS 1.3', tls => '1.3', suites => 'TLS_AES_128_GCM_SHA256');
    $both->('old ciphers', tls => '1.2',
        ciphers => 'ALL:!aNULL:@SECLEVEL=0', groups => 'P-384:P-256');
    $both->('a client\'s certificate', tls => '1.3', cert => 'client',
        suites => 'TLS_AES_128_GCM_SHA256');
    $both->('one of RSA', tls => '1.2', cert => 'short', alpn => 'http/1.1');
}

done_testing;
