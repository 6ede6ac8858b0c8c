#!/usr/bin/perl

# https:// in proxy_pass: requests, bodies, ends, and what goes wrong.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 1_000_000;

$tls->ca('root');
$tls->cert('a', ca => 'root', names => [qw/a.test group 127.0.0.1/]);
$tls->cert('b', ca => 'root', names => ['b.test']);
$tls->cert('unix', ca => 'root', names => ['localhost']);

my $u = $t->upstream(plain => gates => [qw/one/], routes => {
    '/digest' => sub {
        my ($conn, $req) = @_;
        $conn->reply(body => length($req->{body}) . ' '
            . sha256_hex($req->{body}));
    },
    '/large'  => sub { $_[0]->reply(body => $large) },
    '/chunked' => Test::Veil::Upstream::chunked([ 'one', 'two' ]),
    '/close'  => sub { $_[0]->reply(close => 1, body => 'until the end') },
    '/short'  => Test::Veil::Upstream::bytes(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive."),
    '/early'  => sub {
        my ($conn, $req) = @_;
        $conn->reply(status => 425, body => 'too early');
    },
    '/ws'     => Test::Veil::Upstream::websocket(),
    '/stream' => sub {
        my ($conn, $req) = @_;
        $conn->reply(body => "$req->{body}");
    },
});

sub server {
    my ($name, %o) = @_;
    return $t->upstream($name => Test::Veil::TLSUpstream->new($tls,
        backend => $u, cert => 'a', %o));
}

my $a = server('a', certs => { 'b.test' => 'b' });
my $old = server('old', tls => '1.2');
my $cut = server('cut', close => 'cut');
my $silent = server('silent', mode => 'silent');
my $hangup = server('hangup', mode => 'hangup');
my $garbage = server('garbage', mode => 'garbage');
my $local = server('local', cert => 'unix');
my $unix = server('unix', cert => 'unix', unix => $t->testdir . '/tls.sock');

# On a busy machine the time may be over before there is a connection.
my @patience = (200, 2000, 10_000);
my $timeouts = join '', map { <<"EOL" } @patience;
        location /silent$_/ {
            proxy_connect_timeout ${_}ms;
            proxy_pass https://%%UPSTREAM_silent%%/;
        }
EOL

$t->set(LOCAL => $local->port);
$t->config(<<'EOC' =~ s/ +SILENT\n/$timeouts/r);
http {
    log_format up '$uri $upstream_status $upstream_connect_time $proxy_host '
                  '$proxy_port $upstream_addr';
    access_log %%TESTDIR%%/up.log up;
    proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;

    upstream group { server %%UPSTREAM_a%%; keepalive 0; }
    upstream said {
        keepalive 0;
        server https://%%UPSTREAM_a%%;
        server http://%%UPSTREAM_plain%%;
    }
    upstream byname { server https://localhost:%%LOCAL%%; }
    upstream named {
        server https://%%UPSTREAM_a%% sni=b.test;
        keepalive 0;
    }
    upstream named2 {
        server %%UPSTREAM_a%% sni=b.test;
        keepalive 0;
    }
    upstream two {
        server %%UPSTREAM_hangup%%;
        server %%UPSTREAM_a%% backup;
    }

    server {
        listen %%PORT_80%%;
        proxy_keepalive 0;

        location / {
            proxy_pass https://%%UPSTREAM_a%%;
            proxy_set_header X-Port $proxy_port;
        }
        location /group/ { proxy_pass https://group/; }
        location /said/ { proxy_pass http://said/; }
        location /byname/ { proxy_pass http://byname/; }
        location /named/ { proxy_pass http://named/; }
        location /named2/ {
            proxy_ssl_name wrong.test;
            proxy_pass https://named2/;
        }
        location /variable/ {
            set $to %%UPSTREAM_a%%;
            proxy_pass https://$to/x;
        }
        location /scheme/ {
            proxy_pass $arg_scheme://%%UPSTREAM_a%%/y;
        }
        location /local/ {
            proxy_pass https://localhost:%%LOCAL%%/;
            proxy_next_upstream error timeout;
        }
        location /old/ { proxy_pass https://%%UPSTREAM_old%%/; }
        location /cut/ { proxy_pass https://%%UPSTREAM_cut%%/; }
        location /silent/ { proxy_pass https://%%UPSTREAM_silent%%/; }
        SILENT
        location /hangup/ { proxy_pass https://%%UPSTREAM_hangup%%/; }
        location /garbage/ { proxy_pass https://%%UPSTREAM_garbage%%/; }
        location /plain/ { proxy_pass https://%%UPSTREAM_plain%%/; }
        location /two/ {
            proxy_pass https://two/;
            proxy_ssl_name a.test;
        }
        location /unix/ { proxy_pass https://%%UPSTREAM_unix%%:/; }
        location /unbuffered/ {
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_pass https://%%UPSTREAM_a%%/;
        }
        location /v12/ {
            proxy_ssl_protocols TLSv1.2;
            proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
            proxy_pass https://%%UPSTREAM_a%%/;
        }
        location /v13/ {
            proxy_ssl_protocols TLSv1.3;
            proxy_pass https://%%UPSTREAM_old%%/;
        }
        location /nosni/ {
            proxy_ssl_name a.test;
            proxy_ssl_server_name off;
            proxy_pass https://%%UPSTREAM_a%%/;
        }
    }
}
EOC
$t->run;

# Of the log from a mark on, until it matches.
sub logged {
    my ($mark, $re, $name) = @_;
    ok($t->wait_for_log($re, from => $mark), $name) or diag($t->log);
}

# --- requests

my $r = $t->get('/hello');
is($r->status, 200, 'a request');
like($r->body, qr{^GET /hello HTTP/1.1\n}, 'arrives');
like($r->body, qr/^Host: 127\.0\.0\.1:\d+$/m, 'Host has a port that is not 443');
like($r->body, qr/^X-Port: @{[ $a->port ]}$/m, '$proxy_port');
is($a->hello(1)->{name}, undef, 'an address is verified, and not asked for');
is($a->hello(1)->{version}, 'TLSv1.3', 'TLS 1.3');
ok($t->wait_for(sub { $t->read_file('up.log') =~ m{^/hello }m }), 'its line');
like($t->read_file('up.log'), qr{^/hello 200 \d+\.\d+ 127\.0\.0\.1:\d+ \d+ }m,
    '$upstream_connect_time');
ok($a->wait_end(1)->{closed}, 'the end is said');

is($t->get('/group/x')->status, 200, 'a group, which is its name');
is($a->hello(2)->{name}, 'group', 'that is asked for');

my %got = map { $t->get('/said/x')->body =~ m{^GET (\S+)} ? ($_ => $1) : () }
    1 .. 4;
is_deeply(\%got, { map { ($_ => '/x') } 1 .. 4 }, 'a group of both schemes');
is($a->connections, 4, 'each server has its own');

is($t->get('/named/x')->status, 200, 'sni= of a server with https://');
is($a->hello(5)->{name}, 'b.test', 'is asked for, and verified');
is($t->get('/named2/x')->status, 200, 'sni= goes before proxy_ssl_name');
is($a->hello(6)->{name}, 'b.test', 'and is asked for');

is($t->get('/variable/')->body =~ m{^GET (\S+)} && $1, '/x', 'with variables');
is($t->get('/scheme/?scheme=https')->body =~ m{^GET (\S+)} && $1, '/y',
    'the scheme is one');
is($t->get('/scheme/?scheme=ftp')->status, 500, 'that is none');
is($t->get('/unix/u')->body =~ m{^GET (\S+)} && $1, '/u', 'a unix socket');
is($unix->hello(1)->{name}, 'localhost', 'has the name localhost');

is($t->get('/local/x')->status, 200, 'a host by its name');
is($local->hello(1)->{name}, 'localhost', 'is asked for');

is($t->get('/byname/x')->status, 200, 'a server of a group by its name');
is($local->hello(2)->{name}, 'localhost', 'is asked for');

is($t->get('/old/x')->status, 200, 'TLS 1.2');
is($old->hello(1)->{version}, 'TLSv1.2', 'it was');
my $n = $a->connections;
is($t->get('/v12/x')->status, 200, 'proxy_ssl_protocols, proxy_ssl_ciphers');
is($a->hello($n + 1)->{version}, 'TLSv1.2', 'version');
is($a->hello($n + 1)->{cipher}, 'ECDHE-ECDSA-AES128-GCM-SHA256', 'cipher');
is($t->get('/nosni/x')->status, 200, 'proxy_ssl_server_name off');
is($a->hello($n + 2)->{name}, undef, 'nothing is asked for');

# --- bodies

is($t->post('/digest', $large)->body, length($large) . ' '
    . sha256_hex($large), 'a large request');
is($t->post('/unbuffered/digest', $large)->body, length($large) . ' '
    . sha256_hex($large), 'unbuffered');
is(sha256_hex($t->get('/large')->body), sha256_hex($large),
    'a large response');
is(sha256_hex($t->get('/unbuffered/large')->body), sha256_hex($large),
    'unbuffered');
is(sha256_hex($t->get('/cut/large')->body), sha256_hex($large),
    'without a goodbye, but with a length');
is($t->get('/cut/chunked')->body, 'onetwo', 'or chunked');
is(sha256_hex($t->post('/old/stream', $large)->body), sha256_hex($large),
    'there and back with TLS 1.2');

$r = $t->get('/close');
is($r->body, 'until the end', 'a body that ends with the connection');
ok($r->complete, 'and a goodbye is complete');
my $mark = $t->log_mark;
my $raw = $t->raw("GET /cut/close HTTP/1.1\r\nHost: a\r\n\r\n");
unlike($raw, qr/\r\n0\r\n\r\n\z/, 'without one it is not');
logged($mark, qr/upstream prematurely closed connection while reading upstream.*"https:/,
    'and the log says so');
$mark = $t->log_mark;
$r = $t->get('/short');
ok(!$r->complete, 'less than was announced');
logged($mark, qr/upstream prematurely closed connection/, 'is an error');

is($t->get('/early')->status, 425, '425 is passed on');

# --- upgrades

my $c = $t->connect;
$r = $c->request(path => '/ws', headers => [
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
]);
is($r->status, 101, 'an upgrade');
$c->write('ping' x 10_000);
is($c->read_bytes(40_000), 'ping' x 10_000, 'there and back');
$c->shutdown;
ok($c->eof, 'ends');

$c = $t->connect;
$n = $a->connections;
$r = $c->request(path => '/named/ws', headers => [
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
]);
is($r->status, 101, 'an upgrade by a name');
is($a->hello($n + 1)->{name}, 'b.test', 'which is asked for');
$c->close;

# --- what goes wrong

for my $ms (@patience) {
    $mark = $t->log_mark;
    $r = $t->get("/silent$ms/");
    last if substr($t->log, $mark) !~ /while connecting to upstream/;
}
is($r->status, 504, 'a server that says nothing');
logged($mark, qr/upstream timed out \(110: Connection timed out\) while SSL handshaking to upstream, client: .*upstream: "https:/,
    'in the log');
$mark = $t->log_mark;
is($t->get('/hangup/')->status, 502, 'one that hangs up');
logged($mark, qr/peer closed connection in SSL handshake.* while SSL handshaking to upstream, client:/,
    'in the log');
$mark = $t->log_mark;
is($t->get('/garbage/')->status, 502, 'one that has no TLS');
logged($mark, qr/SSL_do_handshake\(\) failed \(SSL: error:.*WRONG_VERSION_NUMBER\) while SSL handshaking to upstream, client:/,
    'in the log');
$mark = $t->log_mark;
is($t->get('/v13/')->status, 502, 'one that is too old');
logged($mark, qr/SSL_do_handshake\(\) failed \(SSL: error:.*ALERT_PROTOCOL_VERSION\)/,
    'in the log: the alert');
is($t->get('/two/x')->status, 200, 'the next one is asked');
ok($t->wait_for(sub { $t->read_file('up.log') =~ m{^/two/x }m }), 'its line');
like($t->read_file('up.log'), qr{^/two/x 502, 200 -, \d}m,
    '$upstream_connect_time is that of a handshake');

# A client that does not wait for the end of a handshake.

my $before = $silent->connections;
$c = $t->connect;
$c->send_request(path => '/silent/');
ok($t->wait_for(sub { $silent->connections > $before }), 'a handshake');
$c->abort;
ok($silent->wait_end($before + 1), 'ends when the client leaves');

done_testing;
