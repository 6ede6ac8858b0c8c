#!/usr/bin/perl

# Tests of private keys on threads: a storm of handshakes with a large key,
# one worker, and somebody who wants something else.

use strict;
use warnings;

use lib 't/lib';

use IO::Select;

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('large', ca => 'root', key => 'rsa4096', names => ['localhost']);

$t->config(<<'EOC')->run;
worker_processes 1;
shutdown_timeout 50ms;

http {
    ssl_certificate %%TESTDIR%%/large.crt;
    ssl_certificate_key %%TESTDIR%%/large.key;

    server {
        listen %%PORT_80%%;
        location / { return 200 plain; }
    }
    server {
        listen %%PORT_443%% ssl;
        location / { return 200 auto; }
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_key_threads off;
        location / { return 200 inline; }
    }
}
EOC

for my $v (qw/1.2 1.3/) {
    for my $way ([ 443 => 'auto' ], [ 444 => 'inline' ]) {
        is($tls->get('/', port => $way->[0], tls => $v, ca => 'root')->body,
            $way->[1], "TLS $v: $way->[1]");
    }
}
is($tls->get('/', port => 443, tls => '1.2', ca => 'root',
        ciphers => 'AES256-GCM-SHA384')->body,
    'auto', 'RSA key exchange');

# The server's first flight ends with a signature, so whoever has got a byte
# of it has been served.
sub storm {
    my ($n) = @_;
    my @all = map { $t->connect(443) } 1 .. $n;
    # All are accepted before any of them asks for a signature.
    is($t->get('/')->body, 'plain', 'before the storm');
    $_->write($tls->record(22, $tls->client_hello)) for @all;
    return @all;
}

sub served {
    my $s = IO::Select->new(map { $_->socket } @_);
    return scalar(() = $s->can_read(0));
}

# On a busy machine the test itself may be late to look: then once more.
my (@all, $served);
for (1 .. 30) {
    @all = storm(50);
    is($t->get('/')->body, 'plain', 'a plain request in the storm');
    $served = served(@all);
    $t->wait_for(sub { served(@all) == 50 });
    is(served(@all), 50, 'all of them go on');
    $_->close for @all;
    last if $served < 50;
}
cmp_ok($served, '<', 50, 'it was answered before the last handshake');

# Who gives up is not signed for, or not to its end; nothing is left of it,
# which the harness looks at.
@all = storm(50);
$_->abort for @all;
is($tls->get('/', port => 443, ca => 'root')->body, 'auto',
    'after fifty who gave up');

# And while a worker ends: in its own time, and out of it.
@all = storm(20);
$t->reload;
is($tls->get('/', port => 443, ca => 'root')->body, 'auto',
    'after a reload in a storm');
$_->close for @all;
@all = storm(20);
$t->stop;
$_->close for @all;

done_testing();
