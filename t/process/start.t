#!/usr/bin/perl

# The command line, "-t", starting and what is said when it does not work.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/echo/);
my $dir = $t->testdir;

$t->config(<<'EOC');
echo_listen %%PORT_80%%;
EOC

# What it says of itself.

my ($status, $out) = $t->command('-v');
is($status, 0, '-v');
like($out, qr{\Aveil version: veil/\d+\.\d+\.\d+\n\z}, 'the version');
($status, $out) = $t->command('-V');
like($out, qr/configure arguments:/, '-V: how it was configured');
is(($t->command('--version'))[1], $out, '--version is the same');
($status, $out) = $t->command('-h');
is($status, 0, '-h');
like($out, qr/^  -s signal /m, 'the options');
is(($t->command('--help'))[1], $out, '--help is the same');
is(($t->command('-?'))[1], $out, '-? is the same');
($status, $out) = $t->command('-m');
like($out, qr/^core +echo$/m, '-m lists modules');
($status, $out) = $t->command('--doc');
is($status, 0, '--doc');
like($out, qr/echo_counter.*worker_processes|worker_processes.*echo_counter/s,
    'has all directives');

# Options that are wrong.

for my $case (
    [ 'an unknown letter', ['-x'], qr/unknown option "-x"/ ],
    [ 'one in a cluster', ['-tx'], qr/unknown option "-x"/ ],
    [ 'an unknown word', ['--nonsense'], qr/unknown option "--nonsense"/ ],
    [ 'no option', ['nonsense'], qr/unexpected argument "nonsense"/ ],
    [ 'a missing value', ['-g'], qr/"-g" requires a value/ ],
    [ 'an unknown signal', [ '-s', 'kill' ], qr/-s kill.*stop, quit/ ],
    )
{
    my ($name, $args, $re) = @$case;
    ($status, $out) = $t->command(@$args);
    is($status, 1, "$name is refused");
    like($out, $re, '... by name');
}

# -t and its relatives.

($status, $out) = $t->command('-t');
is($status, 0, '-t');
like($out, qr/^veil: the configuration file \Q$dir\E\/veil.conf syntax is ok
(?:veil: defaults that differ .*\n)?veil: configuration file \Q$dir\E\/veil.conf test is successful
\z/,
    'what nginx would say');
ok(!-e "$dir/veil.pid" && !-e "$dir/error.log", 'nothing was made');
($status, $out) = $t->command('-tq');
is("$status$out", '0', '-tq says nothing');
($status, $out) = $t->command('-T');
is($status, 0, '-T');
like($out, qr/^# configuration file .*\n.*echo_listen 127/m,
    'prints the configuration');
($status, $out) = $t->command('-t', '--config=' . "$dir/none.conf");
is($status, 1, 'a file that is not there');
like($out, qr{none\.conf.*No such file}, 'is named');
($status, $out) = $t->command('-t', '-g', 'nonsense on;');
is($status, 1, '-t with a -g that is wrong');
like($out, qr/unknown directive "nonsense" in command line:1/, 'the place');
like($out, qr/test failed/, 'and the verdict');
($status, $out) = $t->command('-t', '-g', 'error_log /proc/none/error.log;');
is($status, 1, 'a log that cannot be written');
like($out, qr{"/proc/none/error.log" cannot be written}, 'is named');
like($out, qr/syntax is ok/, 'though the syntax is right');

# A start that fails: status and reason, whoever waits.

for my $daemon ('off', 'on') {
    ($status, $out) = $t->command('-g', "nonsense on; daemon $daemon;");
    is($status, 1, "daemon $daemon: a wrong configuration fails");
    like($out, qr/unknown directive "nonsense"/, '... with the reason');
    ok(!-e "$dir/veil.pid", '... and no pid file');
}

# The pid file is there exactly while it serves.

$t->run;
is($t->read_file('veil.pid'), $t->pid . "\n", 'the pid file');
like($t->connect($t->port(80))->read_until(qr/\n/), qr/^generation=1 worker=0 pid=\d+ /,
    'it serves');
is((stat "$dir/veil.pid")[2] & 0777, 0644, 'readable by all');
ok(!-e "$dir/veil.pid.new", 'nothing beside it');

# A second one on the same address.

my $second = $t->read_file('veil.conf')
    =~ s/veil\.pid/second.pid/r =~ s/error\.log/second.log/r;
$t->write_file('second.conf', $second);
my $re = qr/bind\(\)\ to\ 127\.0\.0\.1:\d+\ failed\ \(98:\ Address\ already
    \ in\ use\)\ in\ \Q$dir\E\/second\.conf:\d+/x;
for my $how ('master_process on; daemon off;',
    'master_process on; daemon on;', 'master_process off; daemon off;',
    'master_process off; daemon on;')
{
    my $text = $second =~ s/daemon off;//r;
    $t->write_file('second.conf', "$text\n$how\n");
    ($status, $out) = $t->command('-c', "$dir/second.conf");
    is($status, 1, "$how a second server fails");
    like($out, $re, '... and says which address, and where it stands');
    like($t->log('second.log'), $re, '... in its log as well');
    ok(!-e "$dir/second.pid", '... without a pid file');
    unlink "$dir/second.log";
}
is($t->stop, 0, 'the first one is unharmed');
ok(!-e "$dir/veil.pid", 'the pid file is gone');

# -s without a server.

($status, $out) = $t->command('-s', 'reload');
is($status, 1, '-s without a server');
like($out, qr{no pid file "\Q$dir\E/veil\.pid": the server is not running},
    'says so');
$t->write_file('veil.pid', "rubbish\n");
($status, $out) = $t->command('-s', 'reload');
is($status, 1, '-s with a pid file that is none');
like($out, qr/holds no process id/, 'says so');
my $gone = fork // die;
POSIX::_exit(0) if $gone == 0;
waitpid $gone, 0;
$t->write_file('veil.pid', "$gone\n");
($status, $out) = $t->command('-s', 'stop');
is($status, 1, '-s with a pid file that was left');
like($out, qr/no process has the id $gone/, 'says so');
unlink "$dir/veil.pid";

# A pid file that cannot be written is a failed start.

($status, $out) = $t->command('-g', 'daemon on;', '-c',
    $t->write_file('nopid.conf', $t->read_file('veil.conf')
        =~ s{pid \S+;}{pid /proc/none/veil.pid;}r =~ s/daemon off;//r));
is($status, 1, 'a pid file that cannot be written');
like($out, qr{writing the pid file "/proc/none/veil.pid" failed}, 'is named');
$t->allow_alerts(qr/pid file|Address already in use/);

# Files that cannot be read at all.

($status, $out) = $t->command('-c', "$dir/none.conf");
is($status, 1, 'no configuration');
like($out, qr{none\.conf}, 'is named');
($status, $out) = $t->command('-c', "$dir/none.conf", '-s', 'stop');
is($status, 1, '-s without one');
like($out, qr/no signal was sent/, 'sends nothing');

# Descriptors 0 to 2 may be closed, as service managers and tests do.

system(qq{'$t->{binary}' -p $dir/ -c $dir/veil.conf -e $dir/error.log }
    . '-g "daemon on; pid $PWD/none;" 0<&- 1>&- 2>&-');
isnt($?, 0, 'with all closed an error is an error');
$t->write_file('daemon.conf', $t->read_file('veil.conf')
    =~ s/daemon off;/daemon on;/r);
system("'$t->{binary}' -p $dir/ -c $dir/daemon.conf -e $dir/error.log "
    . '0<&- 1>&- 2>&-');
is($?, 0, 'with all closed it starts');
my $pid = $t->read_file('veil.pid') + 0;
is(readlink "/proc/$pid/fd/0", '/dev/null', 'input is /dev/null');
like(readlink "/proc/$pid/fd/2", qr/error\.log$/, 'errors go to the log');
like($t->connect($t->port(80))->read_until(qr/\n/), qr/^generation=1/, 'it serves');
is(getpgrp($pid), $pid, 'in a session of its own');
($status) = $t->command('-c', "$dir/daemon.conf", '-s', 'stop');
is($status, 0, '-s stop');
ok($t->wait_for(sub { !kill 0, $pid }), 'ends it');
ok(!-e "$dir/veil.pid", 'and removes the pid file');

done_testing;
