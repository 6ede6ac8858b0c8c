#!/usr/bin/perl

# HUP: a new generation takes over, the old one finishes what it has begun,
# and a configuration that is wrong changes nothing.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Guard;
use Test::Veil::Proc;

my $t = Test::Veil->new;
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $u = $t->upstream(a => gates => [ 'one', 'two' ], handler => sub {
    my ($conn, $req) = @_;
    my ($gate) = $req->{path} =~ m{/(\w+)};
    $conn->note("at $gate");
    $conn->wait($gate);
    $conn->reply(body => $gate);
});
my $config = <<'EOC';
worker_processes 2;
http {
    server {
        listen %%PORT_80%%;
        location /version { return 200 "VERSION"; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
    }
    # MORE
}
EOC

# write_version($n, $more): the configuration that a reload will find.

sub write_version {
    my ($n, $more) = @_;
    my $text = $config =~ s/VERSION/$n/r;
    $text =~ s/# MORE/$more/ if defined $more;
    $t->config($text);
}

sub version { return $t->get('/version')->body }

write_version(1);
$t->run;
is(version(), 1, 'the first configuration');
my $master = $t->pid;

# Requests on both sides of it.

my $old = $t->connect;
$old->send_request(path => '/u/one');
$u->wait_note(qr/at one/);
my $idle = $t->connect;
is($idle->get('/version')->body, 1, 'a kept connection');

my $reloaded = $t->log_mark;
write_version(2);
ok($t->reload, 'reload');
is(version(), 2, 'the second configuration') for 1 .. 10;
ok($idle->eof(5), 'idle connections of the old one are closed');
ok($old->silent(0.05), 'a request under way is not');
$u->release('one');
is($old->read_response->body, 'one', 'it is finished');
ok($t->wait_for(sub { $t->worker_pids == 2 }), 'then the old workers go');
ok(kill(0, $master), 'the master stays');
ok($t->wait_for_log(
    qr/\[notice\].*reloaded: generation 2 follows 1 after \d+ ms, 0 warnings/,
    from => $reloaded), 'one line says what became of it') if !$t->is_nginx;
ok($t->wait_for_log(qr/generation 1 has ended/, from => $reloaded),
    'and another when the old one has ended') if !$t->is_nginx;
is($t->read_file('veil.pid'), "$master\n", 'and its pid file');

# What is wrong is refused, and nothing changes.

my @workers = sort $t->worker_pids;
my $place = qr/in \S+\/veil\.conf/;
for my $case (
    [ 'an unknown directive', 'nonsense on;',
        qr/unknown directive "nonsense" $place:8:5$/ ],
    [ 'a block that does not end', 'server {',
        qr/unexpected end of file, expecting "}" $place:10:1 \(it seems that /
    ],
    [ 'a file that is not there', 'include none/such.conf;',
        qr/open\(\) "\S+\/none\/such\.conf" failed \(2: .*\) $place:8:13$/ ],
    )
{
    my ($name, $more, $says) = @$case;
    my $mark = $t->log_mark;
    # The message, the line it is about, and a mark below that.
    my $emerg = qr/\[emerg\] \d+#\d+:/;
    $t->allow_alerts(qr/$emerg $says/, qr/$emerg {5,}(?:\Q$more\E|\^)$/);
    write_version(3, $more);
    ok(!$t->reload(timeout => 5), "$name is refused");
    ok($t->wait_for_log(
        qr/was not taken \(E_INVALID\), generation 2 goes on serving: $says/m,
        from => $mark), '... the result has the reason') if !$t->is_nginx;
    my @said = grep { /$emerg $says/ } split /\n/, substr $t->log, $mark;
    is(scalar @said, 1, '... and one line has it with the place');
    is(version(), 2, '... and the old configuration serves');
    is(join(' ', sort $t->worker_pids), "@workers",
        '... with the same workers');
}

# A port that is added, and taken away.

my $second = $t->port(81);
write_version(4, "server { listen %%PORT_81%%; return 200 second; }");
ok($t->reload, 'a port is added');
is(version(), 4, 'the first goes on');
is($t->get('/', port => 81)->body, 'second', 'the second serves');
write_version(5);
ok($t->reload, 'and taken away');
is(version(), 5, 'the first goes on');
ok($t->wait_for(sub {
    !eval { Test::Veil::HTTP1->new(port => $second) };
}), 'the second is closed');

# Clients that do not stop asking notice nothing.

my $client = Test::Veil::Guard::child(sub {
    my ($n, $bad, $over) = (0, 0, 0);
    $SIG{TERM} = sub { $over = 1 };
    until ($over && $n) {
        my $r = $t->request(path => '/version', quiet => 1);
        $n++;
        $bad++ if $r->body !~ /^\d+$/;
    }
    return $bad;
});
for my $n (6 .. 10) {
    write_version($n);
    ok($t->reload, "reload $n under load");
    is(version(), $n, "configuration $n");
}
kill 'TERM', $client;
is(Test::Veil::Guard::reap($client), 0, 'no request was lost');

# HUP in a row: the last configuration wins.

for my $n (11 .. 15) {
    write_version($n);
    $t->signal('HUP');
}
ok($t->wait_for(sub { version() == 15 }), 'the last of many');
ok($t->wait_for(sub { $t->worker_pids == 2 }), 'and no worker too many');

# HUP to a worker must be harmless, as "pkill -HUP veil" sends it to all.

if (!$t->is_nginx) {
    $t->signal('HUP', $_) for $t->worker_pids;
    is(version(), 15, 'HUP to the workers');
}

# A worker says that it ends when it draws no clients any more, not before.

if ($fault) {
    $fault->arm('worker.draining', action => 'stop');
    $t->signal('HUP');
    my $pid = $fault->wait;
    ok($pid, 'a worker is to end, and accepts still');
    is(scalar(grep { $_->{pid} == $pid && $_->{ending} }
        Test::Veil::Proc::workers($t->pid)), 0, 'it does not say otherwise');
    $t->signal('CONT', $pid);
    ok($t->wait_for(sub { !kill 0, $pid }), 'it ends');
}

# By what others find it: all of it changes, or nothing.

if (!$t->is_nginx) {
    my $dir = $t->testdir;
    $t->allow_alerts(qr/"\/proc\/none\//);
    for my $case ([ "$dir/other.pid", '/proc/none/sock', 'a socket' ],
        [ '/proc/none/pid', "$dir/other.sock", 'a pid file' ])
    {
        my ($file, $socket, $what) = @$case;
        my $mark = $t->log_mark;
        $t->config("pid $file;\ncontrol_socket $socket;\n" . $config);
        $t->signal('HUP');
        ok($t->wait_for_log(qr/was not taken/, from => $mark),
            "$what that cannot be made");
        is($t->read_file('veil.pid'), "$master\n", '... the pid file stays');
        ok(!-e "$dir/other.$_", "... there is no other $_") for qw/pid sock/;
        ok(Test::Veil::Control->new(path => "$dir/veil.sock")->ask('ping')->{ok},
            '... and so does the socket');
    }
}

done_testing;
