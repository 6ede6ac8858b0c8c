#!/usr/bin/perl

# USR2: another program takes over, with nginx's procedure; and what happens
# when it does not.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Fault;
use Test::Veil::Masters;

my $t = Test::Veil->new;
my $m = Test::Veil::Masters->new($t);
my $dir = $t->testdir;
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;

# The program is called by a link, which can be turned to another one.
my $program = $t->{binary};
my $link = "$dir/program";

sub turn {
    my ($to) = @_;
    unlink "$link.new";
    symlink $to, "$link.new" or die "symlink: $!\n";
    rename "$link.new", $link or die "rename: $!\n";
}

turn($program);
$t->{binary} = $link;

my $config = <<'EOC';
worker_processes 2;
http {
    keepalive_drain_grace 30s;
    upstream u { zone u 64k; server 127.0.0.1:1; }
    server {
        listen %%PORT_80%%;
        listen %%PORT_81%% reuseport;
        listen unix:%%TESTDIR%%/sock;
        location / { return 200 "$pid"; }
    }
    # MORE
}
EOC

sub configure {
    my ($more) = @_;
    $t->config($config =~ s/# MORE/$more/r);
}

sub masters { return $m->masters }
sub workers_of { return $m->workers_of($_[0]) }
sub census { return $m->census($_[0]) }
sub pidfile { return $m->pid_file($_[0]) }

my @places = ([ port => 80 ], [ port => 81 ], [ unix => "$dir/sock" ]);
sub load { return $m->load(@places) }

sub answers {
    my ($name) = @_;
    like($t->get('/', @$_)->body, qr/^\d+$/, $name) for @places;
}

# settled($master, $name): it serves alone, and is as it was.

sub settled {
    my ($master, $was, $name) = @_;
    ok($t->wait_for(sub { "@{[ masters() ]}" eq $master }),
        "$name: there is one master")
        or diag(map {"$_->{pid} $_->{title}\n"} $m->processes);
    ok($t->wait_for(sub {
        workers_of($master) == 2 && 2 == $t->worker_pids
    }), "$name: its workers, and no others");
    ok($t->wait_for(sub { pidfile('veil.pid') eq $master }),
        "$name: the pid file");
    ok($t->wait_for(sub { !-e "$dir/veil.pid.oldbin" }),
        "$name: no other pid file");
    ok($t->wait_for(sub { census($master) eq $was }),
        "$name: the same descriptors")
        or diag("$was\n\n", census($master));
    answers("$name: it answers");
}

# --- nginx's procedure ------------------------------------------------------

configure('');
$t->run;
my $old = $t->pid;
my $was = $m->first_census;
my $stop = load();

$t->signal('USR2');
ok($t->wait_for_log(qr/serves; this master serves beside it/),
    'USR2: the new master serves');
my $new = pidfile('veil.pid');
isnt($new, $old, 'the pid file is its');
is(pidfile('veil.pid.oldbin'), $old, 'the old one has another');
is(scalar workers_of($old), 2, 'the old one has its workers');
is(scalar workers_of($new), 2, 'so has the new one');
# In both there are the sockets, zone, text, log; and the line between them.
my $beside = join "\n", sort(split(/\n/, $was), 'socket:');
$t->wait_for(sub { census($old) eq $beside && census($new) eq $beside });
is(census($old), $beside, 'descriptors of the old one');
is(census($new), $beside, 'the new one has the same');
my %seen = map { $t->get('/')->body => 1 } 1 .. 50;
my %known = map { $_ => 1 } workers_of($old), workers_of($new);
is(join(' ', grep { !$known{$_} } keys %seen), '', 'both serve');

my $mark = $t->log_mark;
kill 'USR2', $_ for $old, $new;
ok($t->wait_for_log(qr/$old#\d+: no upgrade is begun: another master serves/,
    from => $mark), 'USR2 to the old one');
ok($t->wait_for_log(qr/$new#\d+: no upgrade is begun: the old master $old of the/,
    from => $mark), 'USR2 to the new one');

kill 'WINCH', $old;
ok($t->wait_for(sub { workers_of($old) == 0 }),
    'WINCH to the old one: its workers end');
ok(kill(0, $old), 'it stays');
answers('the new one serves');
$mark = $t->log_mark;
kill 'HUP', $old;
ok($t->wait_for(sub { workers_of($old) == 2 }),
    'HUP to the old one: it has workers again');
ok($t->wait_for_log(qr/ $old#\d+: generation \d+ serves/, from => $mark),
    'which serve');
is(pidfile('veil.pid'), $new, 'the pid file is not its');
is(pidfile('veil.pid.oldbin'), $old, 'it keeps the other');
kill 'WINCH', $old;
ok($t->wait_for(sub { workers_of($old) == 0 }), 'WINCH again');

# Back: the new one is told to end.

kill 'QUIT', $new;
settled($old, $was, 'QUIT to the new one');
like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');

# And again, to stay with the new one.

for my $n (1 .. 3) {
    my $before = (masters())[-1];
    $stop = load();
    my $mark = $t->log_mark;
    kill 'USR2', $before;
    ok($t->wait_for_log(qr/serves; this master/, from => $mark),
        "upgrade $n");
    my $after = pidfile('veil.pid');
    kill 'WINCH', $before;
    ok($t->wait_for(sub { workers_of($before) == 0 }), 'WINCH');
    kill 'QUIT', $before;
    ok($t->wait_for_log(qr/$after#.*the old master $before has ended/,
        from => $mark), 'QUIT');
    # The first is the test's child, which has to take note of its end.
    settled($after, $was, "upgrade $n");
    like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');
    my ($gen) = map { $_->{title} =~ /keeper process gen (\d+)/ }
        $m->children($after);
    cmp_ok($gen, '>', $n, 'numbers of generations go on');
}
my $master = pidfile('veil.pid');
kill 'QUIT', $master;
ok($t->wait_for(sub { !masters() }), 'QUIT to the last');
$t->stop(signal => 0);
ok(!-e "$dir/veil.pid", 'no pid file is left');
ok(!-e "$dir/sock", 'and no unix socket');

# --- what is refused --------------------------------------------------------

$t->allow_alerts(qr/the new master \d+ .*, this one serves again/,
    qr/\[emerg\] \d+#\d+: (?:unknown directive|bind\(\) to|.*    )/,
    qr/the keeper cannot reach the master \(/,
    qr/the master is gone, ending with the last connection/);
$t->run;
$old = $t->pid;
$was = $m->first_census;

sub refused {
    my ($name, $re) = @_;
    my $mark = $t->log_mark;
    my @before = sort(workers_of($old));
    $t->signal('USR2');
    ok($t->wait_for_log($re, from => $mark), "$name: is the reason")
        or diag(substr $t->log, $mark);
    settled($old, $was, $name);
    is("@{[ sort(workers_of($old)) ]}", "@before",
        "$name: the same workers");
}

turn('/nonexistent');
refused('no program', qr/no upgrade is begun: "\S+" cannot be executed \(2:/);
$t->write_file('text', 'no program');
turn("$dir/text");
refused('not executable', qr/cannot be executed \(13:/);
chmod 0755, "$dir/text";
refused('not a program', qr/"\S+" refuses: execve\(\) failed \(8: /);
turn('/bin/true');
refused('another program', qr/refuses: it does not answer as a veil that/);
turn('/bin/cat');
refused('a program that complains', qr/refuses: it does not answer as a veil/);
$t->write_file('script', "#!/bin/sh\nkill -9 \$\$\n");
chmod 0755, "$dir/script";
turn("$dir/script");
refused('one that dies', qr/refuses: its preflight was killed \(signal 9\)/);
turn($program);

configure('nonsense on;');
refused('the configuration',
    qr/refuses: unknown directive "nonsense" in \S+\/veil\.conf:11:5/);
configure('server { listen %%PORT_99%%; }');
my $other = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
    LocalPort => $t->port(99), ReuseAddr => 1) or die "listen: $!\n";
refused('a port in use',
    qr/the new master failed: bind\(\) to 127\.0\.0\.1:\d+ failed \(98: /);
close $other;
configure('');

# VEIL_UPGRADE by mistake.
{
    local $ENV{VEIL_UPGRADE} = '0,1';
    my ($status, $out) = $t->command;
    isnt($status, 0, 'a wrong VEIL_UPGRADE');
    like($out, qr/cannot take over: .* VEIL_UPGRADE makes no sense/, 'why');
}

# --- what dies on the way ---------------------------------------------------

my %ends_by = (
    'upgrade.preflight' => qr/refuses: its preflight was killed \(signal 9\)/,
    'upgrade.served' => qr/the new master \d+ was ended by signal 9, this one/,
);
for my $point ($fault ? map {"upgrade.$_"}
    qw/preflight exec adopt adopted keeper ready go serving served/ : ())
{
    $stop = load();
    $fault->arm($point, role => 'master');
    my $re = $ends_by{$point}
        // qr/this master goes on: the new master was ended by signal 9 while/;
    my $mark = $t->log_mark;
    $t->signal('USR2');
    ok($t->wait_for_log($re, from => $mark), "$point: it is noticed")
        or diag(substr $t->log, $mark);
    $fault->wait;
    settled($old, $was, $point);
    # Only what the one that died was about to answer may be lost.
    my $said = $stop->();
    my ($bad) = $said =~ /^(\d+) of/;
    is($bad, 0, "$point: no request failed ($said)");
}
is($m->ends, 0, 'the end');

done_testing;
