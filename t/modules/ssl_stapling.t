#!/usr/bin/perl

# Stapling: what is asked, by how many, what is taken, what is sent, for how
# long.  The responder is a backend that answers with what openssl made.

use strict;
use warnings;
use lib 't/lib';

use MIME::Base64 qw/decode_base64/;
use POSIX qw/strftime/;

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl ssl_stapling/);
my $tls = Test::Veil::TLS->new($t);
my $dir = $t->testdir;

sub slurp {
    my ($name) = @_;
    open my $f, '<:raw', "$dir/$name" or return undef;
    local $/;
    return scalar <$f>;
}

# ------------------------------------------------------------- the responder --

# The first part of the path says which file holds the answer: "status type
# file".  What was asked is left in NAME.asked.

my $u = $t->upstream('ocsp', handler => sub {
    my ($conn, $req) = @_;
    my ($name) = $req->{uri} =~ m{^/(\w+)};
    my ($status, $type, $file) = split ' ', slurp("$name.answer") // '404 -';
    my $asked = $req->{body} // '';

    if ($req->{line} =~ /^GET/) {
        my ($base64) = $req->{uri} =~ m{([^/]*)\z};
        $base64 =~ s/%(..)/chr hex $1/ge;
        $asked = decode_base64($base64);
    }
    $t->write_file("$name.asked", $asked);
    if ($name eq 'hang') {
        $conn->note('hang');
        return Test::Veil::Upstream::never()->($conn, $req);
    }
    $conn->note("$name " . join '|', $req->{line} =~ /^(\w+)/,
        map { $conn->header($req, $_) // '' } qw/Host Content-Type/);
    # Each time anew, as it does not last.
    local $SIG{CHLD} = 'DEFAULT';
    $file = dated('short.ocsp', 'sub', -60, 15) if $name eq 'short';
    $conn->reply(status => $status, headers => [ 'Content-Type', $type ],
        body => $file ? slurp($file) : '');
});

sub asked { return scalar grep {/^$_[0] /} $u->notes }

# answer($name, $file, $status, $type): from now on.

sub answer {
    my ($name, $file, $status, $type) = @_;
    $t->write_file("$name.answer.new", join ' ', $status // 200,
        $type // 'application/ocsp-response', $file // '');
    rename "$dir/$name.answer.new", "$dir/$name.answer" or die;
}

# ----------------------------------------------------------- other responses --

sub tlv {
    my ($tag, $value) = @_;
    my $n = length $value;
    return chr($tag)
        . ($n < 128 ? chr $n : $n < 256 ? "\x81" . chr $n
            : pack 'Cn', 0x82, $n) . $value;
}

# The first element: as a whole, what is in it, and what follows.

sub element {
    my ($der) = @_;
    my ($len, $head) = (ord(substr $der, 1, 1), 2);
    if ($len & 0x80) {
        my @len = unpack "x2C" . ($len & 0x7f), $der;
        $head += @len;
        $len = 0;
        $len = $len << 8 | $_ for @len;
    }
    return (substr($der, 0, $head + $len), substr($der, $head, $len),
        substr($der, $head + $len));
}

# dated($file, $ca, $from, $to): a response with other times, in seconds from
# now, signed again.

sub dated {
    my ($file, $ca, $from, $to) = @_;
    my @times = map { strftime '%Y%m%d%H%M%SZ', gmtime(time + $_) }
        $from, $from, $to;
    my $basic = slurp($file);

    $basic = (element($basic))[1];           # OCSPResponse
    $basic = (element((element($basic))[2]))[1];
    $basic = (element($basic))[1];           # ResponseBytes
    $basic = (element((element($basic))[2]))[1];
    $basic = (element($basic))[1];           # BasicOCSPResponse
    my ($tbs, undef, $rest) = element($basic);
    my ($alg) = element($rest);
    $tbs =~ s/\x18\x0f\d{14}Z/"\x18\x0f" . shift @times/ge;
    $t->write_file("$file.tbs", $tbs);
    $tls->openssl('dgst', '-sha256', '-sign', "$ca.key",
        '-out', "$file.sig", "$file.tbs");
    $basic = tlv(0x30, $tbs . $alg . tlv(3, "\0" . slurp("$file.sig")));
    $t->write_file("$file.dated", tlv(0x30, "\x0a\x01\0"
        . tlv(0xa0, tlv(0x30, "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01"
            . tlv(4, $basic)))));
    return "$file.dated";
}

# -------------------------------------------------------------- certificates --

my $at = 'http://' . $u->addr;
my $long = 'x' x 200;

$tls->ca('root');
$tls->ca('sub', ca => 'root');
$tls->ca('mallory');

# site($name, %options): a certificate and what it takes to ask about it.

sub site {
    my ($name, %o) = @_;
    my $url = $o{url} // "$at/$name";
    $tls->cert($name, ca => $o{ca} // 'sub', names => ["$name.test"],
        ext => $o{url} && $o{url} eq 'none' ? []
            : ["authorityInfoAccess=OCSP;URI:$url"]);
    $tls->staple($name, status => $o{status}) if $o{status};
    return $name;
}

site($_, status => 'good') for qw/first verified late short late2/;
site('posted', status => 'good', url => "$at/posted/$long");
site('other', status => 'good', url => 'http://127.0.0.1:1/');
site('file', status => 'good', url => 'none');
site('plain', status => 'good');
site('forged');
site('loose');
site('revoked', status => 'revoked');
site('unknown', status => 'unknown');
site($_) for qw/html broken missing hang/;
answer($_, "$_.ocsp") for qw/first verified posted other revoked unknown/;
answer('html', 'first.ocsp', 200, 'text/html');
answer('broken', 'root.key');
answer('missing', 'first.ocsp');

# A response that somebody else signed, who has a certificate of his own.
for my $name (qw/forged loose/) {
    $tls->openssl('ocsp', '-issuer', 'sub.leaf.crt',
        '-cert', "$name.leaf.crt", '-reqout', "$name.req", '-no_nonce');
    $t->write_file("$name.index", $tls->_index_line($name, 0));
    $tls->openssl('ocsp', '-index', "$name.index", '-CA', 'sub.leaf.crt',
        '-rsigner', 'mallory.leaf.crt', '-rkey', 'mallory.key',
        '-reqin', "$name.req", '-respout', "$name.ocsp", '-ndays', 7);
    answer($name, "$name.ocsp");
}

answer('late', 'late.ocsp', 503);

my $servers = join '', map { <<"EOC" }
    server {
        listen %%PORT_443%% ssl;
        server_name $_->[0].test;
        ssl_certificate %%TESTDIR%%/$_->[0].crt;
        ssl_certificate_key %%TESTDIR%%/$_->[0].key;
        $_->[1]
    }
EOC
    [ 'first', '' ],
    [ 'verified', 'ssl_stapling_verify on;' ],
    [ 'posted', '' ],
    [ 'other', "ssl_stapling_responder http://responder/other;" ],
    [ 'file', 'ssl_stapling_file %%TESTDIR%%/file.ocsp;' ],
    [ 'plain', 'ssl_stapling off;' ],
    [ 'forged', 'ssl_stapling_verify on;' ],
    [ 'loose', '' ],
    map { [ $_, '' ] } qw/revoked unknown html broken missing late short hang/;

$t->config(<<"EOC");
worker_processes 2;
http {
    upstream responder { server @{[ $u->addr ]}; }
    ssl_stapling on;

    $servers

    server {
        listen %%PORT_444%% ssl;
        server_name on.test;
        ssl_certificate %%TESTDIR%%/first.crt;
        ssl_certificate_key %%TESTDIR%%/first.key;
    }
    server {
        listen %%PORT_445%% ssl;
        ssl_certificate %%TESTDIR%%/first.crt;
        ssl_certificate_key %%TESTDIR%%/first.key;
        ssl_stapling off;
    }
}
EOC

answer('short', 'short.ocsp');
$t->run;

sub staple {
    my ($name, %o) = @_;
    return $tls->s_client(port => 443, name => "$name.test", ca => 'root',
        status => 1, request => "GET / HTTP/1.0\r\n\r\n", %o)->ocsp;
}

# Every worker has what is wanted: none of some handshakes says otherwise.

sub all_say {
    my ($name, $what, $seconds) = @_;
    return $t->wait_for(sub {
        for (1 .. 6) {
            return 0 if staple($name) ne $what;
        }
        return 1;
    }, $seconds);
}

# -------------------------------------------------------- what is asked, sent --

ok($t->wait_for_log(qr/answered with 503 .*late\.crt/), 'one that fails');
answer('late', 'late.ocsp');
ok(all_say('short', 'good'), 'a response that does not last is sent');
ok(all_say('first', 'good'), 'a good response is sent');
is(asked('first'), 1, 'and was asked for once, for both workers and servers');
is((grep {/^first/} $u->notes)[0], 'first GET|' . $u->addr . '|', 'by a GET');
like($tls->openssl('ocsp', '-reqin', 'first.asked', '-req_text'),
    qr/Serial Number: @{[ $tls->field('first', 'serial') ]}/i,
    'about the certificate');
unlike($tls->openssl('ocsp', '-reqin', 'first.asked', '-req_text'),
    qr/Nonce/, 'without a nonce');
is(staple('first', tls => '1.2'), 'good', 'in TLS 1.2');
is(staple('first', port => 444), 'good', 'another server has it as well');
is(staple('first', port => 445), 'none', 'one that does not want it has not');

ok(all_say('posted', 'good'), 'a long URL');
is((grep {/^posted/} $u->notes)[0],
    'posted POST|' . $u->addr . '|application/ocsp-request', 'means a POST');
like($tls->openssl('ocsp', '-reqin', 'posted.asked', '-req_text'),
    qr/Serial Number: @{[ $tls->field('posted', 'serial') ]}/i,
    'of the same request');

ok(all_say('verified', 'good'), 'the issuer itself may sign');
ok(all_say('other', 'good'), 'another responder, which is an upstream');
is(staple('file'), 'good', 'a file');
is(staple('plain'), 'none', 'stapling is off');

# ---------------------------------------------------------- what is not taken --

my %why = (
    forged => 'the certificate of the OCSP responder was not issued by the '
        . "certificate's issuer",
    revoked => 'certificate status "revoked" in the OCSP response',
    unknown => 'certificate status "unknown" in the OCSP response',
    html => 'OCSP responder sent invalid "Content-Type" header: "text/html"',
    broken => 'the OCSP response is malformed: it is no OCSPResponse',
    missing => 'certificate status not found in the OCSP response',
);
for my $name (sort keys %why) {
    my $line = "$why{$name} while requesting certificate status, responder: "
        . $u->addr . ', peer: ' . $u->addr . ", certificate: \"$dir/$name.crt";
    ok($t->wait_for_log(qr/\[error\] [^:]*: \Q$line\E/), "$name is told");
    is(staple($name), 'none', 'and nothing sent');
}
ok(all_say('loose', 'good'), 'without verification any signer will do');

# ------------------------------------------------------------- again and again --

ok(all_say('late', 'good', 40), 'what failed is asked again');

ok($t->wait_for(sub { asked('short') >= 2 }, 30),
    'what does not last is asked for again in time');
answer('short', 'short.ocsp', 500);
ok(all_say('short', 'none', 40), 'and not sent when it has expired');
ok($t->wait_for_log(qr/the OCSP response has expired: none is sent/),
    'which is told');

# Questions that are under way do not keep a worker.
ok($u->wait_note(qr/^hang$/), 'a responder that does not answer');
my $before = asked('first');
my @old = $t->worker_pids;
$t->reload;
ok($t->wait_for(sub { !grep { kill 0, $_ } @old }),
    'is left when a worker goes');
is(staple('first'), 'good', 'a reload keeps what there is');
ok(all_say('first', 'good'), 'for all workers');
is(asked('first'), $before, 'and asks nobody');

$t->stop;

# --------------------------------------------------------- the configuration --

sub says {
    my ($what, $conf, $re, $fails) = @_;
    $t->write_file('veil.conf',
        "pid $dir/x.pid; http { access_log off; server { $conf } }\n");
    my ($status, $out) = $t->command('-t', '-c', "$dir/veil.conf");
    is($status != 0, !!$fails, "$what: -t " . ($fails ? 'fails' : 'passes'));
    like($out, qr/$re/, "$what: and says so");
}

sub of {
    my ($name) = @_;
    return "listen 127.0.0.1:8443 ssl; ssl_certificate $dir/$name.crt; "
        . "ssl_certificate_key $dir/$name.key; ssl_stapling on;";
}

site('alone', ca => 'root');
site('https', url => 'https://ocsp.test/');
site('nohost', url => 'http:///x');
my $ignored = '"ssl_stapling" ignored,';
says('no issuer', of('alone'), qr/$ignored issuer certificate not found for/);
says('nor among those that are trusted',
    of('alone') . "ssl_trusted_certificate $dir/mallory.crt;",
    qr/$ignored issuer certificate not found for certificate ".*alone\.crt"/);
says('but there', of('alone') . "ssl_trusted_certificate $dir/root.crt;",
    qr/\A(?!.*ignored).*is successful/s);
says('no responder', of('file'), qr/$ignored no OCSP responder URL in the/);
says('not http', of('https'), qr{$ignored invalid URL prefix in OCSP }
    . qr{responder "https://ocsp\.test/" in the certificate ".*/https\.crt"});
says('no host', of('nohost'), qr/$ignored invalid host in OCSP responder/);
says('a responder with a line end',
    of('first') . qq{ssl_stapling_responder "http://a.test/\n";},
    qr/$ignored invalid URL prefix/);

my $old = dated('file.ocsp', 'sub', -86400, -3600);
says('an old file', of('file') . "ssl_stapling_file $dir/$old;",
    qr/the OCSP response "\Q$dir\/$old\E" has expired/);
says('a revoked one', of('revoked') . "ssl_stapling_file $dir/revoked.ocsp;",
    qr/certificate status "revoked" in the OCSP response/);
says("another's", of('file') . "ssl_stapling_file $dir/first.ocsp;",
    qr/"ssl_stapling_file" ignored, .* does not tell about/);
says('no file', of('file') . "ssl_stapling_file $dir/none.ocsp;",
    qr/cannot read "\Q$dir\E\/none.ocsp" \(2: No such file/, 1);
says('no response', of('file') . "ssl_stapling_file $dir/root.key;",
    qr/the OCSP response is malformed: it is no OCSPResponse/, 1);

done_testing();
