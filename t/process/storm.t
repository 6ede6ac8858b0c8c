#!/usr/bin/perl

# Clients that do not stop coming notice nothing of reloads, whatever becomes
# of the number of workers and of their sockets; and nothing is left open.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::Veil;
use Test::Veil::Guard;
use Test::Veil::Proc;

my $t = Test::Veil->new->has(qw/echo/);

sub write_conf {
    my ($workers, $reuseport) = @_;
    $t->config("worker_processes $workers;\n"
        . "worker_shutdown_timeout 20s;\n"
        . "echo_counter visits 64k;\n"
        . "echo_listen %%PORT_80%%$reuseport;\n");
}

# One client after the other, until TERM.  Exits with 1 if one was not served.

sub client {
    my ($n, $bad, $end) = (0, 0, 0);
    $SIG{TERM} = sub { $end = 1 };
    until ($end) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port(80), Timeout => 30);
        my $why = $s ? '' : "connect: $!";
        if ($s) {
            my $greeting = <$s> // '';
            print $s "hello\n";
            my $hello = <$s> // '';
            $why = "'$greeting' '$hello'"
                unless $greeting =~ /^generation=/ && $hello eq "hello\n";
        }
        $n++;
        if (length $why) {
            $bad++;
            print STDERR "# client $n: $why\n";
        }
    }
    return $bad || !$n;
}

# How many descriptors the master and the keeper have.

sub census {
    my @all = Test::Veil::Proc::group($t->pid);
    return join ' ', map {
        my $what = $_;
        my @it = grep { $_->{title} =~ /$what process/ } @all;
        "$what:" . join '+', map { scalar(() = glob "/proc/$_->{pid}/fd/*") }
            @it;
    } qw/master keeper/;
}

# A keeper that has ended is the master's to reap: then it closes its channel,
# and says so.

sub settled {
    return $t->wait_for(sub {
        my @all = Test::Veil::Proc::group($t->pid);
        my $log = $t->log;
        my $started = () = $log =~ /generation \d+ serves/g;
        my $ended = () = $log =~ /keeper process \d+ of generation \d+ (?:exited|was)/g;
        $ended == $started - 1
            && !(grep { $_->{ending} } @all)
            && 2 == (grep { $_->{title} =~ /worker process/ } @all)
            && 1 == grep { $_->{title} =~ /keeper process/ } @all;
    });
}

write_conf(2, '');
$t->run;
ok($t->reload && settled(), 'a first reload');
my $before = census();

my @clients = map { Test::Veil::Guard::child(\&client) } 1 .. 2;
for my $case ([ 2, '' ], [ 3, '' ], [ 1, '' ], [ 2, ' reuseport' ],
    [ 3, ' reuseport' ], [ 1, ' reuseport' ], [ 2, '' ], [ 2, '' ], [ 2, '' ])
{
    write_conf(@$case);
    ok($t->reload, "reload: $case->[0] workers$case->[1]");
}

# And a worker that is told to end, which is replaced.

ok(settled(), 'the old ones have gone');
for (1 .. 3) {
    my ($worker) = $t->worker_pids;
    $t->signal('QUIT', $worker);
    ok($t->wait_for(sub { !kill 0, $worker }) && settled(),
        'QUIT to a worker');
}
kill 'TERM', @clients;
is(Test::Veil::Guard::reap($_), 0, 'every client was served') for @clients;

# Slots stay, three in all, so it counts from after the first growth.

ok(settled(), 'the old ones have gone');
my $after = census();
ok($t->reload && settled(), 'reload') for 1 .. 5;
$t->wait_for(sub { census() eq $after });
is(census(), $after, 'as many descriptors after more reloads');
my ($was) = $before =~ /master:(\d+)/;
my ($is) = $after =~ /master:(\d+)/;
is($is, $was + 2, 'the master has the two sockets more');

done_testing;
