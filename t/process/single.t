#!/usr/bin/perl

# "master_process off": one process that is all three.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Proc;

my $t = Test::Veil->new->has(qw/echo/);
my $dir = $t->testdir;

$t->config(<<'EOC');
master_process off;
echo_listen %%PORT_80%% reuseport;
echo_counter visits 64k;
EOC

sub greeting {
    my $c = eval { $t->connect($t->port(80)) } or return '';
    return $c->read_until(qr/\n/, 5);
}

$t->run;
is(scalar(() = Test::Veil::Proc::group($t->pid)), 1, 'one process');
my $pid = $t->pid;
is($t->read_file('veil.pid'), "$pid\n", 'the pid file');
is(greeting(), "generation=1 worker=0 pid=$pid visits=1\n", 'it serves');

$t->signal('HUP');
ok($t->wait_for_log(qr/SIGHUP ignored: with "master_process off"/),
    'HUP does nothing, and says so');
like(greeting(), qr/^generation=1 /, 'it goes on');

rename "$dir/error.log", "$dir/error.1.log";
$t->signal('USR1');
ok($t->wait_for(sub { -e "$dir/error.log" }), 'USR1: a new log');

my $c = $t->connect($t->port(80));
$c->read_until(qr/\n/);
$t->signal('TERM');
ok($t->wait_for(sub { greeting() eq '' }), 'TERM: no new connections');
$c->write("hello\n");
is($c->read_until(qr/\n/), "hello\n", 'the old one goes on');
ok(-e "$dir/veil.pid", 'the pid file is still there');
$c->close;
is($t->stop(signal => 0), 0, 'then it ends');
ok(!-e "$dir/veil.pid", 'and removes the pid file');

$t->run;
$c = $t->connect($t->port(80));
$c->read_until(qr/\n/);
$t->signal('INT');
ok($t->wait_for_log(qr/SIGINT\) received/), 'INT');
$t->signal('INT');
is($t->stop(signal => 0), 0, 'a second one ends it at once');
ok($c->eof(1), 'with its connection');

# In the background.

$t->write_file('daemon.conf', $t->read_file('veil.conf')
    =~ s/daemon off;/daemon on;/r);
my ($status) = $t->command('-c', "$dir/daemon.conf");
is($status, 0, 'daemon on');
($pid) = $t->read_file('veil.pid') =~ /(\d+)/;
is(greeting(), "generation=1 worker=0 pid=$pid visits=1\n",
    'serves when the command returns');
($status) = $t->command('-c', "$dir/daemon.conf", '-s', 'quit');
is($status, 0, '-s quit');
ok($t->wait_for(sub { !kill 0, $pid }), 'ends it');

done_testing;
