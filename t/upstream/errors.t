#!/usr/bin/perl

# What a configuration may not say about proxying and upstreams.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
# One look-up fails: without a name server that must not take long.
$t->env(RES_OPTIONS => 'timeout:1 attempts:1');

sub refused {
    my ($http, $location, $why, $name) = @_;
    $t->config(<<"EOC");
http {
    $http
    server {
        listen %%PORT_80%%;
        $location
    }
}
EOC
    my $out = $t->command('-t');
    like($out, $why, $name // $location);
}

if (!$t->has_feature('ssl')) {
    my $why = qr/https:\/\/ needs TLS, which this build does not have/;
    refused('', 'location / { proxy_pass https://127.0.0.1; }', $why);
    refused('', 'location / { proxy_pass https://$host; }', $why);
    refused('upstream a { server https://127.0.0.1; }', '', $why,
        'a server with https://');
    refused('upstream a { server 127.0.0.1 sni=a; }', '',
        qr/"sni=" needs TLS, which this build does not have/, 'sni=');
}
refused('', 'location / { proxy_pass ftp://127.0.0.1; }',
    qr/invalid URL prefix/);
refused('', 'location / { proxy_pass 127.0.0.1; }', qr/invalid URL prefix/);
refused('', 'location ~ /x { proxy_pass http://127.0.0.1/y; }',
    qr/cannot have URI part in location given by regular expression/);
if (!$t->has_feature('v2_upstream')) {
    my $why = qr/this build has no HTTP\/2 to upstreams/;
    refused('', 'location / { proxy_http_version 2; }', $why);
    refused('', 'location / { proxy_h2c on; }', $why);
} elsif ($t->has_feature('ssl')) {
    refused('proxy_h2c on;', 'location / { proxy_pass https://127.0.0.1; }',
        qr/"proxy_h2c" is HTTP\/2 without TLS, and the URL says https/);
}
refused('', 'location / { proxy_http_version 3; }', qr/invalid value|1\.1/);
refused('', 'location / { proxy_next_upstream http_999; }', qr/invalid value/);
refused('', 'location / { proxy_buffers 1 4k; }', qr/at least 2/);
refused('', 'location / { proxy_bind nonsense; }', qr/invalid address/);
refused('', 'location / { proxy_redirect on; }', qr/invalid parameter/);
refused('upstream a { }', '', qr/no servers are inside upstream/);
refused('upstream a { server 127.0.0.1 backup; }', '',
    qr/no servers but backups/);
refused('upstream a { server 127.0.0.1 weigth=2; }', '',
    qr/weigth=2.*did you mean "weight=/s);
refused('upstream a { server 127.0.0.1 weight=0; }', '',
    qr/invalid parameter "weight=0"/);
refused('upstream a { server 127.0.0.1; } upstream a { server 127.0.0.1; }',
    '', qr/duplicate upstream "a"/);
refused('upstream a { server 127.0.0.1; }',
    'location / { proxy_pass http://a:81; }', qr/may not have port 81/);
refused('upstream a { server 127.0.0.1; zone z 4k; }', '',
    qr/zone "z" is too small/);
refused('upstream a { server name.invalid; }',
    'location / { proxy_pass http://a; }',
    qr/\[warn\].*host not found in upstream "name\.invalid".*successful/s,
    'a name that does not resolve is a warning');

done_testing;
