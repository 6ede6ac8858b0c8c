#!/usr/bin/perl

# The rules of RFC 9113 and RFC 7541 that a client can break, each on a
# connection of its own: lib/h2_conformance.py says what comes of it.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has('v2', 'hpack');
$t->write_file('html/file', 'x' x 30000);
$t->upstream(a => handler => sub { $_[0]->reply(body => 'ok') });
$t->config(<<'EOC');
http {
    http2 on;
    large_client_header_buffers 4 32k;
    server {
        listen %%PORT_80%%;
        server_name localhost;
        root %%TESTDIR%%/html;
        client_max_body_size 10m;
        location /ok { return 200 ok; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
        location /gated {
            proxy_request_buffering off;
            proxy_pass http://%%UPSTREAM_a%%;
        }
    }
}
EOC
$t->run;

open my $f, '-|', '/usr/bin/python3', 't/lib/h2_conformance.py', $t->port(80)
    or die "python3: $!";
while (my $line = <$f>) {
    next unless $line =~ /^(not )?ok - (.*)/;
    ok(!$1, $2);
}
ok(close($f), 'the script came to its end');
done_testing();
