#!/usr/bin/perl

# What a worker may do: user, limits, environment, directory, processors.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/echo/);
my $dir = $t->testdir;

sub status {
    my ($pid, $what) = @_;
    open my $f, '<', "/proc/$pid/status" or die "no process $pid\n";
    my ($line) = map {/^\Q$what\E:\s*(.*?)\s*$/} <$f>;
    return $line;
}

sub limit {
    my ($pid, $what) = @_;
    open my $f, '<', "/proc/$pid/limits" or die "no process $pid\n";
    my ($line) = map {/^\Q$what\E\s+(\d+|unlimited)/} <$f>;
    return $line;
}

sub run {
    my ($text) = @_;
    $t->config("$text\necho_listen %%PORT_80%%;\n");
    $t->run;
    return ($t->worker_pids)[0];
}

$t->env(VEIL_TEST_SEEN => 'yes', VEIL_TEST_HIDDEN => 'no',
    VEIL_TEST_CHANGED => 'old', TZ => 'UTC');
mkdir "$dir/work";
my $worker = run(<<"EOC");
env VEIL_TEST_SEEN;
env VEIL_TEST_CHANGED=new;
worker_rlimit_nofile 300;
worker_rlimit_core 1m;
worker_priority 5;
working_directory $dir/work;
EOC

is(limit($worker, 'Max open files'), 300, 'worker_rlimit_nofile');
is(limit($worker, 'Max core file size'), 1048576, 'worker_rlimit_core');
is(readlink "/proc/$worker/cwd", "$dir/work", 'working_directory');
is(getpriority(0, $worker), 5, 'worker_priority');

# The title lies over the first environment: what is asked for is in the
# worker's memory.  It says so by what it does with TZ, and with asan's log.

is($t->stop, 0, 'stop');

# Processors.

my $allowed = status($$, 'Cpus_allowed_list');
my ($first) = $allowed =~ /^(\d+)/;
$worker = run('worker_cpu_affinity auto;');
is(status($worker, 'Cpus_allowed_list'), $first, 'affinity auto');
is(status($t->pid, 'Cpus_allowed_list'), $allowed, 'the master is not bound');
is($t->stop, 0, 'stop');
my $mask = '1' . '0' x $first;
$worker = run("worker_cpu_affinity $mask;");
is(status($worker, 'Cpus_allowed_list'), $first, 'affinity by mask');
is($t->stop, 0, 'stop');
$worker = run('worker_cpu_affinity off;');
is(status($worker, 'Cpus_allowed_list'), $allowed, 'affinity off');
is($t->stop, 0, 'stop');

# By default as many files as root allowed.

$worker = run('');
is(limit($worker, 'Max open files'),
    (split ' ', `bash -c 'ulimit -Hn'`)[0], 'worker_rlimit_nofile auto');
is($t->stop, 0, 'stop');

# The user.

if ($> != 0) {
    $worker = run('user nobody;');
    is((split ' ', status($worker, 'Uid'))[1], $>,
        'only root can become somebody else');
    like($t->log . $t->read_file('stderr.log'), qr/"user" directive/,
        'and others are told');
    done_testing;
    exit;
}
my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ];
$worker = run('');
is(status($worker, 'Uid'), join("\t", ($uid) x 4), 'by default not root');
is($t->stop, 0, 'stop');

$worker = run('user daemon bin;');
is(status($worker, 'Uid'), join("\t", (scalar getpwnam 'daemon') x 4),
    'the user');
is(status($worker, 'Gid'), join("\t", (scalar getgrnam 'bin') x 4),
    'the group');
is(status($worker, 'Groups'), scalar getgrnam('bin'),
    'the supplementary groups are the user\'s');
is(hex(status($worker, 'CapEff')), 0, 'no capabilities');
is((split ' ', status($t->pid, 'Uid'))[1], 0, 'the master stays root');

# A log in a directory that only root may write to is opened anew for all.

rename "$dir/error.log", "$dir/error.1.log";
chmod 0755, $dir;
$t->signal('USR1');
ok($t->wait_for(sub { -e "$dir/error.log" }), 'USR1');
ok($t->wait_for(sub {
    $t->signal('HUP', $worker);
    $t->log =~ /\b$worker#.*SIGHUP ignored/;
}), 'the worker writes to the new log');

# Also when the worker itself is told, which may not write there.

rename "$dir/error.log", "$dir/error.2.log";
$t->signal('USR1', $worker);
ok($t->wait_for(sub { -e "$dir/error.log" }), 'USR1 to a worker');
ok($t->wait_for(sub {
    $t->signal('HUP', $worker);
    $t->log =~ /\b$worker#.*SIGHUP ignored/;
}), '... which writes to the new log');
unlike($t->read_file('error.2.log'), qr/Permission denied/, '... at once');
is($t->stop, 0, 'stop');

my ($status, $out) = $t->command('-t', '-g', 'user nonexistent;');
is($status, 1, 'a user that does not exist');
like($out, qr/nonexistent/, 'is named');

done_testing;
