#!/usr/bin/perl

# Connections on the control socket: lists, kills, drains, what was refused.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
$t->config(<<'EOC')->run;
http {
    server {
        listen %%PORT_80%%;
        location / {
            if ($draining) { return 503; }
            return 200 "draining \"$draining\"";
        }
    }
}
EOC
is($t->get('/')->body, 'draining ""', 'nothing is drained');

done_testing;
