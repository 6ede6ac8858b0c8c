#!/usr/bin/perl

# The control socket when processes are stopped for a while, and when the
# server ends: what was given up is not done later, and whoever is left can
# still be asked.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;

my $t = Test::Veil->new->has('http');
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $true = JSON::PP::true;
my $u = $t->upstream(a => gates => [qw/g1 g2 g3/], routes => {
    map { my $gate = $_; ("/$gate" => sub {
        my ($conn) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        $conn->note("at $gate");
        $conn->wait($gate);
        $conn->write(' last');
    }) } qw/g1 g2 g3/ });
$t->config(<<'EOC');
worker_processes 2;
worker_shutdown_timeout 60s;
shutdown_timeout 60s;
http {
    proxy_buffering off;
    upstream back { zone back 64k; server %%UPSTREAM_a%%; }
    server {
        listen %%PORT_80%%;
        location /pid { return 200 $pid; }
        location / { proxy_pass http://back; }
    }
}
EOC
$t->run;
my $c = Test::Veil::Control->new($t);
my $server = 'back/' . $u->addr;

sub weight {
    return $c->data('upstream.show', upstream => 'back')->[0]{peers}[0]{weight};
}

sub keeper { return (grep { $_->{state} eq 'serving' }
    @{$c->data('status')->{generations}})[0]{keeper} }

# --- a call whose time is up is not begun

is(weight(), 1, 'a weight');
my $keeper = keeper();
Test::Veil::Proc::stop($keeper);
my $r = $c->ask('server.set', { timeout => 0.3 }, server => $server,
    weight => 44);
is($r->{err}{code}, 'E_TIMEOUT', 'a keeper that is stopped');
kill 'CONT', $keeper;
is(weight(), 1, 'what was given up is not done when it goes on');
ok($c->ask('server.set', server => $server, weight => 7)->{ok}, 'asked again');
is(weight(), 7, '... it is');

# Nor when it was stopped after it had looked at its clock.

SKIP: {
    skip 'fault points are in debug builds only', 3 if !$fault;
    my $other = Test::Veil::Control->new($t);
    $fault->arm('keeper.polled', role => 'keeper', action => 'stop');
    $other->send({ id => 1, verb => 'upstream.list' });
    is($fault->wait, $keeper, 'a keeper that stops in the middle of a turn');
    $c->ask('server.set', { timeout => 0.3 }, server => $server,
        weight => 44);
    kill 'CONT', $keeper;
    ok($other->next->{ok}, 'what came before is done');
    is(weight(), 7, '... and what was given up is not');
}

# All that a worker is asked goes through its keeper: it had its time if it is
# the worker of whom it is said that no answer came.

sub late_worker { return $_[0]{workers} }

my $conn = $t->connect;
my $worker = $conn->get('/pid')->body;
Test::Veil::Proc::stop($worker);
$r = $c->within(\&late_worker, 'conn.kill', all => $true);
is($r->{workers}[0]{err}{code}, 'E_TIMEOUT', 'a worker that is stopped');
kill 'CONT', $worker;
is(scalar @{$c->data('ping')}, 2, 'it goes on');
is($conn->get('/pid')->body, $worker, 'and has closed nothing');

# A change that its keeper has made is made in all workers, however late.

my $port = $t->port(80);
Test::Veil::Proc::stop($worker);
$r = $c->within(\&late_worker, 'listener.set', listener => "$port",
    keepalive_requests => '1');
is($r->{workers}[0]{err}{code}, 'E_TIMEOUT', 'one worker is late');
kill 'CONT', $worker;
is(scalar @{$c->data('ping')}, 2, 'it goes on');
is($conn->get('/pid')->header('Connection'), 'close',
    'and has what the keeper has');
undef $conn;

# --- while it ends

my $old = $t->connect;
$old->send_request(path => '/g1');
ok($u->wait_note(qr/at g1/), 'a response that goes on');
ok($t->reload, 'reload');
my $new = $t->connect;
$new->send_request(path => '/g2');
ok($u->wait_note(qr/at g2/), 'and one of the new generation');
my $watch = Test::Veil::Control->new($t);
$t->signal('TERM');
ok($t->wait_for(sub { $c->data('status')->{state} eq 'stopping' }),
    'the server ends');

# Only who has a connection is left.

ok($t->wait_for(sub { 2 == (my @w = $t->worker_pids) }), '... others have');

my $status = $c->data('status');
cmp_ok($status->{stopping_ms}, '<', $status->{uptime_ms},
    '... since when is said');
cmp_ok($_->{left_ms}, '<=', 60_000, '... and how long it may take')
    for @{$status->{generations}};

sub twice {
    my %n;
    $n{$_}++ for @_;
    return grep { $n{$_} > 1 } keys %n;
}

my $ping = $c->ask('ping');
ok($ping->{ok}, 'workers are asked');
is_deeply([ twice(map { $_->{pid} } @{$ping->{data}}) ], [], '... once each');
is(scalar @{$c->data('conn.list')->{connections}}, 2, 'both connections');
is($c->data('conn.kill', { dry_run => $true }, all => $true)->{connections}, 2,
    '... are counted once');
$r = $c->ask('log.reopen');
ok($r->{ok} && !$r->{partial}, 'logs are opened anew') or diag explain $r;

# Only the generation before is left.

$u->release('g2');
like($new->read_response->body, qr/last/, 'the new generation is done');
undef $new;
ok($t->wait_for(sub { 1 == grep { $_->{state} ne 'loading' }
        @{$c->data('status')->{generations}} }), 'and gone');
$ping = $c->ask('ping');
ok($ping->{ok}, 'who is left is asked') or diag explain $ping;
is(scalar @{$c->data('conn.list')->{connections}}, 1,
    'the connection that delays the end is shown');
$r = $c->ask('upstream.list');
is($r->{err}{code}, 'E_STOPPING', 'what needs a generation that serves');
like($r->{err}{msg}, qr/being stopped/, '... is told why there is none');
ok($c->ask('conn.kill', all => $true)->{ok}, 'what delays it can be closed');
ok($watch->eof, 'then it ends');
is($t->stop, 0, 'as it should');

done_testing;
