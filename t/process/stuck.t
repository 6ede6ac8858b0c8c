#!/usr/bin/perl

# Processes that do not answer: they are ended all the same.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Proc;

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

done_testing;
