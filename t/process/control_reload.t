#!/usr/bin/perl

# Reloading over the control socket: what is answered when it works, when it
# does not, what a configuration would change, and what runs.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Ctl;
use Test::Veil::Fault;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/http ssl/);
my $fault = Test::Veil::Fault->new($t);
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert($_, ca => 'root', names => ['localhost']) for qw/site other/;
my $dir = $t->testdir;
my $yes = JSON::PP::true;

# Everything that is refused is in the log as well.

$t->allow_alerts(qr/\[emerg\]/, qr/exited on signal 9/, qr/still/);

sub conf {
    my (%o) = @_;
    $o{workers} //= 2;
    $o{$_} //= '' for qw/main http server/;
    return <<"EOC";
worker_processes $o{workers};
$o{main}
http {
    $o{http}
    server {
        listen %%PORT_80%%;
        server_name a.example;
        $o{server}
        location / { return 200 one; }
    }
}
EOC
}

$t->config(conf());
$t->run;
my $c = Test::Veil::Control->new($t);

# What runs

my $s = $c->data('status');
is($s->{state}, 'serving', 'status: the server serves');
is($s->{pid}, $t->pid, 'the master');
is($s->{generation}, 1, 'its generation');
like($s->{version}, qr/^\d+\.\d+\.\d+/, 'its version');
is($s->{config}, "$dir/veil.conf", 'its file');
is(scalar @{$s->{generations}}, 1, 'one generation');
is($s->{generations}[0]{workers}, 2, 'with two workers');
ok($s->{reload}{ok}, 'the first load worked');
is($s->{reload}{cause}, 'start', 'which was the start');
$s = $c->data('status', workers => $yes);
is_deeply([ sort map { $_->{pid} } @{$s->{generations}[0]{workers}} ],
    [ sort $t->worker_pids ], 'status of workers: their processes');

# How much there is to do

is("@{$s}{qw/connections accepted requests/}", '0 0 0', 'nobody was here');
is($s->{prefix}, "$dir/", 'its prefix');
my $open = $t->connect;
is($open->request(path => '/', keepalive => 1)->body, 'one', 'somebody is');
$t->get('/') for 1 .. 3;
ok($t->wait_for(sub {
    $s = $c->data('status', workers => $yes);
    "@{$s}{qw/connections accepted requests/}" eq '1 4 4';
}), 'status counts connections and requests')
    or diag("@{$s}{qw/connections accepted requests/}");
is($s->{generations}[0]{connections}, 1, 'those of a generation');
for my $what (qw/connections accepted requests/) {
    my $n = 0;
    $n += $_->{$what} for @{$s->{generations}[0]{workers}};
    is($n, $s->{$what}, "and of its workers: $what");
}
$open->close;

my $text = $c->data('config.dump')->{text};
like($text, qr/^# configuration file \Q$dir\E\/veil\.conf:\n/, 'config.dump');
like($text, qr/\n    server \{\n        listen \S+;\n/,
    'has the text as it was written');

# One that works

sub changes {
    my ($diff) = @_;
    return join "\n", map { join '|', map { $_ // '-' }
        @{$_}{qw/op path from to/} } @{$diff->{changes}};
}

$t->config(conf(workers => 3, server => 'root /srv;'));
my $r = $c->data('config.diff');
is($r->{summary}, 'directives: 1 added, 1 changed; workers: 3, were 2',
    'config.diff: what a reload would change');
is(changes($r),
    "changed||worker_processes 2|worker_processes 3\n"
    . 'added|http > server a.example|-|root /srv', 'and where');
$r = $c->ask('reload', { dry_run => $yes });
ok($r->{ok}, 'reload as a dry run');
is($r->{data}{diff}{summary},
    'directives: 1 added, 1 changed; workers: 3, were 2', 'says the same');
is($c->data('status')->{generation}, 1, 'and nothing was changed');

$r = $c->ask('reload');
ok($r->{ok}, 'reload');
is($r->{gen}, 2, 'the new generation serves');
is($r->{data}{generation}, 2, 'it is the one that was asked for');
is($r->{data}{previous}, 1, 'the one before is said');
is($r->{data}{diff}{summary},
    'directives: 1 added, 1 changed; workers: 3, were 2', 'what has changed');
like($r->{data}{elapsed_ms}, qr/^\d+$/, 'and how long it took');
is($r->{data}{warnings}, 0, 'without warnings');
$s = $c->data('status');
is($s->{generation}, 2, 'status says it too');
is($s->{reload}{cause}, 'verb', 'and how it came');
ok(!exists $s->{reload}{diff}{changes},
    'the texts of directives are not for readers');
ok($t->wait_for(sub { $t->worker_pids == 3 }), 'three workers');
like($c->data('config.dump')->{text}, qr/root \/srv;/, 'config.dump follows');

$r = $c->data('reload');
is($r->{diff}{summary}, 'nothing has changed', 'again: nothing has changed');
ok($r->{diff}{same}, 'and it says so');

# By a signal: the same result, in the log.

my $mark = $t->log_mark;
$t->config(conf(workers => 1));
ok($t->reload, 'HUP');
ok($t->wait_for_log(qr/reloaded: generation 4 follows 3 after \d+ ms, 0 warnings; directives: 1 removed, 1 changed; workers: 1, were 3$/m,
    from => $mark), 'is told in the same words');
is($c->data('status')->{reload}{cause}, 'signal', 'status knows it');

# Warnings

$t->config(conf(server => 'root /nowhere/at/all;'));
$r = $c->data('reload');
is($r->{warnings}, 0, 'a reload does not look for directories');
$t->config(conf(workers => 2, main => 'worker_rlimit_nofile 200;'));
$r = $c->data('reload');
is($r->{warnings}, 1, 'a warning does not stop a reload');
like($r->{diagnostics}[0]{message},
    qr/1024 worker_connections exceed the limit of 200 open files/,
    'and is in the answer');

# What is refused: the reason, and nothing changes.

$t->config(conf());
$c->data('reload', wait => 'drained');
my $serving = $c->data('status')->{generation};
my @workers = sort $t->worker_pids;

sub refused {
    my ($name, $code, $says, %o) = @_;
    my $dry = delete $o{dry} // $says;
    $t->config(conf(%o));
    my $r = $c->ask('reload', { dry_run => $yes });
    is($r->{err}{code}, $code, "$name: refused by a dry run");
    like($r->{err}{msg}, $dry, '... with the reason');
    is($c->code('config.diff'), $code, '... and by config.diff');
    $r = $c->ask('reload');
    ok(!$r->{ok}, "$name: refused");
    is($r->{err}{code}, $code, '... by its code');
    like($r->{err}{msg}, $says, '... with the reason');
    is($r->{gen}, $serving, '... the same generation serves');
    ok($t->wait_for(sub { join(' ', sort $t->worker_pids) eq "@workers" }),
        '... the same workers');
    is($t->get('/')->body, 'one', '... as before');
    my $last = $c->data('status')->{reload};
    is($last->{code}, $code, '... and status has it');
    return $r->{err}{details};
}

my $d = refused('a broken file', 'E_INVALID',
    qr/^unknown directive "lisen" in \S+:\d+:\d+ \(did you mean "listen"\?\)/,
    server => "lisen 1;\n        gzipp on;");
is($d->{errors}, 2, 'both mistakes are found');
is($d->{diagnostics}[0]{message}, 'unknown directive "lisen"', 'the first');
is($d->{diagnostics}[0]{file}, "$dir/veil.conf", 'its file');
is($d->{diagnostics}[0]{column}, 9, 'its column');
is($d->{diagnostics}[0]{hint}, 'did you mean "listen"?', 'a hint');
is_deeply($d->{diagnostics}[0]{excerpt},
    [ '        lisen 1;', '        ^' ], 'what stands there');
is($d->{diagnostics}[1]{line}, $d->{diagnostics}[0]{line} + 1, 'the second');

my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Listen => 1) or die;
$d = refused('a port in use', 'E_FAILED',
    qr/bind\(\) to 127\.0\.0\.1:\d+ failed \(98: .*\) in \S+:\d+$/,
    server => 'listen 127.0.0.1:' . $busy->sockport . ';');
is($d->{diagnostics}[0]{level}, 'emerg', 'the master says it');

my $ssl = "listen 127.0.0.1:%%PORTNUM_443%% ssl;\n";
my $key = 'ssl_certificate_key';
refused('a key that is not there', 'E_INVALID', qr/none\.key/,
    server => "$ssl ssl_certificate $dir/site.crt; $key $dir/none.key;");
SKIP: {
    skip 'root reads everything', 10 if $> == 0;
    chmod 0, "$dir/other.key";
    refused('an unreadable key', 'E_INVALID', qr/other\.key.*Permission/,
        server => "$ssl ssl_certificate $dir/other.crt; $key $dir/other.key;");
    chmod 0600, "$dir/other.key";
}
refused("another certificate's key", 'E_INVALID', qr/key/,
    server => "$ssl ssl_certificate $dir/site.crt; $key $dir/other.key;");
refused('a pid file that cannot be written', 'E_FAILED',
    qr/writing the pid file "\/proc\/none\/pid" failed/,
    dry => qr/the pid file "\/proc\/none\/pid" cannot be written/,
    main => 'pid /proc/none/pid;');
refused('a control socket that cannot be opened', 'E_FAILED',
    qr/none\/c\.sock" could not be opened/,
    dry => qr/the control socket "\S+none\/c\.sock" cannot be written/,
    main => "control_socket $dir/none/c.sock;");
refused('a control socket that is a directory', 'E_FAILED',
    qr/"\Q$dir\E" could not be opened: it is a directory/,
    dry => qr/"\Q$dir\E" cannot be opened: it is a directory/,
    main => "control_socket $dir;");
mkdir "$dir/taken";
refused('a socket file that is a directory', 'E_FAILED',
    qr/bind\(\) to unix:\S+\/taken failed \(98: .*\) in \S+:\d+$/,
    server => "listen unix:$dir/taken;");
refused('a socket file where there is no directory', 'E_FAILED',
    qr/bind\(\) to unix:\S+\/none\/s failed \(2: .*\) in \S+:\d+$/,
    server => "listen unix:$dir/none/s;");

# A dry run makes nothing, and nobody can connect to what it tries.

my $new_port = $t->port(83);
$t->config(conf(server => "listen 127.0.0.1:$new_port;"
    . " listen unix:$dir/new.s;"));
ok($c->ask('reload', { dry_run => $yes })->{ok}, 'new addresses, dry');
ok(!-e "$dir/new.s", '... make no file');
ok(!IO::Socket::INET->new("127.0.0.1:$new_port"), '... and do not listen');

# A zone that becomes somebody else's

my $up = 'upstream u { zone shared 64k; server 127.0.0.1:1; }';
$t->config(conf(http => $up));
$serving = $c->data('reload', wait => 'drained')->{generation};
@workers = sort $t->worker_pids;
refused('a zone that changes its owner', 'E_FAILED',
    qr/^zone "shared" was of "upstream", it is now of "tls sessions": a reload cannot change that, another name can be used in \S+:\d+$/,
    server => 'ssl_session_cache shared:shared:64k;');
SKIP: {
    my $have = 0;
    /^(?:MemTotal|SwapTotal):\s+(\d+) kB/ and $have += $1
        for split /\n/, do { local (@ARGV, $/) = '/proc/meminfo'; <> };
    skip 'this machine is large', 11 if $have >= 60 << 20;
    my $slip = qr/^zone "huge" would have 61440 MB, but this \S.* has \d+ MB of memory and swap: is the unit of its size right\? in \S+:\d+/;
    my @huge = (server => 'ssl_session_cache shared:huge:60g;');
    refused('a zone that is larger than the machine', 'E_INVALID', $slip,
        @huge);
    $r = $c->ask('reload', { dry_run => $yes });
    like($r->{err}{msg}, $slip, '... as a dry run, too');
}
$t->config(conf(http => $up =~ s/64k/128k/r));
$r = $c->data('reload');
is_deeply($r->{diff}{zones}{renewed}, ['shared'],
    'one of another size is made anew');
$t->config(conf(http => $up =~ s/64k; /128k; server 127.0.0.1:2; /r));
$r = $c->data('reload');
is_deeply($r->{diff}{upstreams}{added},
    [ { upstream => 'u', server => '127.0.0.1:2' } ],
    'servers of upstreams are told');

# Certificates and listeners

my $with = sub { conf(server => "$ssl ssl_certificate $dir/live.crt;"
    . " $key $dir/live.key;", @_) };
my $put = sub {
    my ($name) = @_;
    $t->write_file("live.$_", $t->read_file("$name.$_")) for qw/crt key/;
};
$put->('site');
$t->config($with->());
$r = $c->data('reload');
is_deeply($r->{diff}{listeners}{added}, [ '127.0.0.1:' . $t->port(443) ],
    'a listener that is added');
$put->('other');
$r = $c->data('reload');
is($r->{diff}{summary}, 'certificates: 2 renewed', 'a certificate is renewed');
is_deeply([ sort @{$r->{diff}{certificates}} ],
    [ "$dir/live.crt", "$dir/live.key" ], 'and its key');

# Another file

$t->config(conf());
$c->data('reload');
$t->write_file('second.conf',
    $t->read_file('veil.conf') =~ s/return 200 one/return 200 two/r);
$r = $c->ask('reload', config => 'second.conf');
is($r->{err}{code}, 'E_ARGUMENT', 'a file is named by its whole path');
is($c->data('config.diff', config => "$dir/second.conf")->{summary},
    'directives: 1 changed', 'config.diff of another file');
$r = $c->ask('config.diff', config => "$dir/none.conf");
is($r->{err}{code}, 'E_INVALID', '... which must be there');
like($r->{err}{msg}, qr/open\(\) "\S+none\.conf" failed \(2/, '... it says');
$r = $c->ask('reload', config => "$dir/none.conf");
is($r->{err}{code}, 'E_INVALID', 'reload with a file that is not there');
is($c->data('status')->{config}, "$dir/veil.conf", '... keeps the other');
$r = $c->data('reload', config => "$dir/second.conf");
is($t->get('/')->body, 'two', 'reload with another file');
is($c->data('status')->{config}, "$dir/second.conf", '... is said');
ok($t->reload, 'HUP after that');
is($t->get('/')->body, 'two', '... reads the same file');
$c->data('reload', config => "$dir/veil.conf");
is($t->get('/')->body, 'one', 'and back');

# Waiting for the end of those before

my $idle = $t->connect;
is($idle->get('/')->body, 'one', 'a kept connection');
$r = $c->ask('reload', { timeout => 60 }, wait => 'drained');
ok($r->{ok}, 'reload until the others are gone');
is(scalar @{$c->data('status')->{generations}}, 1, '... they are');

# One after the other; and what dies meanwhile

$serving = $c->data('status')->{generation};
my $other = Test::Veil::Control->new($t);
$fault->arm('keeper.ready', role => 'keeper', action => 'stop');
$c->send({ verb => 'reload', id => 1 });
my $stopped = $fault->wait;
ok($stopped, 'a load that takes long');
$r = $other->ask('reload');
is($r->{err}{code}, 'E_CONFLICT', 'another one is refused meanwhile');
is($other->data('status')->{generation}, $serving, 'others are answered');
my ($loading) = grep { $_->{state} eq 'loading' }
    @{$other->data('status')->{generations}};
is($loading->{keeper}, $stopped, 'status shows it');
kill 'CONT', $stopped;
ok($c->next->{ok}, 'it goes on');

$serving = $c->data('status')->{generation};
for my $point (qw/keeper.read keeper.ready/) {
    $fault->arm($point, role => 'keeper');
    $r = $c->ask('reload');
    is($r->{err}{code}, 'E_FAILED', "the keeper dies at $point: refused");
    is($r->{err}{msg}, 'its keeper process ended by signal 9', '... it says');
    is($r->{gen}, $serving, '... and the generation before serves');
    is($t->get('/')->body, 'one', '... as ever');
}
$r = $c->data('reload');
is($r->{previous}, $serving, 'the next one works');

# A client that does not wait does not stop it.

$other->send({ verb => 'reload' });
$other->close;
$serving = $r->{generation};
ok($t->wait_for(sub { $c->data('status')->{generation} == $serving + 1 }),
    'who goes away is not waited for');

# A worker that is stuck cannot say that it accepts no more.

$c->data('reload', wait => 'drained');
my ($stuck) = $t->worker_pids;
Test::Veil::Proc::stop($stuck);
my $begin = time;
ok($c->ask('reload')->{ok}, 'a reload past a stuck worker');
cmp_ok(time - $begin, '<', 30, '... waits for it a moment only');
is($t->get('/')->body, 'one', '... and the new ones serve');
kill 'CONT', $stuck;

# What people see of it

my $ctl = Test::Veil::Ctl->new($t);
$t->config(conf(server => 'lisen 1;'));
$r = $ctl->run('reload');
is($r->{status}, 1, 'veilctl reload: 1 when it is refused');
is($r->{out}, '', '... with nothing to read');
like($r->{err}, qr/\Aveilctl: unknown directive "lisen" in \S+veil\.conf:\d+:9 \(did you mean "listen"\?\) \(E_INVALID\)\n\S+veil\.conf:\d+:9: error: unknown directive "lisen" \(did you mean "listen"\?\)\n +lisen 1;\n +\^\n/,
    '... and the reason, with the place');
$t->config(conf(workers => 3));
$r = $ctl->run('config', 'diff');
is($r->{status}, 0, 'veilctl config diff');
is($r->{out}, "@ main\n- worker_processes 2\n+ worker_processes 3\n"
    . "~ 3 workers, 2 before\n"
    . "directives: 1 changed; workers: 3, were 2\n", '... as diff(1) has it');
$r = $ctl->run('reload', '--dry-run');
is($r->{status}, 0, 'veilctl reload, dry');
like($r->{out}, qr/^- worker_processes 2$/m, '... says what would change');
$r = $ctl->run('reload');
is($r->{status}, 0, 'veilctl reload: 0 when it serves');
my $now = $c->data('status')->{generation};
like($r->{out}, qr/^generation $now after \d/m, '... and which');
$r = $ctl->run('config', 'dump');
like($r->{out}, qr/\A# configuration file \S+:\n.*worker_processes 3;\n/,
    'veilctl config dump');
$t->write_file('overlay.ini', "[server nobody/127.0.0.1:1]\nstate = drain\n");
$t->config(conf(main => "control_overlay $dir/overlay.ini;"));
$c->data('reload');
my $plain = $ctl->run('config', 'dump')->{out};
$r = $ctl->run('config', 'dump', '--effective');
is(substr($r->{out}, 0, length $plain), $plain, '... --effective: the same');
like(substr($r->{out}, length $plain),
    qr/\Q$dir\E\/overlay\.ini.*\[server nobody\/127\.0\.0\.1:1\].*state ?= ?drain/s,
    '... and what was changed to stay');
$r = $ctl->run('status');
like($r->{out}, qr/\bserving\b/, 'veilctl status');

$t->stop;
done_testing;
