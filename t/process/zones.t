#!/usr/bin/perl

# A process that dies at any point inside of a shared zone leaves the others
# running and the zone usable: locks, the allocator, TLS sessions, the keys of
# tickets, upstreams' state, the board.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Guard;
use Test::Veil::TLS;
use Time::HiRes qw/sleep time/;

my $t = Test::Veil->new->has(qw/tls/);
my $fault = Test::Veil::Fault->new($t);
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['site']);

$t->upstream($_, quiet => 1, handler => sub {
    my ($conn) = @_;
    $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        . "Connection: close\r\n\r\nok");
    $conn->close;
}) for qw/a b/;

$t->config(<<'EOC');
worker_processes 4;
worker_watchdog 6s;

http {
    upstream two {
        zone two 64k;
        server %%UPSTREAM_a%% weight=3;
        server %%UPSTREAM_b%%;
    }
    server {
        listen %%PORT_80%%;
        location / {
            proxy_pass http://two;
        }
    }
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        ssl_session_cache shared:sessions:32k;
        ssl_session_tickets off;
        ssl_protocols TLSv1.2;
        return 200 ok;
    }
    # Every second another key.
    server {
        listen %%PORT_444%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        ssl_session_timeout 1s;
        return 200 ok;
    }
}
EOC
# Those that die, their locks, and what an upstream's client sees of it.
$t->allow_alerts(qr/exited[ ]on[ ]signal[ ]9|starting[ ]the[ ]configuration[ ]of
    |a[ ]process[ ]died[ ]while[ ]it[ ]changed[ ]the[ ]SSL[ ]session[ ]cache
    |has[ ]not[ ]turned[ ]its[ ]loop
    |nothing[ ]serves,[ ]starting[ ]again/x);
$t->run;

sub control { return Test::Veil::Control->new($t) }
sub workers { return @{ control()->data('worker.list') } }
sub metric { return control()->metric(@_) }

# --- clients that do not stop coming, whatever they are answered

my @load;

sub load {
    my ($code) = @_;
    push @load, Test::Veil::Guard::child(sub {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        $code->() while 1;
    });
    return;
}

sub unload {
    kill 'KILL', map { -$_ } @load;
    Test::Veil::Guard::reap($_) for splice @load;
    return;
}

sub handshakes {
    my ($port, @how) = @_;
    $port = $t->port($port);
    load(sub {
        system 'openssl', 's_time', '-connect', "127.0.0.1:$port", @how,
            '-time', 2, '-www', '/';
    });
    return;
}

sub requests {
    load(sub {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port(80), Timeout => 2) or return sleep 0.01;
        print $s "GET / HTTP/1.0\r\n\r\n";
        local $/;
        my $answer = <$s>;
    });
    return;
}

# All four serve, and anyone who asks is answered.

sub is_well {
    my ($what, @ask) = @_;
    my $all = $t->wait_for(sub {
        4 == grep { $_->{state} eq 'serving' && $_->{heartbeat_ms} < 20_000 }
            workers()
    });
    my $bad = 0;
    for (1 .. 8) {
        for my $ask (@ask) {
            $bad++ unless eval { $ask->() } =~ / 200 /;
        }
    }
    return ok($all && !$bad, "$what: the others serve on")
        || diag("$bad failed; workers: " . join ' ',
            map { "$_->{slot}:$_->{state}" } workers());
}

my $get = sub { return '' . $t->get('/') };

sub client {
    my ($port, $version, @more) = @_;
    return $tls->s_client(port => $port, ca => 'root', tls => $version,
        name => 'site', path => '/', @more);
}

my $get_tls = sub { return '' . (client(443, '1.2')->{response} // '') };
my $get_ticket = sub { return '' . (client(444, '1.3')->{response} // '') };

sub kills {
    my ($points, @ask) = @_;
    my $n = 0;
    for my $point (@$points) {
        # Workers that have died too often get a pause.
        $t->reload if ++$n % 8 == 0;
        $fault->arm($point, pass => 1 + int rand 3);
        my $dead = $fault->wait(20);
        ok($dead, "a worker died at $point");
        $fault->disarm;
        # Its keeper has to take note of it.
        $t->wait_for(sub { !grep { $_->{pid} == $dead } workers() });
        is_well($point, @ask);
    }
    return;
}

# --- sessions of TLS, and with them the allocator and its lock

like($get_tls->(), qr/ 200 /, 'TLS works');
handshakes(443, '-new');
handshakes(443, '-reuse');
kills([ qw/
    lock.taken lock.release lock.released
    slab.slot_set slab.slot_clear slab.slot_push slab.remove slab.push
    tls_cache.push tls_cache.unlink tls_cache.unchained tls_cache.cleansed
    tls_cache.stored tls_cache.chained tls_cache.moved
/ ], $get_tls);
unload();

client(443, '1.2', sess_out => 'session');
ok(client(443, '1.2', sess_in => 'session')->{reused},
    'the cache keeps sessions as before');

# --- the keys of their tickets

like($get_ticket->(), qr/ 200 /, 'tickets work');
my $mark = $t->log_mark;
handshakes(444, '-new');
handshakes(444, '-reuse');
kills([ qw/
    lock.taken lock.release
    tls_ticket.forgot tls_ticket.kept tls_ticket.cleansed tls_ticket.made
    tls_ticket.renewed
/ ], $get_ticket);
unload();
$t->wait_for_log(qr/died while it renewed the TLS session ticket keys/,
    from => $mark);
for my $version (qw/1.2 1.3/) {
    ok($t->wait_for(sub {
        client(444, $version, sess_out => 'ticket');
        client(444, $version, sess_in => 'ticket')->{reused};
    }), "TLS $version: tickets are understood as before");
}

# --- upstreams

requests() for 1 .. 3;
kills([ qw/lock.taken lock.release upstream_zone.weights
    upstream_peer.counted/ ], $get);
unload();
ok($t->wait_for(sub {
    my ($up) = @{ control()->data('upstream.show', upstream => 'two') };
    2 == grep { $_->{in_flight} == 0 } @{ $up->{peers} };
}), 'nothing of the dead is still counted');

# --- a worker that is stopped with a lock: only that one is killed

# Those that were killed last have been replaced.
my %was;
ok($t->wait_for(sub {
    %was = map { $_->{pid} => 1 } grep { $_->{state} eq 'serving' } workers();
    keys %was == 4;
}), 'four workers');
requests() for 1 .. 3;
$fault->arm('lock.taken', action => 'stop');
my $stopped = $fault->wait(20);
ok($stopped, 'a worker was stopped with a lock');
ok($t->wait_for(sub { !grep { $_->{pid} == $stopped } workers() }),
    'and killed');
unload();
is_well('a lock', $get);
is(scalar(grep { $was{ $_->{pid} } } workers()), 3,
    'those who waited for the lock live')
    or diag("stopped: $stopped, before: @{[ sort keys %was ]}\n"
        . join '', grep { /worker/ } (split /^/, $t->log)[-400 .. -1]);

# --- a worker that was to replace another

%was = map { $_->{pid} => 1 } workers();
$fault->arm('worker.prepared');
my $r = control()->ask('worker.restart', slot => 2);
ok($fault->wait, 'the new process died before it was ready');
is($r->{err}{code}, 'E_FAILED', 'the answer says so');
is(scalar(grep { $was{ $_->{pid} } } workers()), 4, 'the old one goes on');
$r = control()->ask('worker.restart', slot => 2);
ok($r->{ok}, 'the next time it works');
is_well('a restart', $get);

# --- the board, whose lock is the keeper's

for my $point (qw/board.fold board.folded board.given/) {
    $t->get('/') for 1 .. 5;
    my $had = metric('veil_http_requests_total', protocol => 'http/1.1');
    my ($generation) = map { $_->{generation} } workers();
    my ($worker) = workers();
    $fault->arm($point, role => 'keeper');
    kill 'KILL', $worker->{pid};
    ok($fault->wait(20), "the keeper died at $point");
    $fault->disarm;
    ok($t->wait_for(sub {
        4 == grep { $_->{generation} > $generation
            && $_->{state} eq 'serving' } eval { workers() }
    }), 'another one has started');
    is(metric('veil_http_requests_total', protocol => 'http/1.1'), $had,
        'no request was forgotten or counted twice');
    is_well($point, $get);
}

done_testing;
