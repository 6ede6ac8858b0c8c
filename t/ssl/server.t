#!/usr/bin/perl

# Which server and which certificate a handshake gets: names, defaults,
# several certificates, refusals, and what belongs to the chosen server.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl map/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert($_, ca => 'root', names => [$_])
    for qw/default.test exact.test inherited.test/;
$tls->cert('wild', ca => 'root', names => ['*.wild.test']);
$tls->cert('ec', ca => 'root', names => ['both.test']);
$tls->cert('rsa', ca => 'root', names => ['both.test'], key => 'rsa2048');
$tls->cert('p384', ca => 'root', names => ['p384.test'], key => 'p384');
$tls->cert($_, names => [$_]) for qw/a.dyn.test b.dyn.test/;
# Those are read by workers, whoever they are.
sub readable { chmod 0644, $tls->path("$_.key") for @_ }
readable(qw/a.dyn.test b.dyn.test/);

$t->config(<<'EOC');
http {
    ssl_certificate inherited.test.crt;
    ssl_certificate_key inherited.test.key;

    server {
        listen %%PORT_443%% ssl;
        server_name inherited.test;
        return 200 "inherited $scheme $https $ssl_server_name";
    }
    server {
        listen %%PORT_443%% default_server;
        server_name default.test;
        ssl_certificate default.test.crt;
        ssl_certificate_key default.test.key;
        return 200 default;
    }
    server {
        listen %%PORT_443%%;
        server_name exact.test;
        ssl_certificate exact.test.crt;
        ssl_certificate_key exact.test.key;
        ssl_protocols TLSv1.2;
        ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;
        error_log exact.log info;
        return 200 "exact $ssl_protocol $ssl_cipher";
    }
    server {
        listen %%PORT_443%%;
        server_name *.wild.test;
        ssl_certificate wild.crt;
        ssl_certificate_key wild.key;
        ssl_ecdh_curve secp384r1:prime256v1;
        ssl_prefer_server_ciphers on;
        return 200 "wild $ssl_curve";
    }
    server {
        listen %%PORT_443%%;
        server_name both.test;
        ssl_certificate rsa.crt;
        ssl_certificate_key rsa.key;
        ssl_certificate ec.crt;
        ssl_certificate_key ec.key;
        return 200 both;
    }
    server {
        listen %%PORT_443%%;
        server_name p384.test;
        ssl_certificate p384.crt;
        ssl_certificate_key p384.key;
        return 200 p384;
    }
    server {
        listen %%PORT_443%%;
        server_name refused.test;
        ssl_reject_handshake on;
    }
    server {
        listen %%PORT_443%%;
        server_name *.dyn.test;
        ssl_certificate $ssl_server_name.crt;
        ssl_certificate_key $ssl_server_name.key;
        return 200 "dynamic $ssl_server_name";
    }
    server {
        listen %%PORT_443%%;
        server_name ~^kept-(?<which>\w+)\.test$;
        ssl_certificate %%TESTDIR%%/$ssl_server_name.crt;
        ssl_certificate_key %%TESTDIR%%/$ssl_server_name.key;
        ssl_certificate_cache max=2 inactive=10m valid=10m;
        return 200 "kept";
    }

    # A port that refuses all but one name.
    server {
        listen %%PORT_444%% ssl;
        ssl_reject_handshake on;
    }
    server {
        listen %%PORT_444%% ssl;
        server_name exact.test;
        ssl_certificate exact.test.crt;
        ssl_certificate_key exact.test.key;
        return 200 only;
    }
    server {
        listen %%PORT_445%% ssl;
        ssl_handshake_timeout 100ms;
    }
    server {
        listen %%PORT_446%% ssl;
        client_header_timeout 100ms;
    }
    server {
        listen %%PORT_447%% ssl;
        ssl_buffer_size 1k;
        root %%TESTDIR%%;
    }
    server {
        listen %%PORT_448%% ssl;
        root %%TESTDIR%%;
    }
}
EOC
$t->run;

sub try {
    my ($name, %o) = @_;
    return $tls->s_client(port => 443, name => $name, ca => 'root', %o);
}

my $r = try('exact.test');
is($r->verify, 'ok', 'verified');
like($r->subject, qr/exact\.test/, 'the certificate of the name');
like($r->response, qr/^exact TLSv1\.2 ECDHE-ECDSA-AES256-GCM-SHA384$/m,
    'and protocols and ciphers of its server');

$r = try('EXACT.test.');
like($r->subject, qr/exact\.test/, 'in any case, with a dot at the end');

$r = try('exact.test', tls => '1.3');
ok(!$r->connected, 'not with other protocols');
ok($t->wait_for(sub {
    $t->read_file('exact.log') =~ /SSL_do_handshake\(\) failed.*client: /
}), 'which is in its own log');

$r = try('x.wild.test', groups => 'X25519:P-256:P-384');
like($r->subject, qr/wild\.test/, 'a wildcard');
like($r->response, qr/^wild secp384r1$/m, 'with curves of its own');

$r = try('inherited.test');
like($r->subject, qr/inherited\.test/, 'the certificate of http');
like($r->response, qr/^inherited https on inherited\.test$/m, 'and variables');

$r = try('unknown.test');
like($r->subject, qr/default\.test/, 'the default server for other names');
$r = try(undef, http_host => 'default.test');
like($r->subject, qr/default\.test/, 'and without one');
like($r->response, qr/^default$/m, 'which answers');

# --- several certificates

my @modern = (tls => '1.3');
$r = try('both.test', @modern);
like($r->facts, qr/Peer signature type: ECDSA/, 'ECDSA when it may');
$r = try('both.test', @modern, sigalgs => 'rsa_pss_rsae_sha256');
like($r->facts, qr/Peer signature type: RSA-PSS/, 'RSA when it must');
$r = try('both.test', tls => '1.2', ciphers => 'ECDHE-RSA-AES128-GCM-SHA256');
is($r->cipher, 'ECDHE-RSA-AES128-GCM-SHA256', 'in TLS 1.2 by the ciphers');
$r = try('both.test', tls => '1.2', ciphers =>
    'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256');
is($r->cipher, 'ECDHE-ECDSA-AES128-GCM-SHA256', 'of which ECDSA is better');
$r = try('both.test', tls => '1.2', sigalgs => 'RSA+SHA256');
like($r->cipher, qr/ECDHE-RSA/, 'and by the signatures');
$r = try('both.test', tls => '1.2', groups => 'P-384');
like($r->cipher, qr/ECDHE-RSA/, 'and by the curves');
$r = try('p384.test');
is($r->verify, 'ok', 'a key of P-384');

$r = try('p384.test', alpn => 'h3,http/1.1');
is($r->alpn, 'http/1.1', 'ALPN');
$r = try('p384.test', alpn => 'h3');
ok(!$r->connected, 'without a protocol in common there is no connection');
like($r->err, qr/no application protocol/, 'and an alert');

# --- refusals

$r = try('refused.test');
ok(!$r->connected, 'a handshake is refused');
like($r->err, qr/unrecognized name/, 'for its name');
$r = $tls->s_client(port => 444, name => 'exact.test', ca => 'root');
like($r->response, qr/^only$/m, 'a default server may refuse all others');
for my $name ('x.test', undef) {
    $r = $tls->s_client(port => 444, name => $name, http_host => 'x');
    like($r->err, qr/unrecognized name/, $name // 'no name');
}

# --- names with variables

for my $name (qw/a.dyn.test b.dyn.test/) {
    $r = $tls->s_client(port => 443, name => $name);
    like($r->subject, qr/\Q$name/, "$name is loaded");
    like($r->response, qr/^dynamic \Q$name\E$/m, 'and served');
}
my $mark = $t->log_mark;
$r = $tls->s_client(port => 443, name => 'c.dyn.test');
ok(!$r->connected, 'what is not there is not served');
ok($t->wait_for_log(
    qr/\[error\].*TLS certificate file not found: .*c\.dyn\.test\.crt, client/,
    from => $mark), 'and the log says so');
$r = $tls->s_client(port => 443, name => '../exact.test');
like($r->subject, qr/default\.test/, 'a path is no name');

$tls->cert('kept-a.test', names => ['first.test']);
readable('kept-a.test');
like($tls->s_client(port => 443, name => 'kept-a.test')->subject,
    qr/first\.test/, 'loaded once');
$tls->cert('kept-a.test', names => ['second.test']);
readable('kept-a.test');
like($tls->s_client(port => 443, name => 'kept-a.test')->subject,
    qr/first\.test/, 'and kept');
for my $name (qw/kept-b.test kept-c.test/) {
    $tls->cert($name, names => [$name]);
    readable($name);
    like($tls->s_client(port => 443, name => $name)->subject, qr/\Q$name/,
        "$name beside it");
}
like($tls->s_client(port => 443, name => 'kept-a.test')->subject,
    qr/second\.test/, 'but no more than there is room for');

# --- time and size

for my $port (445, 446) {
    my $from = $t->log_mark;
    my $c = $t->connect($port);
    $c->write(substr $tls->record(22, $tls->client_hello, 0x0301), 0, 100);
    ok($c->eof, 'half a hello is not waited for for ever');
    ok($t->wait_for_log(qr/client timed out .*while SSL handshaking/,
        from => $from), 'which the log says');
}
$t->write_file('big.txt', 'x' x 5000);
for my $port (447, 448) {
    $r = $tls->s_client(port => $port, tls => '1.2', path => '/big.txt',
        args => ['-msg'], ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256',
        name => 'inherited.test');
    # The length of each record with data; 24 bytes are not the data's.
    my ($most) = sort { $b <=> $a } map { hex tr/ //dr }
        $r->out =~ /^<<<\ [^\n]*RecordHeader[^\n]*\n
            \ +17\ 03\ 03\ (..\ ..)/xmg;
    if ($port == 447) {
        is($most, 1024 + 24, 'ssl_buffer_size limits records');
    } else {
        cmp_ok($most, '>', 5000, 'which are larger otherwise');
    }
}

# --- a reload

$tls->cert('exact.test', ca => 'root', names => ['exact.test', 'new.test']);
ok($t->reload, 'a reload');
$r = try('exact.test', verify_name => 'new.test');
is($r->verify, 'ok', 'brings a changed certificate');

done_testing;
