#!/usr/bin/perl

# Processes that do not answer: they are ended all the same.

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Proc;
use Time::HiRes 'time';

my $t = Test::Veil->new->has(qw/echo/)->allow_alerts(
    qr/did not end in time|does not take/)
    ->skip_exit_check('a worker that is killed says nothing');
$t->config(<<'EOC');
worker_processes 2;
shutdown_timeout 100ms;
worker_shutdown_timeout 100ms;
echo_listen %%PORT_80%%;
EOC

# A worker that is stopped hinders neither a reload nor the end.

$t->run;
my ($worker) = $t->worker_pids;
$t->signal('STOP', $worker);
$t->signal('HUP');
ok($t->wait_for_log(qr/generation 2 serves/), 'a reload beside it');
ok($t->wait_for(sub { !kill 0, $worker }, 15), 'it is killed');
ok($t->wait_for_log(qr/worker process $worker did not end in time, killing/),
    'with a line in the log');
ok($t->wait_for_log(qr/\[notice\].*worker process $worker was killed by its/),
    'and no alert when it has ended of that');

($worker) = $t->worker_pids;
$t->signal('STOP', $worker);
is($t->stop(timeout => 20), 0, 'the end comes as well');

# "At once" waits for nobody who does not so much as notice it.

$t->config(<<'EOC');
worker_processes 2;
shutdown_timeout 60s;
worker_shutdown_timeout 60s;
echo_listen %%PORT_80%%;
EOC

# ended($what, $begun): the server has, and long before all patience is over.

sub ended {
    my ($what, $begun) = @_;
    is($t->stop(signal => 0, timeout => 20), 0, "$what: it ends");
    cmp_ok(time - $begun, '<', 30, '... soon');
    return;
}

sub keepers { return grep { $_->{title} =~ /keeper process/ } Test::Veil::Proc::group($t->pid) }

for my $who (qw/worker keeper/) {
    $t->run;
    my ($pid) = $who eq 'worker' ? $t->worker_pids : map { $_->{pid} } keepers();
    $t->signal('STOP', $pid);
    my $begun = time;
    Test::Veil::Control->new($t)->send({ verb => 'stop', args => { how => 'hard' } });
    ended("stop hard, with a $who that is stopped", $begun);
}

$t->run;
($worker) = $t->worker_pids;
$t->signal('STOP', $worker);
$t->signal('TERM');
ok($t->wait_for_log(qr/SIGTERM\).*shutting down/), 'a first signal');
ok(kill(0, $worker), '... waits');
my $begun = time;
$t->signal('TERM');
ended('a second signal', $begun);

$t->run;
($worker) = $t->worker_pids;
$t->signal('STOP', $worker);
$begun = time;
Test::Veil::Control->new($t)->send({ verb => 'stop',
    args => { how => 'soft', deadline => 1 } });
ended('a deadline', $begun);

# What loads has nothing to finish, whatever it is busy with.

POSIX::mkfifo($t->testdir . '/fifo', 0600) or die "mkfifo: $!";
$t->run;
$t->append_file('veil.conf', 'include ' . $t->testdir . "/fifo;\n");
my $mark = $t->log_mark;
$t->signal('HUP');
ok($t->wait_for(sub { 2 == keepers() }), 'a keeper that cannot go on');
$begun = time;
$t->signal('TERM');
ended('a signal while it loads', $begun);
my $log = substr $t->log, $mark;
like($log, qr/was not taken \(E_CONFLICT\): the server is being stopped/,
    'the log says why it was not taken');
unlike($log, qr/goes on serving/, '... and not that anything goes on');

done_testing;
