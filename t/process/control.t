#!/usr/bin/perl

# The control socket: who may connect, what is read, who is asked, and that a
# process that is stuck costs nobody more than the deadline.

use strict;
use warnings;
use lib 't/lib';
use Fcntl ':mode';
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes qw/time sleep/;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Guard;

my $t = Test::Veil->new->has('http');
$t->allow_alerts(qr/exited on signal 9/, qr/could not be opened/);

sub conf {
    my ($more) = @_;
    $t->config("worker_processes 2;\n"
        . "error_log %%TESTDIR%%/error.log notice;\n$more\n"
        . "http { access_log off; server { listen %%PORT_80%%; return 200; } }\n");
}

conf('');
$t->run;
my $path = Test::Veil::Control::socket_path($t);
ok($path, 'there is one beside the pid file');
is(sprintf('%04o', S_IMODE((stat $path)[2])), '0600', 'for its owner alone');
is(sprintf('%04o', S_IMODE((stat "$path.lock")[2])), '0600', 'and its lock');

# Calls

my $c = Test::Veil::Control->new($t);
my $r = $c->ask('ping');
ok($r->{ok}, 'ping');
is($r->{gen}, 1, 'the generation is said');
is(scalar @{$r->{data}}, 2, 'both workers answered');
is_deeply([ sort map { $_->{data}{pid} } @{$r->{data}} ],
    [ sort $t->worker_pids ], 'it was they');
my %verbs = map { $_->{verb} => $_ } @{$c->data('verbs')};
is($verbs{ping}{role}, 'read', 'verbs are described');

# Several at once are answered each with its id.

$c->send({ id => $_, verb => $_ % 2 ? 'ping' : 'verbs' }) for 11 .. 18;
my %seen = map { my $l = $c->next; ($l->{id} => $l->{ok}) } 11 .. 18;
is_deeply([ sort keys %seen ], [ 11 .. 18 ], 'eight at once');

# Wrong ones

for my $case (
    [ '{"verb"',                          'E_SYNTAX',   'no JSON' ],
    [ '[]',                               'E_SYNTAX',   'no object' ],
    [ '{}',                               'E_SYNTAX',   'no verb' ],
    [ '{"verb":1}',                       'E_SYNTAX',   'a number for a verb' ],
    [ '{"verb":"ping","verb":"ping"}',    'E_SYNTAX',   'a member twice' ],
    [ '{"verb":"ping","v":2}',            'E_SYNTAX',   'another version' ],
    [ '{"verb":"ping","id":[]}',          'E_SYNTAX',   'an odd id' ],
    [ '{"verb":"ping","id":"' . 'x' x 65 . '"}', 'E_SYNTAX', 'a long id' ],
    [ '{"verb":"ping","more":1}',         'E_SYNTAX',   'an unknown member' ],
    [ '{"verb":"ping","args":[]}',        'E_SYNTAX',   'args that are no object' ],
    [ '{"verb":"ping","timeout":0}',      'E_SYNTAX',   'no time at all' ],
    [ '{"verb":"ping","timeout":1e9}',    'E_SYNTAX',   'much time' ],
    [ "{\"verb\":\"ping\xff\"}",          'E_SYNTAX',   'no UTF-8' ],
    [ '{"verb":"pong"}',                  'E_VERB',     'an unknown verb' ],
    [ '{"verb":"ping","args":{"a":1}}',   'E_ARGUMENT', 'an unknown argument' ],
    [ '{"verb":"ping","dry_run":true}',   'E_ARGUMENT', 'dry_run of nothing' ],
    [ '{"verb":"ping","persist":true}',   'E_ARGUMENT', 'persist of nothing' ],
) {
    my ($line, $code, $what) = @$case;
    $c->put("$line\n");
    my $answer = $c->next;
    is($answer->{err}{code}, $code, $what);
    ok(length $answer->{err}{msg}, "  $answer->{err}{msg}");
}
$c->put("\n\r\n");
ok($c->ask('ping')->{ok}, 'empty lines are nothing, and the client is served');
like($c->ask('pings')->{err}{hint}, qr/"ping"/, 'the nearest verb is named');

# A line in pieces, and one without an end before the half-close.

$c->put($_) for split //, qq({"verb":"ping"}\n);
ok($c->next->{ok}, 'byte by byte');
$c->put('{"verb":"ping"}');
shutdown $c->{socket}, 1;
ok($c->next->{ok}, 'a last line without its end');
ok($c->eof, 'then it ends');

# Limits

$c = Test::Veil::Control->new($t);
my $mark = $t->log_mark;
{
    my $long = '{"verb":"' . 'x' x (1 << 20);
    my $sent = 0;
    local $SIG{PIPE} = 'IGNORE';
    while ($sent < length $long) {
        $sent += syswrite($c->{socket}, $long, 65536, $sent) // last;
    }
    is($c->next->{err}{code}, 'E_SYNTAX', 'a line of more than 1 MiB');
    ok($c->eof, 'ends the connection');
}
$c = Test::Veil::Control->new($t);
for my $case ([ 0, undef, 'a line of 1 MiB' ],
    [ 1, qr/longer than 1 MiB/, 'one byte more' ]) {
    my ($more, $wrong, $what) = @$case;
    my $line = '{"verb":"verbs"' . ' ' x ((1 << 20) + $more - 16) . '}';
    # Whatever is read together is a line for itself.
    my $begin = qq({"verb":"verbs"}\n);
    local $SIG{PIPE} = 'IGNORE';
    my $all = "$begin$line\n";
    my $sent = 0;
    while ($sent < length $all) {
        $sent += syswrite($c->{socket}, $all, 65536, $sent) // last;
    }
    ok($c->next->{ok}, "a line before $what");
    my $r = $c->next;
    $wrong ? like($r->{err}{msg}, $wrong, "$what is too much")
        : ok($r->{ok}, "$what is none too many");
}
ok($c->eof, 'which ends the connection');
my @many = map { Test::Veil::Control->new($t) } 1 .. 32;
ok($_->ask('ping')->{ok}, 'one of 32 clients') for $many[0], $many[31];
my $over = Test::Veil::Control->new($t);
is($over->next->{err}{code}, 'E_BUSY', 'the 33rd');
ok($over->eof, 'is not kept');
$_->close for @many;
ok($t->wait_for(sub {
    $c = Test::Veil::Control->new($t);
    my $reply = $c->ask('ping');
    $reply->{ok};
}), 'when they have gone there is room');

# One that asks and does not read is not waited for.

my $deaf = Test::Veil::Control->new($t);
{
    my $bytes = 0;
    local $SIG{PIPE} = 'IGNORE';
    $deaf->{socket}->blocking(0);
    my $request = qq({"verb":"verbs"}\n) x 100;
    my $end = time + 20 * Test::Veil::HTTP1::patience();
    while (time < $end) {
        my $n = syswrite $deaf->{socket}, $request;
        last if !defined $n && !$!{EAGAIN};
        $bytes += $n // 0;
        sleep 0.01 if !defined $n;
    }
    ok(time < $end, "a client that does not read is disconnected ($bytes bytes)");
}
ok($t->wait_for_log(qr/\[warn\].*process $$ of user $> is disconnected from the control socket: it has not read \d{7} bytes/),
    'which the log says');
ok($c->ask('ping')->{ok}, 'others are served');

# A worker that is stuck

my ($stuck, $well) = $t->worker_pids;
Test::Veil::Proc::stop($stuck);
$r = $c->within(sub { $_[0]{partial} }, 'ping');
ok($r->{ok} && $r->{partial}, 'with a stopped worker the answer is partial');
is($r->{workers}[0]{pid}, $stuck, 'it says who');
is($r->{workers}[0]{err}{code}, 'E_TIMEOUT', 'and why');
# By another clock.
cmp_ok($c->{took}, '>=', $c->{timeout} - 0.002, 'after the deadline');
is($r->{data}[0]{pid}, $well, 'the other one answered');
my $other = Test::Veil::Control->new($t);
$other->send({ id => 1, verb => 'ping', timeout => 3000 });
# Who has connected later is read later.
my $later = Test::Veil::Control->new($t);
ok($later->within(sub { $_[0]{partial} }, 'ping')->{partial},
    'one waits, another does not');
ok($c->ask('verbs')->{ok}, 'nor does who asks others');
kill 'KILL', $stuck;
$r = $other->next;
is($r->{workers}[0]{err}{code}, 'E_GONE',
    'one that dies is not waited for until the deadline');

# Reload: connections stay

ok($t->reload, 'reload');
$r = $c->ask('ping');
is($r->{gen}, 2, 'the same client asks the new generation');

# A second server cannot take the socket.

{
    my $dir = $t->testdir;
    my ($pid_file) = glob "$dir/*.pid $dir/*/*.pid";
    $t->write_file('second.conf', "daemon off; worker_processes 1;\n"
        . "pid $dir/second.pid; error_log $dir/second.log notice;\n"
        . "control_socket $path;\nevents {}\n");
    my ($status, $out) = $t->command('-c', "$dir/second.conf");
    isnt($status, 0, 'a second server does not start');
    like($out . $t->read_file('second.log'),
        qr/could not be opened: it is in use/, 'and says why');
    ok($c->ask('ping')->{ok}, 'the first one has its socket');
    ok(-S $path, 'which is there');
    ok(Test::Veil::Control->new($t)->ask('ping')->{ok}, 'for new clients too');
}

# Another place, a wider mode; then off.

conf('control_socket %%TESTDIR%%/other.ctl mode=0660;');
ok($t->reload, 'another path');
my $new = $t->testdir . '/other.ctl';
is(sprintf('%04o', S_IMODE((stat $new)[2])), '0660', 'with another mode');
ok(!-e $path, 'the former is gone');
ok($c->ask('ping')->{ok}, 'who was connected still is');
ok(Test::Veil::Control->new(path => $new)->ask('ping')->{ok}, 'new ones too');
conf('control_socket off;');
ok($t->reload, 'off');
ok(!-e $new && !-e "$new.lock", 'nothing is left');

# What is listened on is not taken away, neither by a path nor by default.

{
    my $web = $t->testdir . '/web';
    $t->write_file('third.conf', "daemon off; worker_processes 1;\n"
        . "pid $web.pid; error_log $web.log notice;\n"
        . "http { access_log off; server { listen unix:$web.sock; return 200; } }\n");
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp 0, 0;
        Test::Veil::Guard::in_child();
        open STDERR, '>', "$web.err";
        exec $t->{binary}, '-p', $t->testdir, '-c', $t->testdir . '/third.conf';
    }
    setpgrp $pid, $pid;
    Test::Veil::Guard::add($pid);
    ok($t->wait_for(sub { ($t->log('web.log') // '') =~ /generation 1 serves/ }),
        'a server that listens where its control socket would be');
    like($t->read_file('web.err'), qr/\[warn\].* could not be opened: it is in use/,
        'warns');
    my $s = IO::Socket::UNIX->new(Peer => "$web.sock");
    print $s "GET / HTTP/1.0\r\n\r\n" if $s;
    like($s ? join('', <$s>) : '', qr/^HTTP\/1.1 200/, 'and serves there');
    kill 'QUIT', $pid;
    waitpid $pid, 0;
    Test::Veil::Guard::remove($pid);
    is($?, 0, 'to its end');
}

# One that cannot be opened refuses the generation.

conf('control_socket %%TESTDIR%%/missing/veil.sock;');
$mark = $t->log_mark;
$t->signal('HUP');
ok($t->wait_for_log(qr/missing\/veil.sock" could not be opened/, from => $mark),
    'a directory that is missing');
ok($t->wait_for_log(qr/generation \d+ goes on serving/, from => $mark),
    'leaves the generation before it');
conf('');
ok($t->reload, 'and the next reload works');

# Roles: somebody else is nobody until a rule says so.

SKIP: {
    my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ];
    skip 'only root can become somebody else', 6 if $> != 0 || !defined $uid;
    chmod 0755, $t->testdir;
    for my $case (
        [ 'control_socket %%TESTDIR%%/r.sock mode=0666;', 'E_ROLE' ],
        [ 'control_socket %%TESTDIR%%/r.sock mode=0666;'
            . ' control_allow read nobody;', '' ],
        [ "control_socket %%TESTDIR%%/r.sock mode=0666;"
            . " control_allow read group:$gid;", '' ],
    ) {
        conf($case->[0]);
        ok($t->reload, "reload: $case->[0]");
        my $child = open(my $out, '-|') // die "fork: $!\n";
        if (!$child) {
            $( = $) = "$gid $gid";
            $< = $> = $uid;
            my $n = Test::Veil::Control->new(path => $t->testdir . '/r.sock');
            print $n ? $n->code('ping') : "connect: $!";
            close STDOUT;
            require POSIX;
            POSIX::_exit(0);
        }
        my $code = do { local $/; <$out> };
        close $out;
        is($code // '', $case->[1], '  as nobody');
    }
}

# The end: a request that is under way is finished, then the caller is told.

conf('');
$t->reload;
$c = Test::Veil::Control->new($t);
is($c->code('stop', how => 'hard', deadline => 3), 'E_ARGUMENT',
    'stop hard with a deadline');
is($c->code('stop', how => 'hardly'), 'E_ARGUMENT', 'stop in another way');
is($c->code('stop', { if_gen => 1 }), 'E_CONFLICT',
    'stop of another generation');
$r = $c->ask('stop', { dry_run => JSON::PP::true });
ok($r->{ok} && $r->{dry_run}, 'stop --dry-run');
sub client {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(80));
}
my $open = client();
print $open "GET / HTTP/1.1\r\n";
ok($t->wait_for(sub {
    grep { $_->{state} eq 'head' } @{ $c->data('conn.list')->{connections} };
}), 'a request is under way');
$c->send({ id => 'stop', verb => 'stop', args => { deadline => '60s' } });
my $line = $c->next;
cmp_ok($line->{progress}{processes}, '>=', 2, 'stop: progress is said');
ok($t->wait_for(sub { !client() }), 'new clients are refused');
print $open "Host: a\r\n\r\n";
like(join('', <$open>) // '', qr/^HTTP\/1.1 200/, 'what was under way is answered');
$line = $c->next while $line && !exists $line->{ok};
ok($line->{ok}, 'then the answer comes');
ok($c->eof, 'and the end');
$t->stop;
ok(!-e $path && !-e "$path.lock", 'nothing is left at the end');
