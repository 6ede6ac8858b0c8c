#!/usr/bin/perl

# "reuseport_balancing cbpf": a client address always reaches the same worker,
# and all workers are reached.  It can be turned on and off by a reload.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use IO::Socket::INET;

my $t = Test::Veil->new->has(qw/rewrite/);

sub write_conf {
    my ($workers, $balancing, $options) = @_;
    $options //= '';
    $t->config(<<"EOC");
worker_processes $workers;
$balancing
http {
    access_log off;
    server {
        listen %%PORT_80%% $options;
        location / { return 200 "\$pid"; }
    }
}
EOC
}

# worker_of($address): the worker that a new connection from there reaches.

sub worker_of {
    my ($address) = @_;
    my $s = IO::Socket::INET->new(
        PeerAddr  => '127.0.0.1',
        PeerPort  => $t->port(80),
        LocalAddr => $address,
    ) or die "connecting from $address: $!\n";
    print $s "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    local $/;
    my $answer = <$s>;
    return $answer =~ /\r\n\r\n(\d+)\z/ ? $1 : 'nobody';
}

# spread(): over 40 addresses, 4 connections each: the number of addresses
# that reached more than one worker, and that of workers reached.

sub spread {
    my (%all, $split);
    for my $i (1 .. 40) {
        my %one = map { worker_of("127.0.$i.1") => 1 } 1 .. 4;
        $split++ if keys %one > 1;
        $all{$_} = 1 for keys %one;
    }
    ok(!$all{nobody}, 'every connection is answered');
    return ($split // 0, scalar keys %all);
}

sub sockets {
    my ($hex) = map { sprintf '%04X', $_ } $t->port(80);
    open my $f, '<', '/proc/net/tcp' or die;
    return scalar grep {/^ *\d+: 0100007F:$hex [0-9A-F:]+ 0A /} <$f>;
}

write_conf(4, 'reuseport_balancing cbpf;');
$t->run;
is(sockets(), 4, 'cbpf: a socket for each worker without "reuseport"');
my ($split, $workers) = spread();
is($split, 0, 'cbpf: no address is split');
is($workers, 4, 'cbpf: all workers are used');

write_conf(2, 'reuseport_balancing cbpf;');
ok($t->reload, 'two workers');
($split, $workers) = spread();
is($split, 0, 'two workers: no address is split');
is($workers, 2, 'two workers: both are used');

write_conf(2, 'reuseport_balancing kernel;', 'reuseport');
ok($t->reload, 'back to the kernel');
($split, $workers) = spread();
is($workers, 2, 'kernel: both are used');
ok($split > 0, 'kernel: ports matter as well');

write_conf(2, 'reuseport_balancing random;');
my ($status, $out) = $t->command('-t');
is($status, 1, 'an unknown word is refused');
like($out, qr/"random".*reuseport_balancing/, '... by name');
write_conf(2, '');

done_testing;
