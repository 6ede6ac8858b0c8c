#!/usr/bin/perl

# Handshakes while a worker leaves: they are finished, and none holds it up
# for longer than a handshake may take.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::HTTP1;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->config(<<'EOC')->run;
http {
    ssl_certificate site.crt;
    ssl_certificate_key site.key;
    ssl_handshake_timeout 2s;
    server {
        listen %%PORT_443%% ssl;
        return 200 "pid $pid\n";
    }
    # For those that have to come through however long a reload takes.
    server {
        listen %%PORT_444%% ssl;
        ssl_handshake_timeout 60s;
        return 200 "pid $pid\n";
    }
}
EOC

my ($old) = $t->worker_pids;
my $hello = $tls->record(22, $tls->client_hello);
my $open = $tls->connect(port => 443, ca => 'root');
$open->write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
is($open->read_response->body, "pid $old\n", 'one is complete');
my %c = map { $_ => $t->connect(443) } qw/silent half whole/;
$c{half}->write(substr $hello, 0, 100);
$c{whole}->write($hello);
is(length $c{whole}->read_bytes(100), 100, 'a handshake begins');
my $later = $t->connect(444);
$later->write(substr $hello, 0, 100);

$t->reload;
$later->write(substr $hello, 100);
is(length $later->read_bytes(100), 100, 'a handshake goes on after a reload');
$later->close;
ok($open->eof, 'a connection that is idle is ended');
for my $name (qw/silent half whole/) {
    $c{$name}->read_all(10);
    ok($c{$name}->eof, "$name: ends in time");
}
ok($t->wait_for(sub { !kill 0, $old }), 'and the worker with it');
isnt($tls->get('/', port => 443)->body, "pid $old\n", 'another serves');

done_testing;
