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
use IO::Select;
use Time::HiRes qw/time/;

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

# A configuration whose replaced workers have so long, and their idle
# connections a grace of so many seconds.

sub configure {
    my ($timeout, $shutdown, $grace) = @_;
    $grace //= 1;
    $t->config(<<"EOC");
worker_processes 1;
worker_shutdown_timeout $timeout;
shutdown_timeout $shutdown;
http {
    http2 on;
    keepalive_drain_grace ${grace}s;
    close_spread 1s;
    proxy_buffering off;
    root %%TESTDIR%%/html;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        ssl_certificate site.crt;
        ssl_certificate_key site.key;
        location /pid { return 200 \$pid; }
        location /big { limit_rate 4k; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
    }
    server {
        listen %%PORT_83%%;
        keepalive_drain_grace 1s;
        location /big { limit_rate 4k; }
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

# with_time($try, @seconds): $try->($seconds) does what has to be done within
# so many seconds, which a busy machine may not do: then it is tried again with
# more.  It returns whether it was done in time, and what is to be compared:
# [ what is, what it should be, name ] or [ true or not, name ].

sub with_time {
    my ($try, @seconds) = @_;
    my ($in_time, @said);
    while (defined(my $n = shift @seconds)) {
        ($in_time, @said) = $try->($n);
        last if $in_time || !@seconds;
        diag("not in time with $n s, once more with $seconds[0] s");
    }
    ok($in_time, 'all in time');
    @$_ == 3 ? is($_->[0], $_->[1], $_->[2]) : ok($_->[0], $_->[1])
        for @said;
    return;
}

# The only worker there is, of a configuration that is new.

sub new_worker {
    configure(@_);
    if ($t->pid) {
        $t->reload or fail('a reload');
        $t->wait_for(sub { 1 == $t->worker_pids });
    } else {
        $t->run;
    }
    my ($pid) = $t->worker_pids;
    return $pid;
}

sub leaves {
    my ($pid) = @_;
    return $t->wait_for(sub { !kill 0, $pid });
}

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

# ended(\@connections, $since): when they were, in seconds, the first one first.

sub ended {
    my ($connections, $since, $act) = @_;
    my $select = IO::Select->new(@$connections);
    my $end = time + 40 * Test::Veil::HTTP1::patience();
    my @when;
    while ($select->count && time < $end) {
        for my $s ($select->can_read(0.02)) {
            next if $act && !$act->($s);
            push @when, time - $since;
            $select->remove($s);
        }
    }
    return @when;
}

# --- a reload: idle connections

with_time(sub {
    my ($grace) = @_;
    my @said;
    my $old = new_worker('60s', '30s', $grace);
    my @idle = map { $t->connect } 1 .. 16;
    pid_on($_) for @idle;
    my $soon = $t->connect(81);
    push @said, [ $soon->get('/')->body, $old,
        'an idle connection without a grace' ];
    my $fresh = $t->connect(81);
    my $secure = $tls->connect(port => 443, ca => 'root');
    push @said, [ $secure->get('/pid')->body, $old, 'one with TLS' ];
    my $slow = $t->connect;
    $slow->send_request(path => '/u/g1');
    push @said, [ $u->wait_note(qr/at g1/), 'a response has begun' ];
    my $late = $t->connect;
    $late->send_request(path => '/u/g2');
    push @said, [ $u->wait_note(qr/at g2/), 'and another' ];

    my $begun = time;
    push @said, [ $t->reload, 'reload' ];
    my @posts = splice @idle, 0, 4;
    $_->send_request(method => 'POST', path => '/pid', body => 'x')
        for @posts;
    for my $i (1 .. @posts) {
        my $r = $posts[$i - 1]->read_response;
        push @said,
            [ $r->body, $old, "POST $i on an idle connection is answered" ],
            [ $r->header('Connection'), 'close', '... for the last time' ];
    }
    my $r = $secure->get('/pid');
    push @said, [ $r->body, $old, 'the one with TLS, too' ],
        [ $r->header('Connection'), 'close', '... for the last time' ];
    push @said, [ $fresh->get('/')->body, $old,
        'one that had no request yet has time for it' ];
    my $in_time = time - $begun < $grace;
    push @said, [ $soon->eof, 'without a grace it is closed' ];

    my $finished = time;
    $u->release('g1', 1);
    push @said, [ $slow->read_response->body, 'first last',
        'the response is finished' ];
    $slow->send_request(path => '/pid');
    $r = $slow->read_response;
    $in_time &&= time - $finished < $grace;
    push @said, [ $r->body, $old,
        'its client may ask again, as it was not told otherwise' ],
        [ $r->header('Connection'), 'close', '... once' ];

    # The others are ended one after the other, and none too soon.
    my @when = ended([ map { $_->socket } @idle ], $begun);
    push @said, [ scalar @when, scalar @idle, 'idle connections are closed' ],
        [ scalar(grep { !$_->eof || $_->was_reset } @idle), 0,
            '... without a reset' ],
        [ $when[0] >= $grace - 0.05, '... after their grace' ];
    my $apart = $when[-1] - $when[0] > 0.15;
    push @said, [ $apart, '... not all at once' ];
    diag("closed after @when") if !$apart;
    $u->release('g2', 1);
    push @said, [ $late->read_response->body, 'first last',
        'a long response is finished' ];
    $_->close for $late, $slow;
    push @said, [ leaves($old), 'and the worker leaves' ];
    return ($in_time && $apart, @said);
}, 1, 3, 10);

# --- a reload: HTTP/2

with_time(sub {
    my ($grace) = @_;
    my @said;
    my $old = new_worker('60s', '30s', $grace);
    my $h2 = Test::Veil::HTTP2->connect($t->port(80));
    $h2->put(get(1, '/pid'));
    push @said, [ $h2->drain(10, sub { $h2->count(DATA, 1) }),
        'a client of HTTP/2' ];
    my $begun = time;
    push @said, [ $t->reload, 'reload' ];
    push @said, [ $h2->drain(10, sub { $h2->count(GOAWAY) }),
        'is told GOAWAY' ];
    my @last = map { unpack 'N', $_->[3] }
        grep { $_->[0] == GOAWAY } @{$h2->{frames}};
    push @said, [ $last[0], 0x7fffffff,
        '... that does not say yet which is the last' ];
    $h2->put(get(3, '/pid'));
    push @said, [ $h2->drain(10, sub { $h2->count(DATA, 3) }),
        'a request on its way' ];
    my $in_time = time - $begun < $grace;
    push @said, [ (grep { $_->[0] == DATA && $_->[2] == 3 }
        @{$h2->{frames}})[0][3], $old, '... is answered' ];
    push @said, [ $h2->drain(20, sub { $h2->count(GOAWAY) == 2 }),
        'then GOAWAY again' ];
    @last = map { unpack 'N', $_->[3] }
        grep { $_->[0] == GOAWAY } @{$h2->{frames}};
    push @said, [ $last[1], 3, '... with the last one that was' ],
        [ $h2->goaway, 0, '... without an error' ];
    $h2->drain(20, sub { $h2->{eof} });
    push @said, [ $h2->{eof}, 'and the connection ends' ];
    push @said, [ leaves($old), 'the worker leaves' ];
    return ($in_time, @said);
}, 1, 3, 10);

# --- a reload: tunnels, until the time is up

my $late = qr/have not ended in time/;

with_time(sub {
    my ($seconds) = @_;
    my @said;
    my $old = new_worker("${seconds}s", '30s');
    my @ws = map { websocket() } 1 .. 12;
    my $connect = $t->connect(82);
    $connect->write("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    $connect->read_until(qr/\r\n\r\n/);
    my $h2 = Test::Veil::HTTP2->connect($t->port(82));
    $h2->put(frame(HEADERS, 4, 1,
        field(':method', 'CONNECT') . field(':authority', 'a:443')));
    push @said, [ $h2->drain(10, sub { $h2->count(HEADERS, 1) }),
        'a CONNECT over HTTP/2' ];
    my $mark = $t->log_mark;
    my $begun = time;
    push @said, [ $t->reload, 'reload' ];
    $h2->put(frame(DATA, 0, 1, 'ping'));
    push @said, [ $h2->drain(10, sub { $h2->count(DATA, 1) }),
        'which goes on' ];
    $connect->write('ping');
    push @said, [ $connect->read_bytes(4), 'ping', 'a CONNECT goes on' ];
    my $wrong = 0;
    for my $c (@ws) {
        $c->write('ping');
        $wrong++ if $c->read_bytes(4) ne 'ping';
    }
    push @said, [ $wrong, 0, 'WebSockets go on' ];

    # The last second is for the end.
    my $in_time = time - $begun < $seconds - 1;
    push @ws, $connect;
    my @when = ended([ $h2->{s}, map { $_->socket } @ws ], $begun, sub {
        my ($s) = @_;
        return 1 if $s != $h2->{s};
        $h2->take;
        return 0 if !$h2->{eof};
        shutdown $s, 1;
        return 1;
    });
    push @said, [ scalar @when, @ws + 1, 'they are ended' ],
        [ $when[0] >= $seconds - 1.1, '... when the time is nearly up' ];
    my $apart = $when[-1] - $when[0] > 0.1;
    push @said, [ $apart, '... not all at once' ],
        [ $h2->count(RST, 1), '... that of HTTP/2 by a reset of its stream' ];
    push @said, [ leaves($old), 'the worker leaves' ];

    # It has a tick of its timer for that; then it closes them itself.
    my $had = substr($t->log, $mark) !~ $late;
    push @said, [ $had, '... and had nothing to close in the end' ];
    return ($in_time && $apart && $had, @said);
}, 4, 8, 16);

# --- a replaced worker has less time when the server ends

with_time(sub {
    my ($seconds) = @_;
    my @said;
    $t->stop;
    new_worker('60s', "${seconds}s");
    my @ws = (websocket());
    push @said, [ $t->reload, 'reload' ];
    push @ws, websocket();
    my $mark = $t->log_mark;
    my $begun = time;
    $t->signal('TERM');
    push @said, [ scalar(grep { $_->eof } @ws), 2,
        'TERM: tunnels of both are ended' ],
        [ time - $begun >= $seconds - 1.1, '... when the time is nearly up' ],
        [ $t->stop(signal => 0), 0, '... and the server with them' ];
    my $had = substr($t->log, $mark) !~ $late;
    push @said, [ $had, '... with nothing left to close' ];
    return ($had, @said);
}, 4, 8, 16);

# --- TERM, INT, QUIT: once to finish, twice to end

for my $signal (qw/TERM INT QUIT/) {
    my $pid = new_worker('60s', '60s', 50);
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
    my $h2 = Test::Veil::HTTP2->connect($t->port(83));
    $h2->put(get(1, '/big'));
    $h2->drain(10, sub { $h2->count(DATA, 1) });

    # A terminal's Ctrl-C reaches all processes: the master decides.
    my $whom = $signal eq 'INT' ? -getpgrp($t->pid) : $t->pid;
    my $mark = $t->log_mark;
    kill $signal, $whom;
    ok($t->wait_for_log(qr/gracefully shutting down/, from => $mark),
        "$signal: the worker finishes");
    ok($t->wait_for(sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port(80));
    }), '... and nobody listens');
    is(pid_on($c{idle})->body, $pid, '... what was on its way is answered');
    $u->release($gate);
    is($c{slow}->read_response->body, 'first last',
        '... a response is finished');
    ok($h2->drain(10, sub { $h2->count(GOAWAY) == 2 }), '... GOAWAY, twice');
    $c{ws}->write('ping');
    is($c{ws}->read_bytes(4), 'ping', '... a tunnel goes on');
    my $before = $h2->count(DATA, 1);
    ok($h2->drain(10, sub { $h2->count(DATA, 1) > $before }),
        '... and a download');

    my $begun = time;
    kill $signal, $whom;
    is($t->stop(signal => 0), 0, 'a second one ends the server');
    cmp_ok(time - $begun, '<', 20, '... at once');
    ok($_->eof || length $_->read_all(1), '... and connections with it')
        for $c{ws}, $c{tls};
}

done_testing;
