#!/usr/bin/perl

# Replaced configurations that still have connections, and much memory: there
# is a warning, with how many they are.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');

sub conf {
    my ($limit) = @_;
    $t->config("worker_processes 1;\n$limit\n"
        . "error_log %%TESTDIR%%/error.log notice;\n"
        . "http { access_log off;\n"
        . "    server { listen %%PORT_80%%; return 204; } }\n");
}

# A request whose head has begun keeps its generation.

my $begun = 0;

sub begin {
    my $c = $t->connect(80);
    $c->write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    $begun++;
    $t->wait_for(sub {
        my $list = Test::Veil::Control->new($t)->data('conn.list');
        return $begun == grep { $_->{state} eq 'head' }
            @{ $list->{connections} };
    });
    return $c;
}

sub warnings_of { return $t->log =~ /(\d+ replaced configurations? .*)/g }

conf('draining_memory 1k;');
$t->run;
my $first = begin();
ok($t->reload, 'a reload');
my $said = qr/\[warn\].*1 replaced configuration is still in use and has (\d+) KiB of memory, the oldest is generation 1: /;
$t->wait_for_log($said);
my ($kb) = $t->log =~ $said;
cmp_ok($kb, '>', 100, "it has some memory: $kb KiB");

# Each that is added is told.

my $second = begin();
ok($t->reload, 'another');
$t->wait_for_log(qr/2 replaced configurations are still in use and have \d+ KiB of memory, the oldest is generation 1: /);
is(scalar(() = warnings_of()), 2, 'once each');

# The limit is of the one that serves.

my $mark = $t->log_mark;
conf('draining_memory 1g;');
my $third = begin();
ok($t->reload, 'with another limit');
for my $c ($first, $second, $third) {
    $c->write("\r\n");
    like($c->read_all, qr/ 204 /, 'what was begun is finished');
}
$t->wait_for_log(qr/generation 3 has ended/, from => $mark);
is(scalar(() = warnings_of()), 2, 'which is not reached');

# As configured wrongly, and not at all.

conf('draining_memory much;');
my ($status, $out) = $t->command('-t');
isnt($status, 0, 'no size');
like($out, qr/invalid value|invalid size/, 'is told');
conf('');
($status) = $t->command('-t');
is($status, 0, 'without a limit');

$t->stop;
done_testing;
