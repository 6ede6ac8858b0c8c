#!/usr/bin/perl

# veil -t names the defaults that are not nginx's and are not set.

use strict;
use warnings;

use File::Temp qw/tempdir/;
use Test::More tests => 7;

my $veil = $ENV{TEST_VEIL_BINARY} || 'objs/veil';
my $dir = tempdir('veil-defaults-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub told {
    my ($text, @options) = @_;
    open my $f, '>', "$dir/veil.conf" or die "$dir/veil.conf: $!";
    print $f "error_log stderr; pid $dir/pid;\n$text";
    close $f;
    return scalar `$veil -t @options -p $dir -c $dir/veil.conf 2>&1`;
}

my $out = told("http { access_log off; }\n");
like($out, qr/differ from nginx's, and are not set here: .*\n/, 'told');
like($out, qr/client_max_body_size 10m \(nginx: 1m\)/, 'with both values');
like($out, qr/worker_processes auto \(nginx: 1\)/, 'of the main context');
like($out, qr/test is successful\n\z/, 'before the result');

$out = told("worker_processes 1;\nhttp { access_log off;\n"
    . "server { listen 127.0.0.1:1; client_max_body_size 1m; } }\n");
unlike($out, qr/client_max_body_size|worker_processes/,
    'what is set, wherever, is not told');

$out = told('');
unlike($out, qr/sendfile/, 'nothing of http without http');

is(told("http { access_log off; }\n", '-q'), '', 'nothing with -q');
