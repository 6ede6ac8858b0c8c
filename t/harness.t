#!/usr/bin/perl

# Tests of the test harness itself: against Debian's nginx, which is known to
# behave, and against a small server written to misbehave in every way that
# the harness promises to notice.

use strict;
use warnings;
# Its own waits are judged here, on purpose short; this file takes its time.
BEGIN { @ENV{qw/TEST_VEIL_PATIENCE TEST_VEIL_TIMEOUT/} = (1, 240) }

use lib 't/lib';

use Test::Veil;

# ----------------------------------------------------------- a faulty server --
# It understands -V, -m, -p, -c, -e, forks one worker, and does what FAKE says.

my $fake_server = <<'EOP';
#!/usr/bin/perl
use strict; use warnings;
use IO::Socket::INET; use POSIX ();
if ("@ARGV" eq '-V') {
    print "veil 0\nconfigure arguments: --with-debug --without-gzip\n";
    exit 0;
}
if ("@ARGV" eq '-m') { print "modules: static, limit_req, proxy\n"; exit 0 }
if ("@ARGV" eq '-v') { print "veil version: veil/0\n"; exit 0 }
my %o = @ARGV;
die "usage\n" unless $o{-c};
my $fake = $ENV{FAKE} // '';
open my $c, '<', $o{-c} or die; my $conf = join '', <$c>;
my ($port) = $conf =~ /listen 127\.0\.0\.1:(\d+)/;
my ($pidfile) = $conf =~ /pid (\S+);/;
open my $log, '>>', $o{-e} or die; $log->autoflush;
sub say_log {
    my ($level, $text) = @_;
    syswrite $log, "2026/01/01 00:00:00 [$level] $$#$$: $text\n";
}
if ($fake eq 'nostart') { print STDERR "no such directive\n"; exit 1 }
my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
    Listen => 16, ReuseAddr => 1) or die "bind: $!";
my $stop = 0;
$SIG{QUIT} = sub { $stop = 1 };
my $worker = fork;
if (!$worker) {
    $0 = 'veil: worker process';
    $SIG{QUIT} = 'IGNORE' if $fake eq 'orphan' || $fake eq 'hang';
    say_log('alert', 'cannot do it') if $fake eq 'alert';
    print STDERR "x.c:1:2: runtime error: shift exponent\n"
        if $fake eq 'ubsan';
    # A signal that comes just before accept() does not end it.
    $l->timeout(0.1);
    while (!$stop) {
        my $s = $l->accept or next;
        my $in = '';
        sysread $s, $in, 4096, length $in until $in =~ /\r\n\r\n/;
        syswrite $s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            . "Connection: close\r\n\r\nok";
        close $s;
    }
    say_log('notice', 'exit: ops=' . ($fake eq 'leak' ? 1 : 0)
        . ' pools=0 fds=0') unless $fake eq 'silent';
    POSIX::_exit(0);
}
my $done = 0;
$SIG{QUIT} = sub { $done = 1; kill 'QUIT', $worker };
open my $p, '>', "$pidfile.new"; print $p "$$\n"; close $p;
rename "$pidfile.new", $pidfile;
if ($fake eq 'crash') { kill 'ABRT', $$ }
select undef, undef, undef, 1 until $done;
if ($fake ne 'orphan') { 1 until waitpid($worker, 0) == $worker }
unlink $pidfile;
exit($fake eq 'status' ? 3 : 0);
EOP

my $dir = File::Temp::tempdir(CLEANUP => 1);
open my $f, '>', "$dir/veil" or die "$dir: $!";
print $f $fake_server;
close $f;
chmod 0755, "$dir/veil";

# script($fake, $text): runs a test file made of $text on the faulty server.

my $prologue = <<'EOP';
use strict; use warnings; use lib 't/lib'; use Test::Veil;
my $t = Test::Veil->new(timeout => ($ENV{FAKE} || q()) =~ /hang/ ? 0.7 : 10);
$t->config('http { server { listen %%PORT_80%%; } }');
EOP

sub script {
    my ($fake, $text, %env) = @_;
    open my $s, '>', "$dir/x.t" or die;
    print $s $prologue, $text;
    close $s;
    local @ENV{qw/FAKE TEST_VEIL_BINARY VEIL_EXPECT_FEATURES/}
        = ($fake, "$dir/veil", '');
    local $ENV{TEST_VEIL_TIMEOUT} = 60;
    local @ENV{ keys %env } = values %env;
    my $out = `$^X $dir/x.t 2>&1`;
    return "status $?\n$out";
}

my $simple = <<'EOP';
$t->plan(1)->run;
like($t->get('/'), qr/ 200 /, 'answered');
EOP

like(script('', $simple), qr/\Astatus 0\nok 1 - answered\n.*^1\.\.6$/ms,
    'a good server passes, and the harness counts its own tests');
unlike(script('', $simple), qr/^not ok/m, 'without any failure');

for my $case (
    [ alert  => 'no alert in the log',  qr/cannot do it/ ],
    [ ubsan  => 'no sanitizer report',  qr/shift exponent/ ],
    [ leak   => 'nothing left open',    qr/ops=1 pools=0/ ],
    [ silent => 'nothing left open',    qr/left without its last line/ ],
    [ status => 'ends cleanly',         qr/ended with status 3/ ],
    [ hang   => 'ends cleanly',         qr/did not end in time/ ],
    [ orphan => 'no process left over', qr/veil: worker process/ ],
    )
{
    my ($fake, $name, $why) = @$case;
    my $out = script($fake, $simple);
    like($out, qr/\Astatus [1-9].*^not ok \d+ - veil: $name\n/ms,
        "$fake is noticed");
    like($out, $why, "$fake is explained");
}

like(script('crash', '$t->plan(1)->run; '
            . '$t->wait_for(sub { !kill 0, $t->pid }, 1); pass("x");'),
    qr/not ok \d+ - veil: ends cleanly\n.*signal 6/s, 'a crash is noticed');
like(script('nostart', $simple),
    qr/\Astatus [1-9].*cannot start .*status 1.*no such directive/s,
    'a server that does not start says why');
like(script('alert', "\$t->allow_alerts(qr/cannot do it/);\n$simple"),
    qr/\Astatus 0\n/, 'an alert can be allowed');
like(script('', $simple =~ s/plan\(1\)/plan(2)/r),
    qr/\Astatus [1-9].*planned 2 tests, ran 1/s, 'a wrong plan fails');
like(script('', "\$t->plan(1)->run; die 'stop here';"),
    qr/\Astatus [1-9].*stop here/s, 'a test that dies fails');
like(script('', '$t->run; pass("x"); done_testing;'),
    qr/\Astatus 0\n.*^1\.\.6$/ms, 'done_testing instead of a plan');
like(script('', '$t->run; ok(0, "x"); done_testing;'),
    qr/\Astatus [1-9]/, 'a failed test fails');
like(script('', '$t->plan(1)->run; sleep 30;', TEST_VEIL_TIMEOUT => 1),
    qr/\Astatus [1-9].*took more than 1 s/s, 'a test that hangs is ended');

# has(): modules by "veil -m", options by "veil -V".

like(script('', '$t->has(qw/limit_req proxy debug/);' . $simple),
    qr/\Astatus 0\nok 1 - answered/, 'has: built');
like(script('', '$t->has("gzip");' . $simple),
    qr/\Astatus 0\n1\.\.0 # SKIP gzip is not built/, 'has: skips');
like(script('', '$t->has("gzip");' . $simple,
        VEIL_EXPECT_FEATURES => 'proxy, gzip'),
    qr/\Astatus [1-9].*not ok 1 - gzip is not built/s, 'has: expected');
like(script('', '$t->has("gzip");' . $simple,
        VEIL_EXPECT_FEATURES => 'all, -gzip'),
    qr/SKIP gzip is not built/, 'has: all but this is expected');
like(script('', '$t->has("gzip");' . $simple,
        VEIL_EXPECT_FEATURES => 'all -tls'),
    qr/\Astatus [1-9].*not ok 1 - gzip is not built/s, 'has: all but another');
like(script('', '$t->has("tls");' . $simple), qr/SKIP tls is not/,
    'has: no TLS library');
like(script('', '$t->has("limit");' . $simple), qr/SKIP limit is not/,
    'has: whole names only');

# A test that is killed takes its server with it.

{
    open my $s, '>', "$dir/k.t" or die;
    print $s $prologue,
        '$t->run; $| = 1; print "server ", $t->pid, "\n"; sleep 30;';
    close $s;
    local $ENV{TEST_VEIL_BINARY} = "$dir/veil";
    my $pid = open my $out, '-|', $^X, "$dir/k.t" or die;
    my ($server) = (<$out> // '') =~ /server (\d+)/;
    kill 'KILL', $pid;
    close $out;
    my $gone = 0;
    for (1 .. 1000) {
        last if $gone = !Test::Veil::Proc::group($server);
        select undef, undef, undef, 0.02;
    }
    ok($server && $gone, 'no server outlives a killed test');
}

# --------------------------------------------------------- the configuration --

my $c = Test::Veil::Config::complete(
    "# pid x;\nerror_log '/a;{b' info;\nhttp {\n  server { pid 1; }\n}\n",
    main => [ [ pid => 'P' ], [ error_log => 'E' ] ],
    events => [ [ use => 'epoll' ] ], http => [ [ access_log => 'A' ] ]);
is($c, "pid P; events { use epoll; } # pid x;\nerror_log '/a;{b' info;\n"
        . "http { access_log A; \n  server { pid 1; }\n}\n",
    'what is missing is added, and lines keep their numbers');
is(Test::Veil::Config::value('x 1; pid "a b"; y 2;', 'pid'), 'a b',
    'a value is read');

# ------------------------------------------------------------ on a real nginx --

my $t = Test::Veil->new(binary => 'nginx');
my $ws = Test::Veil::Upstream::websocket();
my $u = $t->upstream(
    a => gates => ['second'],
    routes => {
        '/gated'   => Test::Veil::Upstream::gated('second'),
        '/reset'   => Test::Veil::Upstream::reset_now(),
        '/cut'     => Test::Veil::Upstream::bytes(
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        '/bad'     => Test::Veil::Upstream::bytes("nonsense\r\n\r\n"),
        '/never'   => Test::Veil::Upstream::never(),
        '/chunked' => Test::Veil::Upstream::chunked(
            [ 'one ', 'two' ], [ 'X-Sum' => 5 ]),
        '/drip'    => Test::Veil::Upstream::drip(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
        '/ws'      => $ws,
        '/number'  => sub {
            my ($conn, $req) = @_;
            $conn->reply(body => $conn->number . '.' . $conn->served);
        },
    });

$t->write_file('html/index.html', "index\n");
$t->write_file('html/big', 'x' x 300_000);
$t->config(<<'EOF');

http {
    proxy_http_version 1.1;
    lingering_close off;
    upstream u { server %%UPSTREAM_a%%; keepalive 4; }
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location /r { return 200 "$request_method $http_x_a $args"; }
        location /u/ {
            proxy_pass http://u/;
            proxy_set_header Connection "";
            proxy_next_upstream off;
        }
        location = /u/ws {
            proxy_pass http://u/ws;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
    server {
        listen %%PORT_81%%;
        return 204;
    }
}
EOF

isnt($t->port(80), $t->port(81), 'two ports');
$t->run;
like($t->pid, qr/^\d+$/, 'a pid');
is(scalar(my @w = $t->worker_pids), 1, 'one worker');

my $r = $t->get('/r?q', headers => [ 'X-A' => 'b' ]);
like($r, qr{^HTTP/1\.1 200 OK\r\n}, 'a response prints as it came');
is($r->status, 200, 'status');
is($r->body, 'GET b q', 'body');
is($r->header('content-length'), 7, 'header, in any case');
is($r->header('X-None'), undef, 'no such header');
ok($r->complete, 'complete');
is($t->head('/r')->body, '', 'HEAD has no body');
is($t->get('/', port => 81)->status, 204, 'the other port');
is($t->get('/', version => '1.0', host => undef)->body, "index\n", '1.0');
is(length $t->get('/big')->body, 300_000, 'a large body');
like($t->post('/u/p', 'data', bytewise => 1)->body, qr/\n\ndata$/,
    'a body, byte by byte');
like($t->request(method => 'POST', path => '/u/c', chunked => [qw/a bc/]),
    qr/\n\nabc$/, 'a chunked body');

my $conn = $t->connect(80);
is($conn->get('/r')->body, 'GET  ', 'keep-alive, first');
is($conn->get('/r')->body, 'GET  ', 'keep-alive, second');
$conn->send_request(path => '/r?1');
$conn->send_request(path => '/r?2', method => 'HEAD');
$conn->send_request(path => '/r?3');
is($conn->read_response->body, 'GET  1', 'pipelined, first');
is($conn->read_response->body, '', 'pipelined, second');
is($conn->read_response->body, 'GET  3', 'pipelined, third');
ok($conn->silent(0.05), 'nothing more, and still open');
$conn->write("nonsense\r\n\r\n");
is($conn->read_response->status, 400, 'a bad request');
ok($conn->eof, 'closed then');

like($t->raw("GET /r HTTP/1.0\r\n\r\n", size => 1), qr/ 200 .*GET/s,
    'raw bytes');
like($t->raw("GET /r HTTP/1.1\r\nHost: a\r\n\r\n",
        read_until => qr/GET /), qr/GET $/, 'raw bytes until');

# The backend.

is($t->get('/u/chunked')->body, 'one two', 'chunked');
is($t->get('/u/cut', quiet => 1)->complete, 0, 'a cut answer is not complete');
is($t->get('/u/reset')->status, 502, 'reset');
like($t->get('/u/bad', quiet => 1)->status, qr/^(?:0|200|502)$/, 'nonsense');
is($t->get('/u/drip')->body, 'slow', 'drip');

my $before = $u->requests;
my $one = $t->connect;
$one->send_request(path => '/u/gated');
is($u->wait_note(qr/waiting/), 'waiting /gated', 'waits for its gate');
is($u->requests, $before + 1, 'requests are counted');
is(($u->request_lines)[-1], 'GET /gated HTTP/1.1', 'and kept');
ok($one->silent(0.05), 'no answer while the gate is closed');
$u->release('second');
like($one->read_response->body, qr{^GET /gated}, 'an answer when open');

my ($x, $y) = map { $t->get('/u/number')->body } 1, 2;
is((split /\./, $x)[0], (split /\./, $y)[0], 'upstream connection is kept');
ok($u->open_connections >= 1, 'and open');

my $tunnel = $t->connect;
$tunnel->send_request(path => '/u/ws', headers => [
    Upgrade => 'websocket', Connection => 'upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==' ]);
my $up = $tunnel->read_response;
is($up->status, 101, 'upgraded');
is($up->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'with the key of RFC 6455');
$tunnel->write('hello');
is($tunnel->read_bytes(5), 'hello', 'echo through the tunnel');
$tunnel->close;
ok($u->wait_note(qr/tunnel ended/), 'and its end arrives');

$u->stop;
is($t->get('/u/x')->status, 502, 'a stopped backend refuses');
$u->start;
ok($t->wait_for(sub { $t->get('/u/x')->status == 200 }, 15),
    'and comes back on its port');

# Time, logs, signals.

ok($t->wait_for_log(qr/start worker process/), 'wait_for_log');
ok(!$t->wait_for(sub {0}, 0.05), 'wait_for gives up');
like($t->log('access.log'), qr{"GET /r\?q}, 'the access log');
ok($t->reload, 'reload');
isnt(join(' ', $t->worker_pids), $w[0], 'another worker then');
like($t->get('/r'), qr/ 200 /, 'which answers');
my $good = $t->read_file('veil.conf');
$t->write_file('veil.conf', "nonsense;\n$good");
my ($code, $out) = $t->command('-t');
isnt($code, 0, 'command: exit status');
like($out, qr/unknown directive "nonsense"/, 'command: output');
ok(!$t->reload, 'a reload that is refused');
$t->allow_alerts(qr/nonsense/);
$t->write_file('veil.conf', $good);
is($t->stop, 0, 'stop');
is($t->pid, undef, 'stopped');
$t->run;
like($t->get('/r'), qr/ 200 /, 'run again');

# A response that is not well formed is not repaired.

for my $case (
    [ "HTTP/1.1 200 OK\nA: b\r\n\r\n",                  'bare LF' ],
    [ "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
        'malformed header' ],
    [ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
            . "Content-Length: 1\r\n\r\na", 'more than one Content-Length' ],
    [ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        'malformed chunk' ],
    [ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 'ended in the body' ],
    [ "HTP/1.1 200 OK\r\n\r\n",                         'malformed status' ],
    )
{
    my ($bytes, $why) = @$case;
    my $s = Test::Veil::Upstream->new(
        handler => Test::Veil::Upstream::bytes($bytes));
    my $res = Test::Veil::HTTP1->new(port => $s->port)->get('/');
    ok(!$res->complete && $res->error =~ /\Q$why\E/, "client: $why")
        or diag($res->error);
}

my $s = Test::Veil::Upstream->new(unix => $t->testdir . '/sock',
    handler => Test::Veil::Upstream::chunked([ 'a', 'bc' ], [ 'X-T' => 1 ]));
$r = Test::Veil::HTTP1->new(unix => $t->testdir . '/sock')->get('/');
is($r->body, 'abc', 'a unix socket');
is_deeply([ $r->chunks ], [ 1, 2 ], 'chunk sizes');
is($r->trailer('x-t'), 1, 'a trailer');
is_deeply($r->trailers, { 'x-t' => 1 }, 'all trailers');

my $i = Test::Veil::Upstream->new(handler =>
        Test::Veil::Upstream::interim(103, [ Link => '</a>' ],
            Test::Veil::Upstream::reply(body => 'after')));
$r = Test::Veil::HTTP1->new(port => $i->port)->get('/');
is($r->body, 'after', 'an interim answer before');
is_deeply([ map { $_->status . $_->header('Link') } $r->informational ],
    ['103</a>'], 'is kept');

done_testing;
