#!/usr/bin/perl

# Tests of the harness' TLS: what its certificates are, and that its clients
# see what happened, with Debian's nginx as the server, which is known to
# behave.

use strict;
use warnings;

use lib 't/lib';

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new(binary => 'nginx');
$t->skip_all('this nginx has no TLS') unless $t->has_feature('ssl');
my $tls = Test::Veil::TLS->new($t);

# -------------------------------------------------------------- certificates --

$tls->ca('root');
$tls->ca('sub', ca => 'root');
$tls->cert('site', ca => 'sub',
    names => [qw/example.com *.a.test localhost 127.0.0.1/]);
$tls->cert('rsa', ca => 'root', key => 'rsa2048', names => ['localhost']);
$tls->cert('locked', ca => 'root', key => 'p384', password => 'secret');
$tls->cert('old', ca => 'root', names => ['old.test'], expired => 1);
$tls->cert('alice', ca => 'root', client => 1);
$tls->cert('mallory', ca => 'root', client => 1);
$tls->staple('rsa');
$tls->crl('root', revoked => ['mallory']);

is(scalar(() = $t->read_file('site.crt') =~ /BEGIN CERT/g), 2,
    'an intermediate comes with its certificate, the root does not');
like($tls->openssl('verify', '-CAfile', 'root.crt', '-untrusted',
    'sub.crt', 'site.crt'), qr/OK/, 'and they verify');
like($tls->field('site', 'text'), qr/IP Address:127\.0\.0\.1/,
    'an address among the names');
like($t->read_file('locked.key'), qr/BEGIN ENCRYPTED PRIVATE KEY/,
    'a key with a password');
is((stat $t->testdir . '/rsa.key')[2] & 0777, 0600, 'a key is private');
my $kept = $tls->key('first', 'rsa2048') && $t->read_file('first.key');
isnt($kept, $t->read_file('rsa.key'), 'each RSA key of a test is another');

# ------------------------------------------------------------------- clients --

$t->config(<<'EOC')->run;
http {
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:s:1m;
    ssl_early_data on;
    ssl_client_certificate %%TESTDIR%%/root.crt;
    ssl_verify_client optional;
    ssl_crl %%TESTDIR%%/root.crl;
    add_header X-Say "$ssl_protocol $ssl_session_reused $ssl_client_verify";

    server {
        listen %%PORT_443%% ssl http2;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        return 200 "$server_protocol $request_method $ssl_early_data\n";
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_certificate %%TESTDIR%%/rsa.crt;
        ssl_certificate_key %%TESTDIR%%/rsa.key;
        ssl_stapling on;
        ssl_stapling_file %%TESTDIR%%/rsa.ocsp;
        return 200 rsa;
    }
    server {
        listen %%PORT_445%% ssl;
        ssl_certificate %%TESTDIR%%/old.crt;
        ssl_certificate_key %%TESTDIR%%/old.key;
        return 200 old;
    }
}
EOC

for my $v (qw/1.2 1.3/) {
    my $r = $tls->s_client(ca => 'root', tls => $v, name => 'x.a.test',
        sess_out => "sess$v", alpn => 'http/1.1');
    is($r->protocol, "TLSv$v", "s_client: TLS $v");
    is($r->reused, 0, 'a new session');
    is($r->verify, 'ok', 'verified');
    is($r->alpn, 'http/1.1', 'ALPN');
    is($r->depth, 2, 'two certificates were sent');
    is($r->group, 'X25519', 'the group');
    is($r->response->header('X-Say'), "TLSv$v . NONE", 'the server agrees');
    is($r->response->rest, '', 'nothing after the response');

    $r = $tls->s_client(tls => $v, sess_in => "sess$v", name => 'x.a.test',
        alpn => 'http/1.1');
    is($r->reused, 1, 'resumed');
    is($r->response->header('X-Say'), "TLSv$v r NONE", 'the server agrees');

    $r = $tls->s_client(ca => 'root', tls => $v, cert => 'alice');
    is($r->response->header('X-Say'), "TLSv$v . SUCCESS",
        'a client certificate');
    is("@{ $r->ca_names }", 'CN = root', 'was asked for');
    $r = $tls->s_client(ca => 'root', tls => $v, cert => 'mallory');
    like($r->response->header('X-Say') // $r->response->body,
        qr/FAILED:|SSL certificate error/, 'one that is revoked');

    my @p = $tls->python(tls => $v, ca => 'root', times => 2,
        cert => 'alice');
    is(join(' ', map { "$_->{version} " . ($_->{reused} ? 1 : 0) } @p),
        "TLSv$v 0 TLSv$v 1", 'python resumes');
    like($p[1]{responses}[0] // '', qr/^X-Say: TLSv$v r SUCCESS\r$/m,
        'python has a certificate');

    my $c = $tls->curl('/', ca => 'root', tls => $v, alpn => 'h2');
    is("$c->{code} $c->{version}", '200 2', 'curl');
    like($c->{out}, qr/x-say: TLSv$v . NONE/, 'curl has what was said');
}

my $r = $tls->s_client(tls => '1.3', sess_out => 'sess');
$r = $tls->s_client(tls => '1.3', sess_in => 'sess',
    early => "GET / HTTP/1.0\r\n\r\n");
is($r->early, 'accepted', 'early data');
# nginx says 1 only until it has seen the end of the handshake.
like($r->response, qr/ 200 .* GET 1?\n?\z/s, 'was answered');

$r = $tls->s_client(port => 444, ca => 'root', status => 1);
is($r->ocsp, 'good', 'a staple');
is($tls->s_client(ca => 'root', status => 1)->ocsp, 'none', 'no staple');
$r = $tls->s_client(port => 444, tls => '1.2',
    ciphers => 'ECDHE-ECDSA-AES128-SHA');
is($r->connected, 0, 'no common cipher');
is($r->alert, 'handshake failure', 'the alert is seen');
$r = $tls->s_client(port => 445, ca => 'root');
is($r->verify_code, 10, 'an expired certificate');
is($r->connected ? $r->response->status : 0, 0, 'and no response');
is($tls->s_client(port => 445, ca => 'root', keep_bad => 1)
    ->response->body, 'old', 'unless asked to go on');

my $c = $tls->connect(port => 444, ca => 'root');
is($c->get('/')->body, 'rsa', 'a connection') for 1 .. 2;
$c->close;

# ----------------------------------------------------------------- raw bytes --

$c = $t->connect(443);
$c->write($tls->record(22, $tls->client_hello(pad => 300), 0x0301));
like($c->read_bytes(6), qr/^\x16\x03\x03..\x02\z/s, 'a server hello');
$c->close;
$c = $t->connect(443);
$c->write($tls->record(22, $tls->client_hello(ciphers => [0x0001])));
is($c->read_all, "\x15\3\3\0\2\2\x28", 'an alert: handshake failure');

SKIP: {
    skip 'Chromium is not installed', 2 unless $tls->has_chromium;
    my $b = $tls->chromium('/', cert => 'site', name => 'example.com');
    like($b->{out}, qr{HTTP/2\.0 GET}, 'Chromium shows the document');
    like($b->{netlog}, qr/"next_proto":"h2"/, 'and logs what it did');
}

done_testing;
