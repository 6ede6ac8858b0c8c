#!/usr/bin/perl

# Priorities of HTTP/2 (RFC 9218), seen in the order of frames: the client's
# and the response's own; lib/h2_priority.py is the client.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has('v2', 'hpack');
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 40_000;
$t->write_file('html/big', $big);
$t->upstream(a => handler => sub {
    my ($conn) = @_;
    $conn->reply(body => $big, headers => [Priority => 'u=1']);
});
$t->config(<<'EOC');
http {
    http2 on;
    server {
        listen %%PORT_80%%;
        location /big { alias %%TESTDIR%%/html/big; }
        location /first {
            add_header Priority "u=1";
            alias %%TESTDIR%%/html/big;
        }
        location /turns {
            add_header Priority i;
            alias %%TESTDIR%%/html/big;
        }
        location /up/ {
            proxy_buffers 64 8k;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /wait { proxy_pass http://%%UPSTREAM_a%%; }
        location /ok { return 200 ok; }
    }
}
EOC
$t->run;

open my $f, '-|', '/usr/bin/python3', 't/lib/h2_priority.py', $t->port(80),
    $t->testdir or die "python3: $!";
while (my $line = <$f>) {
    ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
}
ok(close($f), 'the script came to its end');
done_testing();
