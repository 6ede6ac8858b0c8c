#!/usr/bin/perl

# Reloads while clients of HTTP/2 ask all the time: no request fails that
# GOAWAY has not said to be one for another connection.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has('v2', 'hpack');
$t->config(<<'EOC');
worker_processes 2;
http {
    http2 on;
    server {
        listen %%PORT_80%%;
        location /ok { return 200 ok; }
    }
}
EOC
$t->run;

my $stop = $t->testdir . '/stop';
open my $f, '-|', '/usr/bin/python3', 't/lib/h2_reload.py', $t->port(80),
    $stop or die "python3: $!";
for my $i (1 .. 3) {
    # Each of the eight clients has asked since the last one.
    my $had = () = $t->log('access.log') =~ /\n/g;
    $t->wait_for(sub { $had + 200 <= (() = $t->log('access.log') =~ /\n/g) });
    my %old = map { $_ => 1 } $t->worker_pids;
    $t->reload;
    ok($t->wait_for(sub { !grep { $old{$_} } $t->worker_pids }),
        "reload $i: the old workers leave");
}
$t->write_file('stop', '');
while (my $line = <$f>) {
    next unless $line =~ /^(not )?ok - (.*)/;
    ok(!$1, $2);
}
ok(close($f), 'the client came to its end');
done_testing();
