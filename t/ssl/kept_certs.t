#!/usr/bin/perl

# ssl_certificate_cache: what strangers ask for does not push out what is
# there.

use strict;
use warnings;
use lib 't/lib';
use File::Copy qw/copy/;
use POSIX qw/mkfifo/;
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert("$_.test", ca => 'root', names => ["$_.test"])
    for qw/kept other third/;
chmod 0644, map { $tls->path("$_.test.key") } qw/kept other third/;
mkfifo($tls->path('slow.test.crt'), 0644) or die "mkfifo: $!\n";
$t->config(<<'EOC')->run;
http {
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/$ssl_server_name.crt;
        ssl_certificate_key %%TESTDIR%%/$ssl_server_name.key;
        ssl_certificate_cache max=1 inactive=10m valid=10m;
        return 200 "hello";
    }
}
EOC

sub subject { return $tls->s_client(port => 443, name => $_[0])->subject }

like(subject('kept.test'), qr/kept\.test/, 'one is read');
copy($tls->path("other.test.$_"), $tls->path("kept.test.$_"))
    for qw/crt key/;
like(subject('kept.test'), qr/kept\.test/, 'and kept');

# A thread hangs in one, while others turn out not to exist.
my $slow = $t->connect(443);
$slow->write($tls->record(22, $tls->client_hello(name => 'slow.test')));
for my $n (1 .. 3) {
    is(subject("stranger$n.test"), '', 'a name that leads nowhere');
}
like(subject('kept.test'), qr/kept\.test/, 'does not push it out');

open my $fifo, '>', $tls->path('slow.test.crt') or die "fifo: $!\n";
close $fifo;
ok($slow->read_all ne '' || $slow->eof, 'what waited has an end');
like(subject('third.test'), qr/third\.test/, 'another that exists');
like(subject('kept.test'), qr/other\.test/, 'does');

done_testing;
