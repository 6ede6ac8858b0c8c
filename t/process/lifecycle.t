#!/usr/bin/perl

# The processes without any protocol: master, keeper, workers; how they come,
# are replaced, and go.  Nothing here needs a module.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new;
my $dir = $t->testdir;
$t->config("worker_processes 2;\n");

# Without a mistake, -t says so; -T prints; -q says nothing.

my ($status, $out) = $t->command('-t');
is($status, 0, '-t');
like($out, qr/syntax is ok.*test is successful/s, 'is content');
ok(!-e "$dir/veil.pid", 'and starts nothing');
($status, $out) = $t->command('-T');
like($out, qr/^# configuration file \Q$dir\E\/veil\.conf:\n.*worker_processes 2;/ms,
    '-T prints the configuration');
($status, $out) = $t->command('-t', '-q');
is("$status $out", '0 ', '-q is silent');
($status, $out) = $t->command('-g', 'nonsense on;', '-t');
isnt($status, 0, '-g is read');
like($out, qr/unknown directive "nonsense"/, 'and its mistakes are named');

# The family.

$t->run;
my @all = Test::Veil::Proc::group($t->pid);
is(scalar(grep { $_->{title} =~ /master process/ } @all), 1, 'one master');
is(scalar(grep { $_->{title} =~ /keeper process/ } @all), 1, 'one keeper');
my @workers = $t->worker_pids;
is(scalar @workers, 2, 'two workers');
is($t->read_file('veil.pid'), $t->pid . "\n", 'the pid file');

# A worker that dies.

$t->allow_alerts(qr/exited on signal 9/);
$t->signal('KILL', $workers[0]);
ok($t->wait_for(sub {
    my @now = $t->worker_pids;
    @now == 2 && !grep { $_ == $workers[0] } @now;
}), 'a worker that dies is replaced');
ok((grep { $_ == $workers[1] } $t->worker_pids), 'its sibling stays');

# A keeper that dies: the master starts another generation.

my ($keeper) = map { $_->{pid} }
    grep { $_->{title} =~ /keeper process/ } Test::Veil::Proc::group($t->pid);
@workers = $t->worker_pids;
$t->allow_alerts(qr/starting the configuration of generation 1 again/);
$t->signal('KILL', $keeper);
ok($t->wait_for(sub {
    my %now = map { $_ => 1 } $t->worker_pids;
    keys(%now) == 2 && !grep { $now{$_} } @workers;
}), 'a keeper that dies is replaced with its workers');
ok(kill(0, $t->pid), 'the master stays');

# A new generation, and one that is refused.

@workers = sort $t->worker_pids;
ok($t->reload, 'HUP');
ok($t->wait_for(sub { $t->worker_pids == 2 }), 'the old workers go');
my @now = sort $t->worker_pids;
isnt("@now", "@workers", 'brings new workers');
my $good = $t->read_file('veil.conf');
$t->write_file('veil.conf', "$good\nworker_proceses 3;\n");
$t->allow_alerts(qr/worker_proceses|\[emerg\] \d+#\d+: +\^/);
ok(!$t->reload, 'a mistake is refused');
like($t->wait_for_log(qr/unknown directive/), qr/unknown directive "worker_proceses" in \S+:3:1 .did you mean "worker_processes"/,
    'with its place and a suggestion');
is(join(' ', sort $t->worker_pids), "@now", 'and changes nothing');
$t->write_file('veil.conf', $good =~ s/worker_processes 2/worker_processes 3/r);
ok($t->reload, 'HUP with one worker more');
ok($t->wait_for(sub { $t->worker_pids == 3 }), 'three workers');

# USR1 opens the log again.

rename "$dir/error.log", "$dir/error.1.log";
$t->signal('USR1');
ok($t->wait_for(sub { -e "$dir/error.log" }), 'USR1: a new error log');
ok($t->reload, 'and something to write');
ok($t->wait_for_log(qr/start worker process/), 'is in it');

# HUP in a row, and to everyone at once.

$t->signal('HUP') for 1 .. 5;
$t->signal('HUP', $_) for $t->worker_pids;
ok($t->wait_for(sub { $t->worker_pids == 3 }), 'HUP, many times');
ok(kill(0, $t->pid), 'leaves a server');
# While one of those before it loads it is refused; a signal that came while it
# loads itself is a reload after it.  What still loads at the end is killed.
for my $time (1, 2) {
    ok($t->wait_for(sub { Test::Veil::Control->new($t)->ask('reload')->{ok} }),
        "that loads no more: $time");
}

# The ways to end it.

is($t->stop, 0, 'QUIT');
ok(!-e "$dir/veil.pid", 'no pid file');
for my $sig (qw/TERM INT/) {
    $t->run;
    is($t->stop(signal => $sig), 0, $sig);
    ok(!-e "$dir/veil.pid", "$sig: no pid file");
}
for my $how (qw/quit stop/) {
    $t->run;
    ($status, $out) = $t->command('-s', $how);
    is($status, 0, "-s $how") or diag($out);
    is($t->stop(signal => 0), 0, 'ends it');
}
($status, $out) = $t->command('-s', 'reload');
isnt($status, 0, '-s without a server');
like($out, qr/\Q$dir\E\/veil\.pid/, 'names the pid file');

# All in one process.

$t->config("master_process off;\nworker_processes 4;\n");
$t->run;
is(scalar(Test::Veil::Proc::group($t->pid)), 1, 'master_process off');
is($t->stop, 0, 'ends as well');

# A start that fails says why, and leaves nothing behind.

for my $case (
    [ 'an unknown directive', "x y;\n", qr/unknown directive "x"/ ],
    [ 'a directive that does not end', "worker_processes 1\n",
        qr/unexpected end of file/ ],
    [ 'a block that does not end', "events {\n",
        qr/unexpected end of file/ ],
    [ 'a brace too many', "}\n", qr/unexpected "\}"/ ],
    [ 'a number that is none', "worker_processes x;\n", qr/worker_processes/ ],
    [ 'twice the same', "daemon off;\ndaemon off;\n", qr/duplicate/ ],
    )
{
    my ($name, $text, $why) = @$case;
    $t->config($text, bare => 1);
    ($status, $out) = $t->command;
    isnt($status, 0, $name);
    like($out, $why, '... is named');
    like($out, qr/veil\.conf:\d+/, '... with its place');
}
$t->allow_alerts(qr/veil\.conf:\d+|\[emerg\] \d+#\d+: {4}/);

done_testing;
