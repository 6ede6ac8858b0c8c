#!/usr/bin/perl

# The commands of docs/tls.md make a certificate, and the configuration below
# them serves with it.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl/);
my $tls = Test::Veil::TLS->new($t);

open my $f, '<', 'docs/tls.md' or die "docs/tls.md: $!";
my $page = do { local $/; <$f> };
my ($commands) = $page =~ /^```sh\n(.*?)^```/ms;
my ($config) = $page =~ /^```nginx\n(.*?)^```/ms;

my @run = grep {/^openssl /} split /\n/, $commands;
is(scalar @run, 2, 'the page has two commands');
like($run[0], qr/^openssl genpkey -algorithm EC .*secp384r1/, 'a key');
like($run[1], qr/^openssl req -new -x509 .*"\/CN=localhost\/O=Development\/C=JP"/,
    'and a certificate');
for (@run) {
    my $r = $tls->run_command([ 'sh', '-c', $_ ]);
    is($r->{status}, 0, 'it runs') or diag $r->{err};
}
is((stat $tls->path('server.key'))[2] & 0777, 0600, 'nobody else reads the key');

$config =~ s/listen +443 ssl;/listen %%PORT_443%% ssl; return 200 served;/
    or fail('a port to replace');
$t->config($config);
my ($status, $out) = $t->command('-t');
is($status, 0, 'the configuration is right') or diag $out;
unlike($out, qr/\[warn\]/, 'without a warning');
$t->run;
my $r = $tls->s_client(port => 443, ca => 'server.crt');
is($r->verify_code, 0, 'a client that trusts it') or diag $r->out;
like($r->subject, qr/CN = localhost/, 'gets the certificate');
like($r->response, qr/^served$/m, 'and an answer');

done_testing;
