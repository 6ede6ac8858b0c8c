#!/usr/bin/perl

# Connections that break anywhere, in the handshake and behind it: a response
# is whole, or it is an error, and nothing stays behind.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 12_000;
$tls->ca('root');
$tls->cert('a.test', ca => 'root');

my $u = $t->upstream(plain => routes => {
    '/length'  => sub { $_[0]->reply(body => $large) },
    '/chunked' => Test::Veil::Upstream::chunked(
        [ unpack '(a5000)*', $large ]),
    '/close'   => sub { $_[0]->reply(close => 1, body => $large) },
});

# The handshake has about 1,100 bytes from the server, tickets 500, the
# response 100,000.
my @chop = ((map { 60 * $_ } 0 .. 39), (map { 4001 * $_ } 1 .. 24), 1_000_000);
for my $tls_version (qw/1.2 1.3/) {
    $t->upstream($tls_version =~ tr/./_/r => Test::Veil::TLSUpstream->new($tls,
        backend => $u, cert => 'a.test', tls => $tls_version,
        chop => \@chop));
}

$t->config(<<'EOC');
http {
    proxy_ssl_trusted_certificate root.crt;
    proxy_ssl_name a.test;
    proxy_connect_timeout 60s;
    proxy_next_upstream off;
    proxy_keepalive 0;
    server {
        listen %%PORT_80%%;
        location /1.2/ { proxy_pass https://%%UPSTREAM_1_2%%/; }
        location /1.3/ { proxy_pass https://%%UPSTREAM_1_3%%/; }
        location /slow1.3/ {
            proxy_buffering off;
            proxy_pass https://%%UPSTREAM_1_3%%/;
        }
    }
}
EOC
$t->run;

for my $where (qw/1.2 1.3 slow1.3/) {
    for my $path (qw/length chunked close/) {
        my %n = (whole => 0, failed => 0, cut => 0, wrong => 0);
        for (1 .. @chop) {
            my $r = $t->get("/$where/$path");
            if ($r->status == 502) {
                $n{failed}++;
            } elsif (!$r->complete) {
                $n{cut}++;
            } else {
                $n{ $r->body eq $large ? 'whole' : 'wrong' }++;
            }
        }
        is($n{wrong}, 0, "$where $path: none looks whole and is not");
        is($n{whole}, 1, "$where $path: the one that is");
        cmp_ok($n{failed}, '>=', 10, "$where $path: broken handshakes");
        cmp_ok($n{cut}, '>=', 10, "$where $path: broken responses");
    }
}

done_testing;
