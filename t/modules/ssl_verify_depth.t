#!/usr/bin/perl

# ssl_verify_depth is the number of intermediate certificates, as in nginx.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->ca('sub', ca => 'root');
$tls->ca('subsub', ca => 'sub');
$tls->cert('localhost');
$tls->cert('zero', ca => 'root', client => 1);
$tls->cert('one', ca => 'sub', client => 1);
$tls->cert('two', ca => 'subsub', client => 1);

$t->config(<<'EOC');
http {
    ssl_certificate localhost.crt;
    ssl_certificate_key localhost.key;
    ssl_client_certificate root.crt;
    ssl_verify_client on;

    server { listen %%PORT_1%% ssl; return 200 "ok"; }
    server {
        listen %%PORT_2%% ssl;
        ssl_verify_depth 2;
        return 200 "ok";
    }
}
EOC
$t->run;

sub status {
    my ($port, $cert) = @_;
    return $tls->get('/', port => $port, cert => $cert)->status;
}

is(status(1, 'zero'), 200, 'of the root itself');
is(status(1, 'one'), 200, 'one between: the default');
is(status(1, 'two'), 400, 'two between are too many');
is(status(2, 'two'), 200, 'but with ssl_verify_depth 2');

done_testing;
