#!/usr/bin/perl

# Mistakes in the configuration of TLS, and what BoringSSL cannot do: what is
# said, where, and that it is said once.

use strict;
use warnings;
use lib 't/lib';
use MIME::Base64 ();
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['site.test']);
$tls->cert('other', ca => 'root');
$tls->cert('old', ca => 'root', expired => 1);
$tls->cert('new', ca => 'root', future => 1);
$tls->cert('locked', ca => 'root', password => 'secret');
$t->write_file('empty.pem', '');
$t->write_file('text.pem', "nothing of use\n");
$t->write_file('passwords', "wrong\nsecret\n");
$t->write_file('wrong.passwords', "wrong\n");
my $pem = $t->read_file('site.crt');
$t->write_file('half.pem', substr $pem, 0, length($pem) / 2);
$t->write_file('broken.pem', $pem =~ s/\n\w{20}/\nAAAAAAAAAAAAAAAAAAAA/r);
chmod 0600, map { $t->testdir . "/$_" } qw/passwords wrong.passwords/;

my $site = 'ssl_certificate site.crt; ssl_certificate_key site.key;';

# check($text): "veil -t" of a server's content, in lines of their own.

sub check {
    my ($text) = @_;
    $t->config("http { access_log off;\nserver {\nlisten %%PORT_443%% ssl;\n$text\n}\n}\n",
        bare => 1);
    my ($status, $out) = $t->command('-t');
    my @said = map { /\[(emerg|alert|warn)\] \S+: (.*)/ ? "$1 $2" : () }
        split /\n/, $out;
    return ($status, $out, grep { !/^\w+ {5}/ } @said);
}

sub wrong {
    my ($text, $want, $place, $name) = @_;
    my ($status, $out, @said) = check($text);
    $name //= $text =~ s/\n.*//sr;
    isnt($status, 0, "refused: $name");
    like($said[0] // '', qr/^emerg $want in \S*veil\.conf:\Q$place\E/,
        '  what it says, and where');
    is(scalar @said, 1, '  in one message') or diag $out;
}

sub warned {
    my ($text, $want, $place, $name) = @_;
    my ($status, $out, @said) = check($text);
    $name //= $text =~ s/\n.*//sr;
    is($status, 0, "taken: $name") or diag $out;
    like($said[0] // '', qr/^warn $want in \S*veil\.conf:\Q$place\E/,
        '  with a warning');
    is(scalar @said, 1, '  and one only') or diag $out;
}

sub taken {
    my ($text, $name) = @_;
    my ($status, $out, @said) = check($text);
    is($status, 0, 'taken: ' . ($name // $text)) or diag $out;
    is("@said", '', '  without a word');
}

# Certificates.

taken($site);

# One server without a certificate beside one that has it.
sub beside {
    my ($first, $second) = @_;
    return "$site $first\n}\nserver {\nlisten %%PORT_443%% ssl;\n"
        . "server_name b.test;\n$second";
}
my $verify = 'ssl_verify_client on; ssl_client_certificate root.crt;';
taken(beside('', ''), 'a server without a certificate of its own');
taken(beside($verify, $verify), 'which verifies as the default server');
wrong(beside($verify, $verify =~ s/root/other/r),
    qr/a server without "ssl_certificate" verifies its clients as the default server of its port does, and here "ssl_verify_client" asks for something else/,
    '6:1', 'which trusts others');
wrong(beside('', $verify),
    qr/a server without "ssl_certificate" verifies its clients .*/,
    '6:1', 'where the default server verifies nobody');
taken(beside($verify, "$site ssl_verify_client optional;"
    . ' ssl_client_certificate other.crt;'), 'with a certificate it may');
wrong('', qr/no "ssl_certificate" is defined for the "listen \.\.\. ssl" directive/,
    '3:1', 'no certificate');
wrong("ssl_certificate nowhere.crt;\nssl_certificate_key site.key;",
    qr/TLS certificate file not found: \S+\/nowhere\.crt/, '4:17');
wrong("ssl_certificate site.crt;\nssl_certificate_key nowhere.key;",
    qr/TLS private key file not found: \S+\/nowhere\.key/, '5:21',
    'no key');
wrong('ssl_certificate site.crt;',
    qr/no "ssl_certificate_key" is defined for certificate "\S+\/site\.crt"/,
    '4:17');
wrong("ssl_certificate empty.pem;\nssl_certificate_key site.key;",
    qr/there is no certificate \(in PEM format\) in "\S+\/empty\.pem"/,
    '4:17');
wrong("ssl_certificate text.pem;\nssl_certificate_key site.key;",
    qr/there is no certificate \(in PEM format\) in "\S+\/text\.pem"/, '4:17');
wrong("ssl_certificate half.pem;\nssl_certificate_key site.key;",
    qr/certificate 1 in "\S+\/half\.pem" cannot be read: \w+/, '4:17');
wrong("ssl_certificate broken.pem;\nssl_certificate_key site.key;",
    qr/certificate 1 in "\S+\/broken\.pem" cannot be read: \w+/, '4:17');
wrong("ssl_certificate %%TESTDIR%%;\nssl_certificate_key site.key;",
    qr/cannot read the TLS certificate "\S+": Is a directory/, '4:17');
wrong("ssl_certificate site.crt;\nssl_certificate_key site.crt;",
    qr/there is no private key \(in PEM format\) in "\S+\/site\.crt"/, '5:21');
wrong("ssl_certificate site.crt;\nssl_certificate_key other.key;",
    qr/the TLS private key "\S+\/other\.key" does not match the certificate "\S+\/site\.crt"/,
    '5:21');
wrong("ssl_certificate \"\";", qr/the name of a file is empty/, '4:17');
wrong("ssl_certificate data:nothing;\nssl_certificate_key site.key;",
    qr/there is no certificate \(in PEM format\) in "data:\.\.\."/, '4:17');
wrong("$site\nssl_certificate nowhere.crt; ssl_certificate_key site.key;",
    qr/TLS certificate file not found: \S+\/nowhere\.crt/, '5:17',
    'the second of two');

warned("ssl_certificate old.crt;\nssl_certificate_key old.key;",
    qr/the TLS certificate "\S+\/old\.crt" expired at \w+ .* GMT/, '4:1');
warned("ssl_certificate new.crt;\nssl_certificate_key new.key;",
    qr/the TLS certificate "\S+\/new\.crt" is not valid before \w+ .* GMT/,
    '4:1');

warned("ssl_certificate other.crt;\nssl_certificate_key other.key; $site",
    qr/this certificate is not served: "\S+\/site\.crt", which follows, is of the same kind/,
    '4:1', 'two of the same kind');

my $key = $t->read_file('site.key');
taken("ssl_certificate \"data:$pem\"; ssl_certificate_key \"data:$key\";",
    'certificate and key in the configuration');

# Keys.

wrong("ssl_certificate locked.crt;\nssl_certificate_key locked.key;",
    qr/the TLS private key "\S+\/locked\.key" is encrypted, and no "ssl_password_file" is given/,
    '5:21', 'an encrypted key without a password');
wrong("ssl_certificate locked.crt;\nssl_certificate_key locked.key; ssl_password_file wrong.passwords;",
    qr/none of the passwords opens the TLS private key "\S+\/locked\.key"/,
    '5:21', 'with the wrong one');
taken("ssl_certificate locked.crt;\nssl_certificate_key locked.key; ssl_password_file passwords;",
    'one of several passwords');
wrong("$site ssl_password_file nowhere;",
    qr/cannot read the passwords "\S+\/nowhere": No such file or directory/,
    '4:75');
for my $kind (qw/engine store/) {
    wrong("ssl_certificate site.crt;\nssl_certificate_key $kind:pkcs11:1;",
        qr/BoringSSL has no engines and no stores: .*/, '5:21', "$kind:");
}
chmod 0644, $t->testdir . '/site.key';
warned("ssl_certificate site.crt;\nssl_certificate_key site.key;",
    qr/the TLS private key "\S+\/site\.key" is open to every user of this machine \(mode 0644\)/,
    '5:1', 'a key that all can read');
chmod 0600, $t->testdir . '/site.key';

# Several servers.

sub servers {
    my ($text, $want, $place, $name) = @_;
    $t->config("http { access_log off;\n$text\n}\n", bare => 1);
    my ($status, $out) = $t->command('-t');
    if (!defined $want) {
        is($status, 0, $name) or diag $out;
        return;
    }
    isnt($status, 0, $name);
    like($out, qr/\[emerg\] \S+: $want in \S*veil\.conf:\Q$place\E/,
        '  what it says, and where');
}

my $missing
    = qr/no "ssl_certificate" is defined for the "listen \.\.\. ssl" directive/;
servers("server { listen %%PORT_443%% ssl; $site }\n"
    . 'server { listen %%PORT_443%%; server_name b; }',
    undef, undef, 'a server is served with the default one\'s');
servers("server { listen %%PORT_443%% ssl; server_name a; }\n"
    . "server { listen %%PORT_443%% default_server; $site }",
    undef, undef, 'whichever that is');
servers("server { listen %%PORT_443%% default_server; server_name a; }\n"
    . "server { listen %%PORT_443%% ssl; $site }",
    $missing, '2:10', 'a default server without one');
servers("server { listen %%PORT_443%% ssl; ssl_reject_handshake on; }\n"
    . 'server { listen %%PORT_443%%; server_name b; }',
    $missing, '3:10', 'others, where the default one refuses');
servers("$site server { listen %%PORT_443%% ssl; }",
    undef, undef, 'the certificate of http');
servers("server { listen %%PORT_443%%; ssl_certificate nowhere.crt;\n"
    . 'ssl_certificate_key nowhere.key; }',
    qr/TLS certificate file not found: \S+\/nowhere\.crt/, '2:50',
    'files are read even if nobody needs them');

# Protocols, ciphers, curves.

wrong("$site\nssl_protocols TLSv1.2 SSLv3;",
    qr/BoringSSL has no SSLv3, which is broken/, '5:23', 'SSLv3');
wrong("$site\nssl_protocols TLSv1.1 TLSv1.3;",
    qr/BoringSSL cannot leave out TLSv1\.2 between other protocols/, '5:1',
    'a hole');
taken("$site ssl_protocols TLSv1 TLSv1.1 TLSv1.2;", 'old protocols');
wrong("$site\nssl_protocols TLS1.2;", qr/invalid value "TLS1\.2" .*/, '5:15',
    'no protocol');
wrong("$site\nssl_ciphers DHE-RSA-AES128-SHA;",
    qr/BoringSSL has none of the ciphers "DHE-RSA-AES128-SHA" \(\w+\); those of TLS 1\.3 cannot be chosen/,
    '5:13', 'a cipher that is not there');
wrong("$site\nssl_ciphers TLS_AES_128_GCM_SHA256;",
    qr/BoringSSL has none of the ciphers .*/, '5:13', 'TLS 1.3');
taken("$site ssl_ciphers DHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256;",
    'one that is among others that are not');
taken("$site ssl_ecdh_curve $_;", $_)
    for qw/auto secp256r1 prime256v1:X25519 secp384r1:secp521r1/;
wrong("$site\nssl_ecdh_curve X25519:X448;",
    qr/BoringSSL has no curve "X448", only X25519, prime256v1, .*/, '5:16',
    'X448');

# Sessions.

taken("$site ssl_session_cache $_;", "ssl_session_cache $_")
    for 'off', 'none', 'builtin', 'builtin:1000', 'shared:a:1m',
    'builtin:1000 shared:a:10m';
wrong("$site\nssl_session_cache shared:a:1k;",
    qr/session cache "shared:a:1k" is too small/, '5:19', 'too small');
wrong("$site\nssl_session_cache shared::1m;",
    qr/invalid session cache "shared::1m"/, '5:19', 'no name');
wrong("$site\nssl_session_cache builtin:x;",
    qr/invalid session cache "builtin:x"/, '5:19', 'no number');
wrong("$site\nssl_session_cache buildin;",
    qr/.*"buildin".*/, '5:19', 'another word');
wrong("$site\nssl_session_timeout 10ms;",
    qr/a session lasts a second at least/, '5:21', 'too short');
wrong("$site\nssl_session_ticket_key site.key;", qr/the session ticket key "\S+\/site\.key" must have 48 or 80 bytes/, '5:24',
    'no key of tickets');

# Clients.

wrong("ssl_certificate_key site.key;\nssl_certificate site.crt; ssl_verify_client on;",
    qr/no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client/,
    '5:1', 'nobody to verify against');
taken("$site ssl_verify_client optional_no_ca;");
taken("$site ssl_verify_client on; ssl_trusted_certificate root.crt;",
    'ssl_trusted_certificate will do');
for my $d (qw/ssl_client_certificate ssl_trusted_certificate/) {
    wrong("$site\n$d nowhere.crt;",
        qr/TLS certificate file not found: \S+\/nowhere\.crt/,
        '5:' . (length($d) + 2), $d);
    wrong("$site\n$d text.pem;", qr/there is no certificate .*text\.pem"/,
        '5:' . (length($d) + 2), "$d without any");
}
wrong("$site\nssl_crl nowhere.crl;",
    qr/cannot read the revocation list "\S+\/nowhere\.crl": No such file.*/,
    '5:9', 'no revocation list');
wrong("$site\nssl_crl site.crt;",
    qr/no revocation list can be read from "\S+\/site\.crt": \w+/, '5:9',
    'none in the file');
wrong("$site\nssl_verify_depth many;", qr/invalid number "many".*/, '5:18',
    'a depth');

# The rest.

wrong("$site\nssl_alpn spdy/3;", qr/.*"spdy\/3".*/, '5:10', 'ssl_alpn');
wrong("$site\nssl_buffer_size 0;", qr/the size of a buffer is not 0/, '5:17',
    'ssl_buffer_size');
wrong("$site\nssl_ech_file nowhere.pem;",
    qr/the ECH keys "\S+\/nowhere\.pem" cannot be used: No such file.*/,
    '5:14', 'ssl_ech_file');
wrong("$site\nssl_ech_file site.key;",
    qr/the ECH keys "\S+\/site\.key" cannot be used: it has no "PRIVATE KEY" for X25519/,
    '5:14', 'a key of another kind');

# An ECHConfigList (draft-ietf-tls-esni-13) behind its key.
my $x25519 = `openssl genpkey -algorithm X25519`;
$t->write_file('x25519.pem', $x25519);
my $path = $t->testdir . '/x25519.pem';
my $public = substr `openssl pkey -in $path -pubout -outform DER`, -32;
my $ech = pack 'n/a*', pack 'nn/a*', 0xfe0d, pack('Cnn/a*n/a*CC/a*n',
    7, 0x20, $public, pack('nn', 1, 1), 0, 'outer.test', 0);
$t->write_file('ech.pem', "$x25519-----BEGIN ECHCONFIG-----\n"
    . MIME::Base64::encode_base64($ech) . "-----END ECHCONFIG-----\n");
chmod 0600, $t->testdir . '/ech.pem';
taken("$site\nssl_ech_file ech.pem;", 'ssl_ech_file');
chmod 0644, $t->testdir . '/ech.pem';
warned("$site\nssl_ech_file ech.pem;",
    qr/the ECH keys "\S+\/ech\.pem" are open to every user of this machine \(mode 0644\)/,
    '5:1', 'that all can read');
wrong("$site\nssl_certificate_cache inactive=1m;",
    qr/"ssl_certificate_cache" must have the "max" parameter/, '5:1',
    'ssl_certificate_cache');
wrong("$site\nssl_conf_command Options KTLS;",
    qr/"ssl_conf_command" is not supported, as BoringSSL has no configuration commands: instead of "Options", use "ssl_ktls on"/,
    '5:1', 'ssl_conf_command Options KTLS');
wrong("$site\nssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
    qr/"ssl_conf_command" is not supported, .*chooses among the ciphers of TLS 1\.3 by itself/,
    '5:1', 'ssl_conf_command Ciphersuites');
wrong("$site\nssl_conf_command Something else;",
    qr/"ssl_conf_command" is not supported: BoringSSL has no configuration commands/,
    '5:1', 'ssl_conf_command Something');
wrong("$site\nssl on;",
    qr/"ssl" is not supported: nginx removed it in 1\.25\.1; write "listen \.\.\. ssl"/,
    '5:1', 'ssl on');

my ($status, $out, @said) = check("$site\nssl_dhparam dh.pem;");
is($status, 0, 'taken: ssl_dhparam');
like($out, qr/"ssl_dhparam" directive has no effect: BoringSSL has no DHE ciphers in \S+:5:1/,
    '  which says that it has no effect');

done_testing;
