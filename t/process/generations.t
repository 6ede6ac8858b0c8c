#!/usr/bin/perl

# Generations: what a reload keeps, what it lets go, and what happens when
# any of the processes dies.  With examples/echo, which needs no HTTP.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Proc;

my $t = Test::Veil->new->has(qw/echo/);
my $dir = $t->testdir;

# write_conf($workers, $text): the configuration that a reload will find.

sub write_conf {
    my ($workers, $text) = @_;
    $t->config("worker_processes $workers;\n$text");
}

# greeting($port): { generation worker pid visits } of who answers there, and
# the connection.

sub greeting {
    my ($port, %o) = @_;
    my $c = eval { $t->connect($t->port($port)) } or return {};
    my $line = $c->read_until(qr/\n/, 5);
    my %g = $line =~ /(\w+)=(\d+)/g;
    $g{conn} = $c if $o{keep};
    return \%g;
}

sub echoes {
    my ($c, $text) = @_;
    $c->write("$text\n");
    return $c->read_until(qr/\n/, 5) eq "$text\n";
}

# processes($what): pids of the keepers or workers.

sub processes {
    my ($what) = @_;
    return map { $_->{pid} }
        grep { $_->{title} =~ /^veil: $what process/ }
        Test::Veil::Proc::group($t->pid);
}

sub generation_is {
    my ($n, $name) = @_;
    ok($t->wait_for(sub { (greeting(80)->{generation} // 0) == $n }), $name);
}

# A reload keeps sockets and zones.

my $base = "echo_listen %%PORT_80%%;\necho_counter visits 64k;\n";
write_conf(2, $base);
$t->run;
my $g = greeting(80, keep => 1);
is($g->{generation}, 1, 'the first generation');
is($g->{visits}, 1, 'its zone is new');
ok(echoes($g->{conn}, 'hello'), 'it works');
my @old = processes('worker');
is(scalar @old, 2, 'two workers');
is(scalar(() = processes('keeper')), 1, 'one keeper');

ok($t->reload, 'reload');
my $h = greeting(80);
is($h->{generation}, 2, 'the second generation serves');
is($h->{visits}, 2, 'with the same zone');
ok(echoes($g->{conn}, 'again'), 'the first serves whom it had');
is(scalar(() = processes('keeper')), 2, 'and has its keeper');
$g->{conn}->close;
ok($t->wait_for(sub { processes('keeper') == 1 }), 'then it ends');
is(join(' ', grep { kill 0, $_ } @old), '', 'with its workers');

# A zone of another size is another zone.

write_conf(2, $base =~ s/64k/128k/r);
ok($t->reload, 'a zone gets another size');
is(greeting(80)->{visits}, 1, 'and begins anew');

# Addresses come and go.

write_conf(2, "$base echo_listen %%PORT_81%%;\n"
    . "echo_listen unix:$dir/sock;\n");
ok($t->reload, 'more addresses');
is(greeting(81)->{generation}, 4, 'the second one');
ok(-S "$dir/sock", 'the unix socket');
$g = greeting(81, keep => 1);
write_conf(2, $base);
ok($t->reload, 'less addresses');
is(greeting(81)->{generation}, undef,
    'nobody listens where nobody serves, though a worker still drains');
ok(echoes($g->{conn}, 'still'), 'which it does');
ok(!-e "$dir/sock", 'the file of the unix socket is gone');
$g->{conn}->close;

# A configuration that cannot be had leaves everything as it is.

$t->allow_alerts(
    qr/Address already in use|unknown directive|nonsense|\^|pid file/);
ok($t->wait_for(sub { processes('worker') == 2 }), 'that worker has gone');
my @workers = sort(processes('worker'));
my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Listen => 1) or die;
my $mark = $t->log_mark;
write_conf(2, "$base echo_listen %%PORT_82%%;\necho_listen 127.0.0.1:"
    . $busy->sockport . ";\n");
ok(!$t->reload, 'an address that is taken');
ok($t->wait_for_log(
    qr{\[emerg\].*bind\(\) to 127.*already in use\) in $dir/veil\.conf:\d+},
    from => $mark), 'is named');
ok($t->wait_for_log(qr/generation 5 goes on/, from => $mark),
    'and the log says what goes on');
ok($t->wait_for(sub { join(' ', sort(processes('worker'))) eq "@workers" }),
    'the workers stay');
is(greeting(82)->{generation}, undef,
    'what was bound for it is closed again');
is(greeting(80)->{generation}, 5, 'it serves');
write_conf(2, "$base nonsense on;\n");
ok(!$t->reload, 'a directive that does not exist');
ok($t->wait_for_log(qr/unknown directive "nonsense"/, from => $mark),
    'is named');
write_conf(2, $base =~ s/^/pid \/proc\/none\/x.pid;\n/r);
ok(!$t->reload, 'a pid file that cannot be written');
ok($t->wait_for(sub { join(' ', sort(processes('worker'))) eq "@workers" }),
    'the workers stay');
is($t->read_file('veil.pid'), $t->pid . "\n", 'and the pid file');
ok($t->wait_for_log(qr/\[notice\].*of generation \d+ was killed by the master/,
    from => $mark), 'and that its keeper was killed is no alert');
write_conf(2, $base);
my $last = 8;

# Many in a row end with the last.

$t->signal('HUP') for 1 .. 5;
ok($t->wait_for(sub {
    !(grep { $_->{ending} } Test::Veil::Proc::group($t->pid))
        && processes('worker') == 2 && processes('keeper') == 1
        && (greeting(80)->{generation} // 0) > $last;
}), 'HUP five times');
# A signal may still be on its way, or be remembered while another one loads:
# what can be asked for twice is the last.
my $asker = Test::Veil::Control->new($t);
for my $time (1, 2) {
    ok($t->wait_for(sub { $asker->ask('reload')->{ok} }),
        "that loads no more: $time");
}
ok($t->wait_for(sub {
    processes('worker') == 2 && processes('keeper') == 1
}), 'the last one is alone');
$last = greeting(80)->{generation};

# Generations that are not done: more than four are too many.

my @held;
my $many = $t->log_mark;
for (1 .. 5) {
    push @held, greeting(80, keep => 1);
    ok($t->reload, 'a reload while somebody stays connected');
}
ok($t->wait_for_log(qr/more than 4 replaced configurations are still in use, generation $held[0]{generation} has 10 s left/,
    from => $many), 'the fifth makes the oldest hurry');
ok(echoes($held[0]{conn}, 'still'), 'which is served until then');
my $control = Test::Veil::Control->new($t);
my %left = map { $_->{generation} => $_ }
    @{$control->data('status')->{generations}};
is(scalar keys %left, 6, 'status shows them all');
cmp_ok($left{$held[0]{generation}}{left_ms}, '<=', 20_000, 'and what is left');
cmp_ok($left{$held[4]{generation}}{left_ms}, '>', 60_000, '... of the others');
$_->{conn}->close for @held;
$last += 5;
ok($t->wait_for(sub { processes('keeper') == 1 }), 'they end');

# Workers that die are replaced, at once and then with pauses.

$t->allow_alerts(qr/exited on signal|nothing serves|starting the conf/);
$mark = $t->log_mark;
for my $n (1 .. 3) {
    my ($victim) = processes('worker');
    $t->signal('KILL', $victim);
    ok($t->wait_for(sub {
        my @now = processes('worker');
        @now == 2 && !grep { $_ == $victim } @now;
    }), "killed worker $n is replaced");
}
ok($t->wait_for_log(qr/worker process \d+ exited on signal 9/, from => $mark),
    'the log says how it ended');
is(greeting(80)->{generation}, $last, 'the generation is the same');

# One that is told to end is replaced too.

my ($one) = processes('worker');
$t->signal('QUIT', $one);
ok($t->wait_for(sub {
    my @now = processes('worker');
    @now == 2 && !grep { $_ == $one } @now;
}), 'QUIT to a worker replaces it');

# A keeper that dies: the same text again, whatever the file says now.

write_conf(2, 'nonsense on;');
$g = greeting(80, keep => 1);
$mark = $t->log_mark;
$t->signal('KILL', processes('keeper'));
generation_is($last + 1, 'a dead keeper is replaced, by the kept text');
ok(echoes($g->{conn}, 'orphan'), 'its workers finish');
ok($t->wait_for_log(qr/keeper process \d+ of generation \d+ exited on signal/,
    from => $mark), 'the log says how it ended');
$g->{conn}->close;
ok($t->wait_for(sub { processes('worker') == 2 }), 'and go');
write_conf(2, $base);
ok($t->reload, 'a reload works after that');
$last += 2;
is(greeting(80)->{generation}, $last, 'and serves');
ok($t->wait_for(sub { processes('keeper') == 1 }), 'alone');
$t->signal('TERM', processes('keeper'));
generation_is(++$last, 'a keeper that is told to end is replaced');
ok($t->wait_for(sub { processes('worker') == 2 }), 'with its workers');

# The logs, opened anew by everybody.

rename "$dir/error.log", "$dir/error.1.log";
$t->signal('USR1');
ok($t->wait_for(sub { -e "$dir/error.log" }), 'USR1: there is a new log');
$t->signal('HUP', $_) for processes('worker');
ok($t->wait_for_log(qr/SIGHUP ignored/), 'workers write to it');
ok($t->wait_for(sub {
    my @open = map { glob "/proc/$_->{pid}/fd/*" }
        Test::Veil::Proc::group($t->pid);
    return !grep { (readlink // '') =~ /error\.1\.log/ } @open;
}), 'and nobody has the old one open');
$t->signal('WINCH');
ok($t->wait_for_log(qr/SIGWINCH\) received .*ignored/),
    'WINCH is ignored: no other master follows');

# The time for draining is up.

write_conf(1, "worker_shutdown_timeout 200ms;\n$base");
ok($t->reload, 'a short worker_shutdown_timeout');
$g = greeting(80, keep => 1);
$mark = $t->log_mark;
ok($t->reload, 'and a reload');
ok($g->{conn}->eof(10), 'a connection that goes on is closed');
ok($t->wait_for_log(qr/1 connections have not ended in time/,
    from => $mark), 'and the log says so');
ok($t->wait_for(sub { processes('worker') == 1 }), 'the worker has gone');

# Stopping waits for connections, and a second signal does not.

$g = greeting(80, keep => 1);
$t->signal('TERM');
ok($t->wait_for(sub { !defined greeting(80)->{generation} }),
    'TERM: no new connections');
ok(echoes($g->{conn}, 'wait'), 'the old one goes on');
ok(-e "$dir/veil.pid", 'the pid file is still there');
$t->signal('TERM');
is($t->stop(signal => 0), 0, 'TERM again ends it at once');
ok($g->{conn}->eof(1), 'the connection too');

# A dead master: what goes on is finished, then all end.

write_conf(2, $base);
$t->run;
$g = greeting(80, keep => 1);
my @all = map { $_->{pid} } Test::Veil::Proc::group($t->pid);
$t->signal('KILL');
ok($t->wait_for_log(qr/the master is gone/), 'the keeper notices');
$t->allow_alerts(qr/master is gone/);
ok(echoes($g->{conn}, 'bereft'), 'a connection goes on');
ok($t->wait_for(sub { !defined greeting(80)->{generation} }),
    'new ones are refused');
$g->{conn}->close;
ok($t->wait_for(sub { 1 == grep { kill 0, $_ } @all }), 'then all end')
    or diag(join "\n", map {"$_->{pid} $_->{title}"}
        Test::Veil::Proc::group($t->pid));
$t->stop(signal => 0, status => 9);

done_testing;
