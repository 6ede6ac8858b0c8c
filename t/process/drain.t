#!/usr/bin/perl

# What becomes of connections whose worker ends: idle ones have a grace,
# responses are finished, tunnels have the worker's time, and each is ended in
# a way that its client understands.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::HTTP2 qw/:all/;
use Test::Veil::TLS;
use Time::HiRes qw/time sleep/;

my $t = Test::Veil->new->has(qw/proxy v2 tls tunnel/);
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);

my $u = $t->upstream(a => gates => [ map {"g$_"} 1 .. 9 ], routes => {
    '/ws' => Test::Veil::Upstream::websocket(),
    map { my $gate = "g$_"; ("/$gate" => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        $conn->note("at $gate");
        $conn->wait($gate);
        $conn->write(' last');
    }) } 1 .. 9,
});

my $echo = $t->upstream(echo => raw => sub {
    my ($conn) = @_;
    while (defined(my $bytes = $conn->read_some)) {
        last if $bytes eq '';
        $conn->write($bytes);
    }
});

$t->write_file('html/big', 'x' x 4_000_000);

# A configuration whose replaced workers have so long.

sub configure {
    my ($timeout, $shutdown) = @_;
    $t->config(<<"EOC");
worker_processes 1;
worker_shutdown_timeout $timeout;
shutdown_timeout $shutdown;
http {
    http2 on;
    keepalive_drain_grace 1s;
    close_spread 1s;
    proxy_buffering off;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        root %%TESTDIR%%/html;
        ssl_certificate site.crt;
        ssl_certificate_key site.key;
        location /pid { return 200 \$pid; }
        location /big { limit_rate 4k; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
    }
    server {
        listen %%PORT_82%%;
        tunnel_pass %%UPSTREAM_echo%%;
        allow all;
    }
    server {
        listen %%PORT_81%%;
        keepalive_drain_grace 0;
        return 200 \$pid;
    }
}
EOC
    return;
}

configure('60s', '30s');
$t->run;

sub pid_on { return $_[0]->get('/pid', @_[1 .. $#_]) }

my @ask = (headers => [
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
]);

sub websocket {
    my $c = $t->connect;
    my $r = $c->request(path => '/u/ws', @ask);
    die 'no websocket: ', $r->status if $r->status != 101;
    return $c;
}

# --- a reload: idle connections

my ($old) = $t->worker_pids;
my @idle = map { $t->connect } 1 .. 16;
pid_on($_) for @idle;
my $soon = $t->connect(81);
is($soon->get('/')->body, $old, 'an idle connection without a grace');
my $fresh = $t->connect(81);
my $secure = $tls->connect(port => 443, ca => 'root');
is($secure->get('/pid')->body, $old, 'one with TLS');
my $slow = $t->connect;
$slow->send_request(path => '/u/g1');
ok($u->wait_note(qr/at g1/), 'a response has begun');
my $late = $t->connect;
$late->send_request(path => '/u/g2');
ok($u->wait_note(qr/at g2/), 'and another');

my $begun = time;
ok($t->reload, 'reload');
is($fresh->get('/')->body, $old,
    'one that had no request yet has time for it');
my @posts = splice @idle, 0, 4;
for my $i (1 .. @posts) {
    $posts[$i - 1]->send_request(method => 'POST', path => '/pid',
        body => 'x');
}
for my $i (1 .. @posts) {
    my $r = $posts[$i - 1]->read_response;
    is($r->body, $old, "POST $i on an idle connection is answered");
    is($r->header('Connection'), 'close', '... for the last time');
}
my $r = $secure->get('/pid');
is($r->body, $old, 'the one with TLS, too');
is($r->header('Connection'), 'close', '... for the last time');
ok($soon->eof, 'without a grace it is closed');

$u->release('g1');
is($slow->read_response->body, 'first last', 'the response is finished');
$slow->send_request(path => '/pid');
$r = $slow->read_response;
is($r->body, $old, 'its client may ask again, as it was not told otherwise');
is($r->header('Connection'), 'close', '... once');

# The others are ended one after the other, and none too soon.

my (%end, $select);
$select = IO::Select->new(map { $_->socket } @idle);
while ($select->count && time < $begun + 20) {
    for my $s ($select->can_read(0.02)) {
        $end{fileno $s} = time - $begun;
        $select->remove($s);
    }
}
is(scalar keys %end, scalar @idle, 'idle connections are closed');
is(scalar(grep { !$_->eof || $_->was_reset } @idle), 0, '... without a reset');
my @when = sort { $a <=> $b } values %end;
cmp_ok($when[0], '>=', 0.95, '... after their grace');
cmp_ok($when[-1] - $when[0], '>', 0.15, '... not all at once');
diag("closed after @when") if $when[-1] - $when[0] <= 0.15;
$u->release('g2');
is($late->read_response->body, 'first last', 'a long response is finished');
undef $late;
undef $slow;
undef @idle;
ok($t->wait_for(sub { !kill 0, $old }), 'and the worker leaves');

# --- a reload: HTTP/2

($old) = $t->worker_pids;
my $h2 = Test::Veil::HTTP2->connect($t->port(80));
$h2->put(get(1, '/pid'));
ok($h2->drain(10, sub { $h2->count(DATA, 1) }), 'a client of HTTP/2');
ok($t->reload, 'reload');
ok($h2->drain(10, sub { $h2->count(GOAWAY) }), 'is told GOAWAY');
my @last = map { unpack 'N', $_->[3] }
    grep { $_->[0] == GOAWAY } @{$h2->{frames}};
is($last[0], 0x7fffffff, '... that does not say yet which is the last');
$h2->put(get(3, '/pid'));
ok($h2->drain(10, sub { $h2->count(DATA, 3) }), 'a request on its way');
is((grep { $_->[0] == DATA && $_->[2] == 3 } @{$h2->{frames}})[0][3], $old,
    '... is answered');
ok($h2->drain(10, sub { $h2->count(GOAWAY) == 2 }), 'then GOAWAY again');
@last = map { unpack 'N', $_->[3] }
    grep { $_->[0] == GOAWAY } @{$h2->{frames}};
is($last[1], 3, '... with the last one that was');
is($h2->goaway, 0, '... without an error');
$h2->drain(10);
ok($h2->{eof}, 'and the connection ends');
ok($t->wait_for(sub { !kill 0, $old }), 'the worker leaves');

# --- a reload: tunnels, until the time is up

configure('4s', '30s');
$t->reload;
ok($t->wait_for(sub { 1 == $t->worker_pids }), 'a worker with 4 seconds');
($old) = $t->worker_pids;
my @ws = map { websocket() } 1 .. 12;
my $connect = $t->connect(82);
$connect->write("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
$connect->read_until(qr/\r\n\r\n/);
$h2 = Test::Veil::HTTP2->connect($t->port(82));
$h2->put(frame(HEADERS, 4, 1,
    field(':method', 'CONNECT') . field(':authority', 'a:443')));
ok($h2->drain(10, sub { $h2->count(HEADERS, 1) }), 'a CONNECT over HTTP/2');
my $mark = $t->log_mark;
$begun = time;
ok($t->reload, 'reload');
$h2->put(frame(DATA, 0, 1, 'ping'));
ok($h2->drain(10, sub { $h2->count(DATA, 1) }), 'which goes on');
$connect->write('ping');
is($connect->read_bytes(4), 'ping', 'a CONNECT goes on');
my $wrong = 0;
for my $c (@ws) {
    $c->write('ping');
    $wrong++ if $c->read_bytes(4) ne 'ping';
}
is($wrong, 0, 'WebSockets go on');
%end = ();
push @ws, $connect;
$select = IO::Select->new($h2->{s}, map { $_->socket } @ws);
while ($select->count && time < $begun + 20) {
    for my $s ($select->can_read(0.02)) {
        if ($s == $h2->{s}) {
            $h2->take;
            next if !$h2->{eof};
            shutdown $s, 1;
        }
        $end{fileno $s} = time - $begun;
        $select->remove($s);
    }
}
@when = sort { $a <=> $b } values %end;
is(scalar @when, @ws + 1, 'they are ended');
cmp_ok($when[0], '>=', 2.9, '... when the time is nearly up');
cmp_ok($when[-1] - $when[0], '>', 0.1, '... not all at once');
ok($h2->count(RST, 1), '... that of HTTP/2 by a reset of its stream');
ok($t->wait_for(sub { !kill 0, $old }), 'the worker leaves');
unlike(substr($t->log, $mark), qr/have not ended in time/,
    '... and had nothing to close in the end');
undef @ws;
undef $connect;

# --- a replaced worker has less time when the server ends

configure('60s', '4s');
$t->stop;
$t->run;
($old) = $t->worker_pids;
@ws = (websocket());
ok($t->reload, 'reload');
push @ws, websocket();
$mark = $t->log_mark;
$begun = time;
$t->signal('TERM');
is(scalar(grep { $_->eof(10) } @ws), 2, 'TERM: tunnels of both are ended');
cmp_ok(time - $begun, '>=', 2.9, '... when the time is nearly up');
is($t->stop(signal => 0), 0, '... and the server with them');
unlike(substr($t->log, $mark), qr/have not ended in time/,
    '... with nothing left to close');
undef @ws;

# --- TERM, INT, QUIT: once to finish, twice to end

for my $signal (qw/TERM INT QUIT/) {
    configure('60s', '60s');
    $t->run;
    my ($pid) = $t->worker_pids;
    my %c = map { $_ => $t->connect } qw/idle slow load/;
    pid_on($c{idle});
    $c{ws} = websocket();
    $c{tls} = $tls->connect(port => 443, ca => 'root');
    $c{tls}->get('/pid');
    my $gate = { TERM => 'g3', INT => 'g4', QUIT => 'g5' }->{$signal};
    $c{slow}->send_request(path => "/u/$gate");
    $u->wait_note(qr/at $gate/);
    $c{load}->send_request(path => '/big');
    $c{load}->read_bytes(100);
    $h2 = Test::Veil::HTTP2->connect($t->port(80));
    $h2->put(get(1, '/big'));
    $h2->drain(10, sub { $h2->count(DATA, 1) });

    # A terminal's Ctrl-C reaches all processes: the master decides.
    my $whom = $signal eq 'INT' ? -getpgrp($t->pid) : $t->pid;
    $mark = $t->log_mark;
    kill $signal, $whom;
    ok($t->wait_for_log(qr/gracefully shutting down/, from => $mark),
        "$signal: the worker finishes");
    ok($t->wait_for(sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port(80));
    }), '... and nobody listens');
    $r = pid_on($c{idle});
    is($r->body, $pid, '... what was on its way is answered');
    $u->release($gate);
    is($c{slow}->read_response->body, 'first last',
        '... a response is finished');
    ok($h2->drain(10, sub { $h2->count(GOAWAY) == 2 }), '... GOAWAY, twice');
    $c{ws}->write('ping');
    is($c{ws}->read_bytes(4), 'ping', '... a tunnel goes on');
    my $before = $h2->count(DATA, 1);
    ok($h2->drain(10, sub { $h2->count(DATA, 1) > $before }),
        '... and a download');

    $begun = time;
    kill $signal, $whom;
    is($t->stop(signal => 0), 0, 'a second one ends the server');
    cmp_ok(time - $begun, '<', 5, '... at once');
    ok($_->eof || length $_->read_all(1), '... and connections with it')
        for $c{ws}, $c{tls};
}

done_testing;
