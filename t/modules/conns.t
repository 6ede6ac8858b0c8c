#!/usr/bin/perl

# Connections on the control socket: lists, kills, drains, what was refused;
# of HTTP/1, HTTP/2 and TLS, and of workers that drain.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::HTTP2 qw/:all/;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/proxy v2 tls/);
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);

my $u = $t->upstream(a => gates => [qw/one two three/], routes => {
    '/ws' => Test::Veil::Upstream::websocket(),
    map { my $gate = $_; ("/$gate" => sub {
        my ($conn) = @_;
        $conn->note("at $gate");
        $conn->wait($gate);
        $conn->reply(body => $gate);
    }) } qw/one two three/,
});
my $backend = '127.0.0.1:' . $u->port;

sub configure {
    my ($more) = @_;
    $t->config(<<"EOC");
worker_processes 2;
worker_shutdown_timeout 5m;
http {
    http2 on;
    keepalive_drain_grace 5m;
    keepalive_timeout 5m;
    client_header_timeout 5m;
    client_body_timeout 5m;
    proxy_read_timeout 5m;
    large_client_header_buffers 2 1k;
    upstream back { server %%UPSTREAM_a%%; }
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        server_name site;
        ssl_certificate site.crt;
        ssl_certificate_key site.key;
        location / {
            if (\$draining) { return 503; }
            return 200 "\$pid-\$connection";
        }
        location /big { client_max_body_size 10; return 200 no; }
        location /u/ { proxy_pass http://back/; }
    }
    server {
        listen %%PORT_81%%;
        return 200 "\$draining";
    }
    $more
}
EOC
    return;
}

configure('');
$t->run;
my $c = Test::Veil::Control->new($t);
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

sub list { return $c->data('conn.list', @_) }

sub rows { return @{list(@_)->{connections}} }

# until(sub {...}, filter): the one row for which it holds.

sub until_row {
    my ($what, @filter) = @_;
    my $row;
    ok($t->wait_for(sub { ($row) = rows(@filter); $row }), $what);
    return $row // {};
}

# --- one after the other, in each state

is_deeply(list(), { total => 0, matched => 0, connections => [] }, 'none');

my $idle = $t->connect;
my $id = $idle->get('/')->body;
my ($row) = rows();
is($row->{id}, $id, 'a connection has its process and its number');
is($row->{state}, 'idle', 'it is idle');
is($row->{protocol}, 'http/1', 'HTTP/1');
is($row->{tls}, undef, 'without TLS');
is($row->{client}, '127.0.0.1:' . $idle->local_port, 'the client');
is($row->{listener}, '127.0.0.1:' . $t->port(80), 'the listener');
is($row->{server}, 'site', 'the server');
is($row->{requests}, 1, 'a request so far');
is($row->{streams}, 0, 'none under way');
ok($row->{bytes_in} > 20 && $row->{bytes_out} > 50, 'bytes');
ok($row->{age_ms} >= $row->{idle_ms}, 'ages');
is($row->{generation}, 1, 'the generation');
ok(!exists $row->{request}, 'no request');
is($c->data('conn.show', id => $id)->{local}, '127.0.0.1:' . $t->port(80),
    'conn.show');
is($c->code('conn.show', id => '1-1'), 'E_NOT_FOUND', 'one that is not there');
is($c->code('conn.show', id => 'x'), 'E_ARGUMENT', 'no id at all');

my $head = $t->connect;
$head->write("GET /half HTTP/1.1\r\n");
until_row('one whose head comes', state => 'head');

my $body = $t->connect;
$body->write("POST /u/one HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
$row = until_row('one whose body comes', state => 'body');
is($row->{request}, 'POST /u/one HTTP/1.1', '... with its request');

my $wait = $t->connect;
$wait->send_request(path => "/u/two?\x7e'");
ok($u->wait_note(qr/at two/), 'a request at an upstream');
$row = until_row('one that waits', state => 'upstream');
is($row->{upstream}, 'back', '... for this upstream');
is($row->{peer}, $backend, '... at this address');
is(scalar rows(upstream => 'back'), 1, 'found by the name');
is(scalar rows(upstream => $backend), 1, '... and the address');
is(scalar rows(upstream => 'other'), 0, '... not by another');

my $ws = $t->connect;
is($ws->request(path => '/u/ws', headers => [
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
])->status, 101, 'a WebSocket');
$row = until_row('a tunnel', state => 'tunnel');
is($row->{peer}, $backend, '... to this backend');

my $shake = $t->connect(443);
$shake->write(substr $tls->record(22, $tls->client_hello), 0, 50);
$row = until_row('a handshake', state => 'handshake');
is($row->{protocol}, undef, '... has no protocol yet');

my $secure = $tls->connect(port => 443, ca => 'root', tls => '1.3');
$secure->get('/');
($row) = rows(state => 'idle', listener => '' . $t->port(443));
is($row->{tls}, 'TLSv1.3', 'one with TLS');
like($c->data('conn.show', id => $row->{id})->{cipher}, qr/^TLS_/,
    '... and its cipher');

my $h2 = Test::Veil::HTTP2->connect($t->port(80));
$h2->put(get(1, '/u/three') . get(3, '/u/three'));
ok($t->wait_for(sub { $u->notes =~ /at three.*at three/s
    || 2 == grep { /at three/ } $u->notes }), 'two streams of HTTP/2');
ok($t->wait_for(sub {
    ($row) = grep { $_->{protocol} eq 'http/2' } rows(state => 'upstream');
    $row && $row->{streams} == 2;
}), '... on one connection');
my $show = $c->data('conn.show', id => $row->{id});
is_deeply([ map { $_->{request} } @{$show->{under_way}} ],
    [ ('GET /u/three HTTP/2.0') x 2 ], '... each is shown');

# --- filters

my $data = list();
is($data->{total}, 8, 'all of them');
is($data->{matched}, 8, '... are asked for');
my @ages = map { $_->{age_ms} } @{$data->{connections}};
is_deeply(\@ages, [ sort { $b <=> $a } @ages ], 'the oldest first');
$data = list(limit => 2);
is(scalar @{$data->{connections}}, 2, 'a limit');
is($data->{connections}[0]{id}, $id, '... leaves the oldest');
is($data->{matched}, 8, '... and says how many there are');
is(list(client => '127.0.0.0/8')->{matched}, 8, 'by network');
is(list(client => '10.1.0.0/16')->{matched}, 0, 'by another');
is($c->code('conn.list', client => 'nonsense'), 'E_ARGUMENT', 'by no network');
is(list(older => '1h')->{matched}, 0, 'by age');
is(list(older => 0)->{matched}, 8, 'by any age');
is(list(listener => '127.0.0.1:' . $t->port(443))->{matched}, 2,
    'by listener');
is($c->code('conn.list', listener => '1'), 'E_NOT_FOUND', 'by no listener');
is($c->code('conn.list', state => 'odd'), 'E_ARGUMENT', 'by no state');

# --- kill

is($c->code('conn.kill'), 'E_ARGUMENT', 'a kill says which');
my $reply = $c->ask('conn.kill', { dry_run => $yes }, state => 'tunnel');
is($reply->{data}{connections}, 1, 'a dry run says how many');
$ws->write('ping');
is($ws->read_bytes(4), 'ping', '... and does nothing');
is($c->data('conn.kill', state => 'tunnel')->{connections}, 1, 'by state');
ok($ws->eof, 'the tunnel is gone');
is($c->data('conn.kill', id => $id)->{connections}, 1, 'by id');
ok($idle->eof, 'the idle one is gone');
is($c->data('conn.kill', id => $id)->{connections}, 0, 'it is once');
is($c->data('conn.kill', upstream => 'back')->{connections}, 2,
    'by upstream');
ok($wait->eof, 'HTTP/1');
$h2->drain(60);
ok($h2->{eof}, 'HTTP/2');
is($c->data('conn.kill', state => 'handshake')->{connections}, 1,
    'a handshake');
ok($shake->eof, '... is gone');
$c->data('conn.kill', all => $yes);
ok($t->wait_for(sub { list()->{total} == 0 }), 'all');
ok($_->eof, '... are gone') for $head, $body, $secure;
$u->release($_) for qw/one two three/;

# --- in a worker that drains

$idle = $t->connect;
$id = $idle->get('/')->body;
ok($t->reload, 'reload');
($row) = rows();
is($row->{id}, $id, 'a connection of the generation before');
is($row->{generation}, 1, '... which is said');
is($c->data('conn.show', id => $id)->{id}, $id, '... is shown');
is($c->data('conn.kill', id => $id)->{connections}, 1, '... and killed');
ok($idle->eof, '... is gone');

# --- what was refused

my $mark = $t->log_mark;
$t->raw("GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n");
my ($e) = @{$c->data('errors', n => 1)->{errors}};
is($e->{status}, 400, 'a refused request');
like($e->{reason}, qr/invalid character in the request target/, '... why');
is($e->{offset}, 6, '... where');
is($e->{excerpt}, 'GET /a\x01b HTTP/1.1\x0d\x0aHost: a\x0d\x0a\x0d\x0a',
    '... and in what');
is($e->{listener}, '127.0.0.1:' . $t->port(80), '... on this listener');
like($e->{client}, qr/^127\.0\.0\.1:\d+$/, '... from this client');
ok(abs($e->{time_ms} / 1000 - time) < 60, '... then');
is($e->{protocol}, 'http/1', '... by HTTP/1');

sub refused {
    my ($what, $status, $reason, $offset) = @_;
    my $last;
    $t->wait_for(sub {
        ($last) = @{$c->data('errors', n => 1)->{errors}};
        $last->{reason} =~ $reason;
    });
    is($last->{status}, $status, "$what: status") or diag(explain $last);
    like($last->{reason}, $reason, "$what: reason");
    is($last->{offset}, $offset, "$what: offset");
    return $last;
}

$t->raw("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n");
refused('a blank in a name', 400, qr/blank in a header name/, 26);
$t->raw("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n");
refused('a length', 400, qr/Content-Length/, 41);
$t->raw("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
refused('a host', 400, qr/invalid Host/, 22);
$t->raw("GET / HTTP/1.1\r\nX: 1\r\n\r\n");
refused('no host', 400, qr/no Host header/, undef);
$t->raw('GET /' . 'x' x 3000 . " HTTP/1.1\r\nHost: a\r\n\r\n");
$e = refused('a long line', 414, qr/too long/, 2048);
is(length $e->{excerpt}, 256, '... is cut');
$t->raw("GET / HTTP/1.1\r\nHost: a\r\nX: " . 'x' x 1500 . "\r\n\r\n");
refused('a long field', 431, qr/too large/, 25);
$t->post('/big', 'x' x 100);
refused('a large body', 413, qr/body that is too large/, undef);
$t->raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n", port => 443);
refused('HTTP to a port of HTTPS', 497, qr/plain HTTP/, undef);
$shake = $t->connect(443);
$shake->write("\x16\x03\x01\x00\x04\x63\x00\x00\x00");
$e = refused('a broken handshake', undef, qr/SSL|error|handshake/i, undef);
is($e->{protocol}, undef, '... has no protocol');
$shake = $t->connect(443);
$shake->write("\x16\x09\x09\x00\x05hello");
$e = refused('no TLS at all', undef, qr/WRONG_VERSION_NUMBER/, undef);
is($e->{kind}, 'what came is no TLS', '... which is said');
is($e->{sni}, undef, '... and no name');
$shake = $t->connect(443);
$shake->write($tls->record(22, $tls->client_hello(name => 'old.test',
    versions => [ 0x0301 ])));
$e = refused('an old version', undef, qr/UNSUPPORTED_PROTOCOL/, undef);
is($e->{kind}, 'no version of TLS in common', '... which is said');
is($e->{sni}, 'old.test', '... and who was meant');
$h2 = Test::Veil::HTTP2->connect($t->port(80));
$h2->put(frame(DATA, 0, 1, 'x'));
$h2->drain(60);
$e = refused('a broken rule of HTTP/2', undef, qr/^HTTP\/2: /, undef);
is($e->{protocol}, 'http/2', '... by HTTP/2');
$h2 = Test::Veil::HTTP2->connect($t->port(80));
$h2->put(frame(PING, 0, 0, 'x' x 8) x 500);
$h2->drain(60);
refused('a flood of HTTP/2', undef, qr/beyond a limit: pings/, undef);
is(scalar @{$c->data('errors')->{errors}}, 14, 'all of them');
is(scalar @{$c->data('errors', listener => '' . $t->port(443))->{errors}}, 4,
    'those of a listener');
is(scalar @{$c->data('errors', listener => '' . $t->port(81))->{errors}}, 0,
    'of one that has none');

# --- drains

my $port = '' . $t->port(80);
is($t->get('/', port => 81)->body, '', 'nothing is drained');
my $kept = $t->connect;
$kept->get('/');
$h2 = Test::Veil::HTTP2->connect($port);
$h2->put(get(1, '/'));
$h2->drain(60, sub { $h2->count(DATA, 1) });

ok($t->wait_for(sub { list(listener => $port)->{matched} == 2 }),
    'two connections');
$reply = $c->ask('drain', { dry_run => $yes }, listener => $port);
is($reply->{data}{connections}, 2, 'a dry run says how many');
is_deeply($reply->{data}{draining}, ["127.0.0.1:$port"], '... and which listeners');
is_deeply($c->ask('undrain', { dry_run => $yes })->{data}{draining}, [],
    '... and does nothing');
$reply = $c->ask('drain', listener => $port);
ok($reply->{volatile}, 'a drain ends with the server');
$data = $reply->{data};
is($data->{connections}, 2, 'a drain, too');
is_deeply($data->{draining}, ["127.0.0.1:$port"], '... of that listener');
my $r = $kept->get('/');
is($r->status, 503, 'readiness says so');
is($r->header('Connection'), 'close', '... and the response');
ok($kept->eof, '... which was the last');
ok($h2->drain(60, sub { $h2->count(GOAWAY) == 2 }), 'HTTP/2 has GOAWAY');
$r = $t->get('/u/three', keepalive => 1);
is($r->status, 200, 'who comes is served');
is($r->header('Connection'), 'close', '... once');
$h2 = Test::Veil::HTTP2->connect($port);
$h2->put(get(1, '/u/three'));
ok($h2->drain(60, sub { $h2->count(DATA, 1) }), '... over HTTP/2, too');
ok($h2->drain(60, sub { $h2->count(GOAWAY) }), '... and told to go');
is($t->get('/', port => 81)->body, '', 'others are not drained');
ok($t->reload, 'a reload');
is($t->get('/')->status, 503, '... changes nothing');
is($c->data('status')->{drained_listeners}, 1, '... status says so');
my ($old) = map { $_->{pid} } grep { $_->{state} eq 'serving' }
    @{$c->data('worker.list')};
$t->allow_alerts(qr/exited on signal 9/);
kill 'KILL', $old;
ok($t->wait_for(sub { 2 == grep { $_ != $old } $t->worker_pids }),
    'another worker');
is(scalar(grep { $t->get('/')->status == 503 } 1 .. 20), 20,
    '... knows of it');
is($c->code('undrain', listener => '12.0.0.1:1'), '',
    'who is not drained is let go of');
is_deeply($c->data('drain')->{draining},
    [ map { '127.0.0.1:' . $t->port($_) } 80, 443, 81 ], 'all');
is($t->get('/', port => 81)->body, '1', '... are drained');
is($c->data('status')->{drained_listeners}, 3, '... status says so');
is($c->code('undrain', listener => $port), 'E_CONFLICT',
    'one is not taken back then');
is_deeply($c->data('undrain')->{draining}, [], 'none');
is($t->get('/')->status, 200, '... is drained');
is($c->data('status')->{drained_listeners}, 0, '... status says so');
is($c->code('drain', listener => '1'), 'E_NOT_FOUND', 'no such listener');
$h2->close;

done_testing;
