#!/usr/bin/perl

# What the service manager is told: NOTIFY_SOCKET, as sd_notify(3) has it.

use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::UNIX;
use Socket qw/SOCK_DGRAM/;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Masters;

my $t = Test::Veil->new;
my $m = Test::Veil::Masters->new($t);
my $dir = $t->testdir;

my $config = <<'EOC';
http {
    server {
        listen %%PORT_80%%;
        location / { return 200 "$pid"; }
    }
    # MORE
}
EOC

# told($socket, qr//): datagrams until one matches, as hashes.

sub told {
    my ($socket, $re) = @_;
    my $select = IO::Select->new($socket);
    my @all;
    while ($select->can_read($t->{timeout})) {
        $socket->recv(my $text, 4096);
        push @all, $text;
        last if $text =~ $re;
    }
    return @all;
}

sub manager {
    my ($path) = @_;
    my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
        or die "$path: $!\n";
    $t->env(NOTIFY_SOCKET => $path =~ s/^\0/@/r);
    return $s;
}

sub round {
    my ($name, $socket) = @_;
    $t->config($config);
    $t->run;
    my $pid = $t->pid;
    my @told = told($socket, qr/READY=1/);
    is(scalar @told, 1, "$name: one message at the start");
    like($told[0], qr/^MAINPID=$pid\nREADY=1\nSTATUS=Serving, veil/,
        "$name: it serves");
    return $pid;
}

# The unit in contrib/ relies on all of this.

my $unit = do {
    open my $f, '<', 'contrib/systemd/veil.service' or die "unit: $!\n";
    local $/;
    <$f>;
};
like($unit, qr/^Type=notify$/m, 'the unit waits for READY');
like($unit, qr/^NotifyAccess=main$/m, 'of the main process');
like($unit, qr/^ExecStart=\S+ -g "daemon off;"$/m, 'which systemd starts');

# A path, and a whole life.

my $socket = manager("$dir/notify");
my $pid = round('a path', $socket);
my $before = `cat /proc/uptime` =~ /^([\d.]+)/ ? $1 : 0;
$t->signal('HUP');
my @told = told($socket, qr/READY=1/);
like($told[0], qr/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=/, 'a reload');
my ($usec) = $told[0] =~ /USEC=(\d+)/;
cmp_ok($usec, '>', 1e6 * ($before - 1), 'its time');
like($told[1], qr/^READY=1\nSTATUS=Serving/, 'and its end');

$t->allow_alerts(qr/\[emerg\]/);
$t->config($config =~ s/# MORE/nonsense;/r);
$t->signal('HUP');
@told = told($socket, qr/READY=1/);
like($told[0], qr/^RELOADING=1\n/, 'one that is refused');
like($told[1], qr/^READY=1\nSTATUS=Serving the configuration before/,
    'and its end');
$t->config($config);

my $reply = Test::Veil::Control->new($t)->ask('upgrade');
ok($reply->{ok}, 'an upgrade') or diag(explain($reply));
my $new = $reply->{data}{new}{pid};
@told = told($socket, qr/READY=1/);
is("@told[0 .. $#told - 1]", "MAINPID=$new",
    'the old master says who is the main process');
like($told[-1], qr/^READY=1\nSTATUS=Serving/, 'and the new one that it is');
$t->wait_for(sub { "@{[ $m->masters ]}" eq $new });
kill 'QUIT', $new;
@told = told($socket, qr/STOPPING=1/);
like("@told", qr/^STOPPING=1\n/, 'the end');
ok($t->wait_for(sub { !$m->masters }), 'it ends');
$t->stop(signal => 0);
close $socket;

# An abstract name; and back to the one before.

$socket = manager("\0veil-test-$$");
$pid = round('an abstract name', $socket);
my $true = JSON::PP::true();
$reply = Test::Veil::Control->new($t)->ask('upgrade', keep_old => $true);
$new = $reply->{data}{new}{pid};
is((told($socket, qr/READY=1/))[0], "MAINPID=$new", 'an upgrade');
$reply = Test::Veil::Control->new($t)->ask('upgrade', rollback => $true);
ok($reply->{ok}, 'a rollback');
@told = told($socket, qr/MAINPID/);
is($told[-1], "MAINPID=$pid", 'the new one says who is the main process');
ok($t->wait_for(sub {
    "@{[ $m->masters ]}" eq $pid && $m->workers_of($pid) == 1
        && $t->worker_pids == 1;
}), 'which serves alone');
$t->stop;
close $socket;

# Nobody who listens, and nonsense, are no reason not to serve.

for my $path ("$dir/nobody", 'nonsense', '/' . 'x' x 200) {
    $t->env(NOTIFY_SOCKET => $path);
    $t->config($config);
    $t->run;
    like($t->get('/')->body, qr/^\d+$/, 'NOTIFY_SOCKET=' . substr $path, 0, 9);
    $t->stop;
}

done_testing;
