#!/usr/bin/perl

# A program built without what is optional says so, where one would ask, and
# serves what needs none of it.
#
# TEST_VEIL_BARE is its build directory; auto/check sets it.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use Test::More;

use lib dirname(abs_path(__FILE__)) . '/../lib';
use Test::Veil;

plan skip_all => 'TEST_VEIL_BARE names no build' if !$ENV{TEST_VEIL_BARE};

my $build = abs_path($ENV{TEST_VEIL_BARE});
my $t = Test::Veil->new(binary => "$build/veil");

open my $f, '<', "$build/lacking" or die "$build: $!";
is((grep { $_ eq "tls\n" } <$f>), 1, 'the build is one without TLS');
close $f;
for my $feature (qw/tls ssl/) {
    ok(!$t->has_feature($feature), "and has no feature \"$feature\"");
}
unlike(`$build/veil -V 2>&1`, qr/^built with/m, '-V names no TLS library');
unlike(`ldd $build/veil 2>&1`, qr/pcre|ssl|crypto/,
    'it is linked with none of the libraries');

for my $case (
    [ 'listen 127.0.0.1:1 ssl;', qr/this build of veil has no TLS/ ],
    [ 'ssl_certificate x.pem;', qr/unknown directive "ssl_certificate"/ ],
    [ 'location / { proxy_pass https://127.0.0.1:1; }', qr/https.*TLS/ ],
    [ 'location ~ x { }', qr/built without regular expressions/ ],
    )
{
    my ($text, $why) = @$case;
    $t->config("http { server { $text } }");
    my ($status, $out) = $t->command('-t');
    isnt($status, 0, "$text is refused");
    like($out, $why, 'and why');
}

$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        location / { return 200 plain; }
    }
}
EOC
$t->run;
like($t->get('/'), qr/\r\n\r\nplain$/, 'but plain HTTP is served');

done_testing();
