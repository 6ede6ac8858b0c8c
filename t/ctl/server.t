#!/usr/bin/perl

# veilctl and a server: which socket it finds, and what it says when there is
# none, or nobody at it; workers that do not answer.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Ctl;

my $t = Test::Veil->new->has('http');
$t->config(<<'EOC')->run;
worker_processes 2;
http { server { listen %%PORT_80%%; return 200; } }
EOC
my $ctl = Test::Veil::Ctl->new($t);
my $socket = $ctl->{socket};
my $conf = $t->testdir . '/nginx.conf';
($conf) = glob($t->testdir . '/*.conf') unless -f $conf;

# ----------------------------------------------------------------- the socket --

my $r = $ctl->run('ping');
is($r->{status}, 0, '-s names it') or diag($r->{err});
like($r->{out}, qr/\AWORKER  GENERATION  +PID\n(?: +\d +1 +\d+\n){2}\z/,
    'both workers');
$r = $ctl->run({ socket => undef, env => { VEIL_CONTROL => $socket } }, 'ping');
is($r->{status}, 0, 'the environment names it');
$r = $ctl->run({ socket => undef, env => { VEIL_CONTROL => "unix:$socket" } },
    'ping');
is($r->{status}, 0, 'as veil writes addresses');
$r = $ctl->run({ socket => undef }, '-c', $conf, 'ping');
is($r->{status}, 0, 'the configuration names its pid file, and so it')
    or diag($r->{err});
$r = $ctl->run({ socket => undef, env => { VEIL_CONTROL => '/nonexistent' } },
    '-c', $conf, 'ping');
is($r->{status}, 0, 'which counts more than the environment');

$ctl->run('log', 'reopen');
$r = $ctl->run('audit', '--n', '5');
like($r->{out}, qr/^\S+Z ok log\.reopen by \S+ uid \d+ pid \d+/m,
    'audit records are lines');
$ctl->run('log', 'level', 'debug', '--for', '1m');
$r = $ctl->run('audit', '--n', '5');
like($r->{out}, qr/^\S+Z ok log\.level .*; level "\w+" -> "debug"$/m,
    'which end in what was changed') or diag($r->{out});

my $dir = $ctl->dir;
sub conf {
    my ($name, $text) = @_;
    open my $f, '>', "$dir/$name" or die;
    print $f $text;
    close $f;
    return "$dir/$name";
}
$r = $ctl->run({ socket => undef }, '-c', conf('named.conf',
    "control_socket unix:$socket mode=0600;\nevents { broken\n"), 'ping');
is($r->{status}, 1, 'a file with mistakes names nothing');
like($r->{err}, qr{"\Q$dir\E/named\.conf" does not say which server is meant: .*"veilctl config check \Q$dir\E/named\.conf"},
    '  and that is said');
$r = $ctl->run({ socket => undef }, '-c', "$dir/missing.conf", 'ping');
is($r->{status}, 1, 'a file that is not there is not replaced by another');
is($r->{err}, "veilctl: the configuration \"$dir/missing.conf\" cannot be read "
    . "(2: No such file or directory) (E_CONNECT)\n", '  and that is said');
is($ctl->run({ socket => undef }, '-c',
    conf('inner.conf', "include $dir/more.conf;\n"), '-c',
    conf('more.conf', "control_socket $socket mode=0600;\n"), 'ping')
    ->{status}, 0, 'control_socket in it');
is($ctl->run({ socket => undef }, '-c', "$dir/inner.conf", 'ping')->{status}, 0,
    'or in what it includes');
is($ctl->run({ socket => undef, in => $dir }, '-c', 'inner.conf', 'ping')
    ->{status}, 0, 'named from where veilctl is called');
is($ctl->run({ socket => undef, in => $dir }, '-p', '/', '-c', 'inner.conf',
    'ping')->{status}, 0, 'whatever the prefix is');
symlink $socket, "$dir/veil.sock" or die;
is($ctl->run({ socket => undef }, '-c',
    conf('relative.conf', "control_socket veil.sock;\n"), '-p', $dir, 'ping')
    ->{status}, 0, 'relative to the prefix');
is($ctl->run({ socket => undef }, '-c', conf('pid.conf', "pid veil.pid;\n"),
    '-p', $dir, 'ping')->{status}, 0, 'beside the pid file');
$r = $ctl->run({ socket => undef }, '-c', conf('off.conf',
    "control_socket off;\n"), 'ping');
is($r->{status}, 1, 'control_socket off');
like($r->{err}, qr/"control_socket" is off in ".*off\.conf"/, 'is said');

# --------------------------------------------------------------------- nobody --

sub no_server {
    my ($path, $said, $name) = @_;
    my $r = $ctl->run({ socket => $path }, 'ping');
    is($r->{status}, 1, $name);
    like($r->{err}, $said, '  said');
    $r = $ctl->run({ socket => $path }, '--json', 'ping');
    like($r->{out}, qr/\A\{"code":"E_CONNECT",/, '  also as JSON');
    is($r->{err}, '', '  and nothing else then');
    return;
}

no_server("$dir/none", qr/there is no socket ".*none".*\n.*not running, or/,
    'no socket');
no_server("$dir/off.conf", qr/is no socket/, 'a file');
no_server('/' . 'x' x 200, qr/at most 107 bytes/, 'a long path');
IO::Socket::UNIX->new(Local => "$dir/dead", Listen => 1)->close;
no_server("$dir/dead", qr/nobody listens.*\n.*left over/, 'a socket left over');
SKIP: {
    skip 'only root may become somebody else', 8 if $> != 0;
    my $program = $ctl->{program};
    my $nobody = getpwnam('nobody') // 65534;
    chmod 0711, $dir;
    my $closed = IO::Socket::UNIX->new(Local => "$dir/closed", Listen => 1);
    chmod 0600, "$dir/closed";
    mkdir "$dir/private", 0700;
    for my $case ([ "$dir/closed", qr/belongs to root \(mode 0600\)/ ],
        [ "$dir/private/x", qr/may not look into the directory/ ])
    {
        my ($path, $said) = @$case;
        my $pid = open my $f, '-|' // die;
        if ($pid == 0) {
            open STDERR, '>&', \*STDOUT;
            ($(, $)) = (65534, '65534 65534');
            ($<, $>) = ($nobody, $nobody);
            { exec $program, '-s', $path, 'ping' };
            print "cannot be run: $!\n";
            POSIX::_exit(0);
        }
        my $text = do { local $/; <$f> };
        close $f;
        my $status = $? >> 8;
        SKIP: {
            skip 'nobody may not run the program', 4
                if $text =~ /cannot be run/;
            is($status, 1, "somebody else's: $path");
            like($text, $said, '  said');
            like($text, qr/sudo/, '  with what helps');
            unlike($text, qr/[^\n -~]/, '  readable');
        }
    }
}

# A server that accepts nothing: its queue is full.
{
    my $full = IO::Socket::UNIX->new(Local => "$dir/full", Listen => 1);
    my @waiting;
    for (1 .. 8) {
        my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM) or die;
        $s->blocking(0);
        $s->connect(IO::Socket::UNIX::pack_sockaddr_un("$dir/full"));
        push @waiting, $s;
    }
    my $r = $ctl->run({ socket => "$dir/full" }, '-t', '300ms', 'ping');
    is($r->{status}, 4, 'a full queue is a timeout');
    like($r->{err}, qr/takes no connection|did not answer in time/, '  said');
}

# ------------------------------------------------------------------ real verbs --

like($ctl->run('status')->{out}, qr/\Aveil \d\S*, serving for .*\nconnections \d+ of \d+ accepted, requests \d+\n\nGENERATION  STATE +WORKERS +CONNS /,
    'status');
like($ctl->run('status', '--workers')->{out}, qr/^WORKER  GENERATION +PID  STATE +UPTIME +CONNS +ACCEPTED +REQS\n +0 +1 +\d+  serving +\S+ +\d+ +\d+ +\d+$/m,
    'with its workers');
$ctl->run('log', 'reopen');
$r = $ctl->run('events', '-n', '1', '--count', '1');
is($r->{status}, 0, 'events: so many');
like($r->{out}, qr/\A\S+Z \S+.*\n\z/, '  a line, and no more');
is($ctl->run('-j', 'events', '--n=2', '--count=2')->{out} =~ tr/\n//, 2,
    '  also as JSON');
like($ctl->run('worker', 'list')->{out},
    qr/\AWORKER  GENERATION +PID  STATE .*\n +0 +1 +\d+ +serving /, 'workers');
like($ctl->run('metrics', 'veil_connections_*')->{out},
    qr/\A(?:veil_connections_\w+ +\d+\n)+\z/, 'metrics, as a table');
like($ctl->run('--json', 'metrics', 'veil_connections_*')->{out},
    qr/\A\{"veil_connections_.*\}\n\z/, 'or as JSON');
like($ctl->run('config', 'dump')->{out}, qr/worker_processes 2;$/m,
    'the configuration');
$t->get('/');
$r = $ctl->run('top', '--snapshot', '200ms');
is($r->{status}, 0, 'top');
like($r->{out}, qr/\Aveil \d\S*  generation 1  up /, '  of this server');
like($r->{out}, qr/^ +0 +1 +\d+ +serving +[\d.]+ +\d+ /m, '  and its workers');
$r = $ctl->run('reload', '--dry-run');
is($r->{status}, 0, 'a reload that is not done');
like($r->{err}, qr/dry run/, '  is said');
$r = $ctl->run('reload', '--if-gen', 7);
is("$r->{status} $r->{err}", "1 veilctl: generation 1 serves, not 7 (E_CONFLICT)\n",
    'a reload of another generation');
$r = $ctl->run('reload');
is($r->{status}, 0, 'a reload') or diag($r->{err});
like($r->{out}, qr/^generation 2 after /m, '  says when it is done');

# ------------------------------------------------------------------- mistakes --

for my $case (
    [ [], 'what shall be done' ],
    [ ['pong'], 'did you mean "ping"' ],
    [ ['ping', 'x'], '"ping" takes no "x"' ],
    [ ['ping', 'x=1'], 'no argument "x"' ],
    [ ['ping', '--dry-run'], 'it changes nothing' ],
    [ ['cert', 'list', '--expires_on=1d'], 'did you mean "expires-in"?' ],
    [ ['cert', 'list', '--expires_in=x'], '"expires-in" takes a time' ],
    [ ['cert', 'list', '--expires_in=1d', 'expires-in=1d'],
        '"expires-in" is given twice' ],
    [ ['server', 'set', 'be/a', 'max-conns=x'], '"max_conns" takes a whole number' ],
) {
    my ($args, $said) = @$case;
    my $r = $ctl->run({ socket => "$dir/none" }, @$args);
    is($r->{status}, 2, "a mistake: @$args");
    like($r->{err}, qr/\Q$said\E/, '  said');
    is($r->{out}, '', '  and nothing answered');
}

# ----------------------------------------------------------- workers, the master --

ok($ctl->wait_for(sub { $ctl->run('status')->{out} !~ /draining/ }),
    'the first generation ends');
my ($stuck) = $ctl->run('ping')->{out} =~ /^ +\d +2 +(\d+)$/m;
kill 'STOP', $stuck;
$r = $ctl->until_status(3, 'ping');
is($r->{status}, 3, 'a worker that does not answer');
like($r->{out}, qr/\AWORKER.*\n +\d +2 +\d+\n\z/, 'the other did');
like($r->{err}, qr/not every worker did it:\n  worker \d of generation 2: .*E_TIMEOUT/,
    'which one is said');
$r = $ctl->until_status(0, 'top', '--snapshot', '100ms');
is($r->{status}, 0, 'top has no need of it') or diag($r->{err});
like($r->{out}, qr/\Aveil .*  not every worker answered in time\n/,
    '  and says that it is missing');
like($r->{out}, qr/^ +\d +2 +$stuck +stopped /m, '  and which one');
like($ctl->run('worker', 'list')->{out}, qr/^ +\d +2 +$stuck +stopped /m,
    'so says the list of workers');
like($ctl->run('status', '--workers')->{out}, qr/^ +\d +2 +$stuck +stopped /m,
    'and that of the status');
kill 'CONT', $stuck;
is($ctl->run('-t', '30s', 'ping')->{status}, 0, 'it goes on');

kill 'STOP', $t->pid;
$r = $ctl->run('-t', '300ms', 'ping');
kill 'CONT', $t->pid;
is($r->{status}, 4, 'a master that does not answer');
like($r->{err}, qr/did not answer in time/, 'is said');

done_testing();
