#!/usr/bin/perl

# Names of upstreams: looked up at the start, again when their answer has
# aged, and in the background when there was none.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::Veil;
use Test::Veil::Guard;

my $t = Test::Veil->new;

# Two with the same port, which may be somebody else's at one of the addresses.
my ($a, $b);
for (1 .. 20) {
    $a = $t->upstream(a =>
            handler => Test::Veil::Upstream::reply(body => 'first'));
    last if eval {
        $b = $t->upstream(b => addr => '127.0.0.2', port => $a->port,
            handler => Test::Veil::Upstream::reply(body => 'second'));
    };
}

# A name server: each name's answer is a line of a file, "name ttl address".

my $dns = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "no socket: $!";
my $zone = $t->testdir . '/zone';
my $asked = $t->testdir . '/asked';

sub answers {
    my %now = @_;
    $t->write_file('zone.new', join '',
        map {"$_ $now{$_}\n"} sort keys %now);
    rename $t->testdir . '/zone.new', $zone or die $!;
}

sub look_up {
    my ($name) = @_;
    open my $f, '<', $zone or return;
    while (<$f>) {
        my ($n, $ttl, $addr) = split;
        return ($ttl, $addr) if $n eq $name;
    }
    return;
}

sub serve {
    while (defined $dns->recv(my $q, 512)) {
        my ($id, $flags) = unpack 'n2', $q;
        my ($at, @labels) = (12);
        while (my $len = ord substr $q, $at, 1) {
            push @labels, substr $q, $at + 1, $len;
            $at += $len + 1;
        }
        my ($type) = unpack 'n', substr $q, $at + 1, 2;
        my $question = substr $q, 12, $at + 5 - 12;
        my ($ttl, $addr) = look_up(join '.', @labels);
        open my $log, '>>', $asked or die $!;
        print $log join('.', @labels), "\n" if $type == 1;
        close $log;
        my $rr = '';
        $rr = pack 'n3Nn a4', 0xc00c, 1, 1, $ttl, 4,
            pack 'C4', split /\./, $addr
            if defined $addr && $type == 1;
        $dns->send(pack('n6', $id, defined $addr ? 0x8180 : 0x8183, 1,
            $rr ne '' ? 1 : 0, 0, 0) . $question . $rr);
    }
}

answers('known.example' => '1 127.0.0.1', 'late.example' => '1 127.0.0.1');
my $pid = Test::Veil::Guard::child(\&serve);

my $resolver = '127.0.0.1:' . $dns->sockport;
my $port = $a->port;

# Another one, which never answers.
my $mute = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "no socket: $!";
my $silent = '127.0.0.1:' . $mute->sockport;

$t->config(<<"EOC");
http {
    resolver $resolver ipv6=off;
    upstream known { server known.example:$port; keepalive 0; }
    upstream never { server never.example:$port; }
    upstream mute {
        server mute.example:$port;
        resolver $silent;
        resolver_timeout 100ms;
    }
    server {
        listen %%PORT_80%%;
        location /known/ { proxy_pass http://known/; proxy_next_upstream off; }
        location /never/ { proxy_pass http://never/; }
        location /silent/ {
            resolver $silent;
            resolver_timeout 100ms;
            set \$name \$arg_name;
            proxy_pass http://\$name:$port/;
        }
        location /run/ {
            set \$name \$arg_name;
            proxy_pass http://\$name:$port/;
        }
    }
}
EOC
$t->run;

sub body { return $t->get($_[0])->body }

ok($t->wait_for(sub { body('/known/') eq 'first' }), 'a name is looked up');
answers('known.example' => '1 127.0.0.2');
ok($t->wait_for(sub { body('/known/') eq 'second' }, 5),
    'and again when its answer has aged');

is($t->get('/never/')->status, 502, 'a name that nobody knows');
ok($t->wait_for_log(qr/never\.example could not be resolved/),
    'and the log says so');
answers('known.example' => '1 127.0.0.2', 'never.example' => '1 127.0.0.1');
ok($t->wait_for(sub { body('/never/') eq 'first' }, 10),
    'is asked for again in the background');

# Names that are known at run time only.

is(body('/run/?name=known.example'), 'second', 'a name of a variable');
is(body('/run/?name=known.example'), 'second', 'once more');
is($t->get('/run/?name=nobody.example')->status, 502, 'one that is none');
ok($t->wait_for_log(qr/nobody\.example could not be resolved/), 'in the log');
is(body("/run/?name=127.0.0.2"), 'second', 'an address is a name, too');

# Name servers that do not answer.

is($t->get('/silent/?name=known.example')->status, 502,
    'resolver_timeout ends a look-up');
ok($t->wait_for(sub { $t->log =~ /mute\.example could not be resolved/ }),
    'that of a group holds for its names');

kill 'KILL', $pid;
Test::Veil::Guard::reap($pid);
done_testing;
