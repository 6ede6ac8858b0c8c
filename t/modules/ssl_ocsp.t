#!/usr/bin/perl

# Clients' certificates, and what their responders say about them.  The
# responder is a backend that answers with what openssl made.

use strict;
use warnings;
use lib 't/lib';

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl ssl_ocsp/);
my $tls = Test::Veil::TLS->new($t);
my $dir = $t->testdir;

sub slurp {
    my ($name) = @_;
    open my $f, '<:raw', "$dir/$name" or return undef;
    local $/;
    return scalar <$f>;
}

# The first part of the path says whose answer is wanted.

my $u = $t->upstream('ocsp', handler => sub {
    my ($conn, $req) = @_;
    my ($name) = $req->{uri} =~ m{^/(\w+)};
    my $body = slurp("$name.ocsp");

    $conn->note($name);
    $conn->wait('go') if $name eq 'slow';
    return Test::Veil::Upstream::never()->($conn, $req) if $name eq 'never';
    $conn->reply(status => defined $body ? 200 : 500,
        headers => [ 'Content-Type', 'application/ocsp-response' ],
        body => $body // '');
});

sub asked { return scalar grep { $_ eq $_[0] } $u->notes }

# -------------------------------------------------------------- certificates --

my $at = 'http://' . $u->addr;

sub aia { return ext => ["authorityInfoAccess=OCSP;URI:$at/$_[0]"] }

$tls->ca('root');
$tls->ca('sub', ca => 'root', aia('sub'));
$tls->ca('lost', ca => 'root', aia('lost'));
$tls->cert('site', ca => 'root', names => ['localhost']);

# client($name, $status, %options): a certificate and what is said about it.

sub client {
    my ($name, $status, %o) = @_;
    $tls->cert($name, ca => 'root', client => 1, aia($name), %o);
    $tls->staple($name, status => $status) if $status;
}

client('good', 'good');
client('kept', 'good');
client('other', 'good', ext => []);
client('revoked', 'revoked');
client('unknown', 'unknown');
client('silent');
client('nourl', 'good', ext => []);
client('slow', 'good');
client('never');
client('deep', 'good', ca => 'sub');
client('hanging', 'good', ca => 'lost');
$tls->staple('sub');
$tls->staple('lost', status => 'revoked');

$t->write_file('html/x', 'x');
$t->config(<<"EOC")->run;
http {
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    ssl_client_certificate %%TESTDIR%%/root.crt;
    ssl_verify_client optional;
    ssl_verify_depth 3;
    ssl_session_cache shared:s:1m;
    root %%TESTDIR%%/html;
    error_page 495 =200 /why;

    server {
        listen %%PORT_443%% ssl;
        ssl_ocsp leaf;
        location / { return 200 "said \$ssl_client_verify"; }
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_ocsp on;
        location / { return 200 "said \$ssl_client_verify"; }
    }
    server {
        listen %%PORT_445%% ssl;
        ssl_ocsp leaf;
        ssl_ocsp_cache shared:ocsp:64k;
        location / { return 200 "said \$ssl_client_verify"; }
    }
    server {
        listen %%PORT_446%% ssl;
        ssl_ocsp leaf;
        ssl_ocsp_responder $at/other;
        location / { return 200 "said \$ssl_client_verify"; }
    }
    server {
        listen %%PORT_447%% ssl;
        location / { return 200 "said \$ssl_client_verify"; }
    }
}
EOC

sub says {
    my ($port, $cert, %o) = @_;
    my $r = $tls->s_client(port => $port, ca => 'root', cert => $cert, %o);
    return $r->response =~ /said (.*)/ ? $1 : $r->response;
}

# ----------------------------------------------------------------- the answers --

is(says(443, 'good'), 'SUCCESS', 'a good one');
is(says(443, 'good', tls => '1.2'), 'SUCCESS', 'in TLS 1.2');
is(asked('good'), 2, 'each connection asks');
is(says(443, undef), 'NONE', 'nobody is asked where there is none');

is(says(443, 'revoked'), 'FAILED:certificate revoked', 'a revoked one');
ok($t->wait_for_log(
    qr/client SSL certificate verify error: certificate revoked/),
    'the log says so');
is(says(443, 'unknown'), 'FAILED:certificate status unknown',
    'one that the responder does not know');

my $failed = 'FAILED:certificate status request failed';
is(says(443, 'silent'), $failed, 'a responder that fails');
ok($t->wait_for_log(
    qr/\[error\] .*OCSP responder answered with 500 while requesting /
    . qr/certificate status, client: .*, responder: 127\.0\.0\.1:\d+, /
    . qr/peer: 127\.0\.0\.1:\d+, certificate: "\/CN=silent"/),
    'the log says so');
is(says(443, 'nourl'), $failed, 'no responder');
ok($t->wait_for_log(qr/no OCSP responder URL in the certificate/),
    'the log says so');
is(says(446, 'other'), 'SUCCESS', 'a responder of the configuration');
is(says(446, 'nourl'), $failed, 'which says nothing about this one');
is(says(447, 'revoked'), 'SUCCESS', 'nobody is asked without ssl_ocsp');

# ------------------------------------------------------------------ the chain --

is(says(444, 'deep'), 'SUCCESS', 'a chain');
is(asked('sub'), 1, 'is asked about');
is(says(443, 'deep'), 'SUCCESS', 'its leaf only');
is(asked('sub'), 1, 'asks nobody about the rest');
is(says(444, 'hanging'), 'FAILED:certificate revoked',
    'an authority that was revoked');
is(says(443, 'hanging'), 'SUCCESS', 'which "leaf" does not see');

# ---------------------------------------------------------------- how often --

my $c = $tls->connect(port => 443, ca => 'root', cert => 'kept');
like($c->request(path => '/', keepalive => 1), qr/said SUCCESS/, 'a request');
like($c->request(path => '/', keepalive => 1), qr/said SUCCESS/, 'another');
$c->close;
is(asked('kept'), 1, 'of the same connection');

my $before = asked('good');
is(says(445, 'good'), 'SUCCESS', 'a cache');
is(says(445, 'good'), 'SUCCESS', 'knows it the second time');
is(asked('good'), $before + 1, 'and nobody is asked');
$before = asked('revoked');
is(says(445, 'revoked'), 'FAILED:certificate revoked', 'a revoked one');
is(says(445, 'revoked'), 'FAILED:certificate revoked', 'is known as well');
is(asked('revoked'), $before + 1, 'and nobody is asked');
$t->reload;
$before = asked('good');
is(says(445, 'good'), 'SUCCESS', 'after a reload');
is(asked('good'), $before, 'it knows it still');

# A resumed session has the certificate, and asks again.
is(says(443, 'good', sess_out => 'good.sess'), 'SUCCESS', 'a session');
$before = asked('good');
is(says(443, 'good', sess_in => 'good.sess'), 'SUCCESS', 'is resumed');
is(asked('good'), $before + 1, 'and asked about');

# -------------------------------------------------------- those that go away --

my $gone = $tls->connect(port => 443, ca => 'root', cert => 'never');
$gone->send_request(path => '/');
ok($u->wait_note(qr/^never$/), 'a responder that does not answer');
$gone->close;
ok($u->wait_closed(0), 'is left when the client has gone');

my $waiting = $tls->connect(port => 443, ca => 'root', cert => 'slow');
$waiting->send_request(path => '/');
ok($u->wait_note(qr/^slow$/), 'one that takes its time');
$u->release('go');
like($waiting->read_response, qr/said SUCCESS/, 'is waited for');
$waiting->close;

$t->stop;

# ---------------------------------------------------------- the configuration --

sub refuses {
    my ($conf, $re) = @_;
    $t->write_file('veil.conf',
        "pid $dir/x.pid; http { access_log off; server { "
        . "listen 127.0.0.1:8443 ssl; ssl_certificate $dir/site.crt; "
        . "ssl_certificate_key $dir/site.key; $conf } }\n");
    my ($status, $out) = $t->command('-t', '-c', "$dir/veil.conf");
    isnt($status, 0, "-t: $conf");
    like($out, qr/$re/, 'and why');
}

refuses('ssl_ocsp on; ssl_verify_client optional_no_ca;',
    '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"');
refuses('ssl_ocsp_responder https://a.test/;',
    'invalid URL prefix in OCSP responder "https://a.test/"');
refuses('ssl_ocsp_responder http://:80/;', 'invalid host in OCSP responder');
refuses('ssl_ocsp maybe;', 'invalid value "maybe"');
refuses('ssl_ocsp_cache builtin;', '"builtin"');
refuses('ssl_ocsp_cache shared:x;', 'wanted is "shared:name:size"');
refuses('ssl_ocsp_cache shared:x:4k;', 'is too small');

done_testing();
