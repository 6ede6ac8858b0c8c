#!/usr/bin/perl

# veil-fetch over TLS: whom it trusts, what it sends, which ends it believes.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::Fetch;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has(qw/fetch ssl/);
my $tls = Test::Veil::TLS->new($t);
my $fetch = Test::Veil::Fetch->new($t, $tls);
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 400_000;
my $loop = $fetch->uses_epoll ? 'epoll' : qr/io_uring|epoll/;

$tls->ca('root');
$tls->ca('other');
$tls->cert('a', ca => 'root', names => [qw/a.test localhost 127.0.0.1/]);
$tls->cert('b', ca => 'root', names => ['b.test']);
$tls->cert('old', ca => 'root', names => ['localhost'], expired => 1);
$tls->cert('alice', ca => 'root', client => 1);

my $u = $t->upstream(plain => routes => {
    '/digest' => sub {
        my ($conn, $req) = @_;
        $conn->reply(body => join ' ', $req->{method},
            length($req->{body}), sha256_hex($req->{body}));
    },
    '/large' => sub { $_[0]->reply(body => $large) },
    '/length' => Test::Veil::Upstream::bytes("HTTP/1.1 200 OK\r\n"
        . "Connection: close\r\nContent-Length: 12\r\n\r\nhas a length"),
    '/chunked' => Test::Veil::Upstream::bytes("HTTP/1.1 200 OK\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    '/until' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\n\r\nuntil the end"),
    '/short' => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive."),
});

sub server {
    return Test::Veil::TLSUpstream->new($tls, backend => $u, cert => 'a', @_);
}

my @trust = ('--cacert', 'root.crt');
my $r;

$t->config(<<'EOC')->run;
http {
    client_max_body_size 20m;
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/a.crt;
        ssl_certificate_key %%TESTDIR%%/a.key;
        location /up/ { proxy_pass http://%%UPSTREAM_plain%%/; }
        location / { root %%TESTDIR%%/html; }
    }
}
EOC
my $veil = 'https://localhost:' . $t->port(443);
$t->write_file('html/index.html', "the page\n");
$t->write_file('html/large', $large);
$t->write_file('large', $large);

# --------------------------------------------------------- against ourselves --

for my $v ('1.2', '1.3') {
    $r = $fetch->run(@trust, '--tls', $v, '-s', "$veil/", "$veil/large");
    is($r->{status}, 0, "TLS $v");
    like($r->{out}, qr{TLSv$v, TLS_\w+, new .*TLSv$v, TLS_\w+, kept }s,
        'one connection');
    like($r->{err}, qr/Using .*TLS.* \+ $loop/, 'the path is told');
    is(sha256_hex($fetch->body(@trust, '--tls', $v, "$veil/large")),
        sha256_hex($large), 'a large body');
    for my $method (qw/POST PUT PATCH/) {
        is($fetch->body(@trust, '--tls', $v, '-X', $method, '-d', '@large',
            "$veil/up/digest"),
            "$method ${\length $large} ${\sha256_hex($large)}",
            "$method a large one");
    }
    is($fetch->body({ input => $large }, @trust, '--tls', $v, '-d', '@-',
        "$veil/up/digest"),
        "POST ${\length $large} ${\sha256_hex($large)}", 'in chunks');
    $r = $fetch->run(@trust, '--tls', $v, '-s', '--reconnect',
        ("$veil/") x 3);
    is(join(' ', $r->{out} =~ /(\w+), new connection/g) =~ s/TLS_\w+/full/r,
        'full resumed resumed', 'sessions are resumed');
}
is($fetch->body(@trust, '-X', 'DELETE', "$veil/up/digest"),
    'DELETE 0 ' . sha256_hex(''), 'DELETE');
$r = $fetch->run(@trust, '--ktls', 'off', "$veil/");
like($r->{err}, qr/Using user-space TLS \+ $loop \(kTLS: switched off\)/,
    '--ktls off');
$r = $fetch->run(@trust, '--ktls', 'auto', "$veil/");
is($r->{status}, 0, '--ktls auto');
my $has = $r->{err} =~ /Using kTLS \(kernel TLS\)/;
my ($why) = $r->{err} =~ /Using user-space TLS .* \(kTLS: (the kernel .*)\)$/m;
ok($has || $why, 'it is the kernel\'s, or it is told why not');
$r = $fetch->run(@trust, '--ktls', 'on', "$veil/");
if ($has) {
    like("$r->{status} $r->{err}", qr/^0 .*Using kTLS \(kernel TLS\)/,
        '--ktls on');
} else {
    is("$r->{status} $r->{err}", "3 veil-fetch: kTLS is required by --ktls on,"
        . " but $why\n", '--ktls on is refused');
}

# --------------------------------------------------------------------- trust --

$r = $fetch->run("$veil/");
is($r->{status}, 3, 'an authority that the system does not know');
like($r->{err}, qr/TLS with localhost:\d+ failed: certificate verify error/,
    'is told');
is($r->{out}, '', 'and nothing fetched');
is($fetch->run('--cacert', 'other.crt', "$veil/")->{status}, 3,
    'or that we do not');
is($fetch->run('-k', "$veil/")->{status}, 0, '-k does not ask');
$r = $fetch->run(@trust, '--connect', '127.0.0.1:' . $t->port(443),
    'https://wrong.test/');
is($r->{status}, 3, 'a wrong name');
like($r->{err}, qr/certificate does not match "wrong\.test"/, 'is told');
is($fetch->run(@trust, '--connect', '127.0.0.1:' . $t->port(443),
    'https://a.test/')->{status}, 0, 'a right one');
is($fetch->run(@trust, 'https://127.0.0.1:' . $t->port(443))->{status}, 0,
    'an address');
$r = $fetch->run('--cacert', 'nowhere', "$veil/");
is($r->{status}, 3, 'a file that is not there');
like($r->{err}, qr/TLS cannot be used: .*nowhere/, 'is told');
my $old = server(cert => 'old');
$r = $fetch->run(@trust, 'https://localhost:' . $old->port);
is($r->{status}, 3, 'an expired certificate');
like($r->{err}, qr/certificate has expired/, 'is told');

# ---------------------------------------------------------- names, protocols --

my $s = server(certs => { 'b.test' => 'b' }, cert => 'a');
$fetch->run(@trust, 'https://localhost:' . $s->port . '/length');
is($s->hello(1)->{name}, 'localhost', 'the name is sent');
$fetch->run(@trust, 'https://127.0.0.1:' . $s->port . '/length');
is($s->hello(2)->{name}, undef, 'an address is none');
$r = $fetch->run(@trust, '--sni', 'b.test',
    'https://127.0.0.1:' . $s->port . '/length');
is("$r->{status} " . $s->hello(3)->{name}, '0 b.test', '--sni');
$fetch->run(@trust, '--sni', '', 'https://localhost:' . $s->port . '/length');
is($s->hello(4)->{name}, undef, 'none at all');
my $v12 = server(tls => '1.2');
$r = $fetch->run(@trust, '-s', '--ciphers', 'ECDHE-ECDSA-AES256-GCM-SHA384',
    'https://localhost:' . $v12->port . '/length');
like($r->{out}, qr/TLSv1\.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384/,
    '--ciphers');
$r = $fetch->run(@trust, '--tls', '1.3',
    'https://localhost:' . $v12->port . '/length');
is($r->{status}, 3, 'no common version');
like($r->{err}, qr/TLS with .* failed: .*PROTOCOL_VERSION/i, 'is told');
is($fetch->run('--ciphers', 'NONE-SUCH', "$veil/")->{status}, 3,
    'a cipher there is not');

my $h2 = server(alpn => ['h2', 'http/1.1']);
my $h2_url = 'https://localhost:' . $h2->port . '/length';
is($fetch->run(@trust, $h2_url)->{status}, 0, 'HTTP/1.1 is offered');
$r = $fetch->run(@trust, '--alpn', 'h2,http/1.1', $h2_url);
is($r->{status}, 4, 'and HTTP/2, if one wants to know');
like($r->{err}, qr/chose the protocol "h2", which veil-fetch does not speak/,
    'is told');
is($fetch->run(@trust, '--alpn', '', $h2_url)->{status}, 0, 'or nothing');

my $closed = server(ca => 'root');
my $url = 'https://localhost:' . $closed->port . '/digest';
$r = $fetch->run(@trust, '--cert', 'alice.crt', '--key', 'alice.key', $url);
is("$r->{status} " . ($closed->hello(1)->{peer} // ''), '0 alice',
    'a certificate of ours');
$r = $fetch->run(@trust, '--tls', '1.2', $url);
is($r->{status}, 3, 'which is missed');
$r = $fetch->run(@trust, '--tls', '1.3', $url);
is($r->{status}, 3, 'in TLS 1.3 after the handshake');
like($r->{err}, qr/TLS failed: .*CERTIFICATE_REQUIRED/i, 'is told');

my $garbage = server(mode => 'garbage');
$r = $fetch->run('https://localhost:' . $garbage->port . '/');
is($r->{status}, 3, 'no TLS there');
my $silent = server(mode => 'silent');
$r = $fetch->run('--timeout', '1500ms', 'https://localhost:' . $silent->port);
is($r->{status}, 6, 'a server that says nothing');
like($r->{err}, qr/timed out while TLS with localhost/, 'is told');
my $hangup = server(mode => 'hangup');
is($fetch->run('https://localhost:' . $hangup->port)->{status}, 3,
    'or hangs up');

# ---------------------------------------------------------------------- ends --

my $cut = server(close => 'cut');
my %ends = (well => 'https://localhost:' . $s->port,
    cut => 'https://localhost:' . $cut->port);
for my $path ('/length', '/chunked', '/digest', '/large') {
    for my $how ('well', 'cut') {
        is($fetch->run(@trust, "$ends{$how}$path")->{status}, 0,
            "$path says where it ends: $how");
    }
}
$r = $fetch->run(@trust, "$ends{well}/until");
is("$r->{status} " . $r->{out} =~ s/\A.*?\n\n//sr, '0 until the end',
    'until the end, with close_notify');
$r = $fetch->run(@trust, "$ends{cut}/until");
is($r->{status}, 5, 'and without');
like($r->{err}, qr/ended without a close_notify: the body may have been cut/,
    'is told');
is($fetch->run(@trust, "$ends{$_}/short")->{status}, 5,
    "a short body is short: $_") for sort keys %ends;

done_testing();
