#!/usr/bin/perl

# Upgrades: both directions until both have ended.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(17);
my $u = $t->upstream(a => routes => {
    '/ws'       => Test::Veil::Upstream::websocket(),
    '/greeting' => Test::Veil::Upstream::websocket(greeting => 'welcome'),
    '/refuse'   => Test::Veil::Upstream::reply(status => 403, body => 'no'),
    '/half'     => sub {
        my ($conn, $req) = @_;
        $conn->write("HTTP/1.1 101 Switching Protocols\r\n"
            . "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        $conn->write('bye');
        $conn->close;
    },
});
# On a busy machine the time may be over before the answer is there.
my @patience = (300, 2000, 10_000);
my $timeouts = join '', map { <<"EOL" } @patience;
        location /short$_/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout ${_}ms;
        }
EOL
$t->config(<<'EOC' =~ s/ +SHORT\n/$timeouts/r);
http {
    server {
        listen %%PORT_80%%;
        location / {
            proxy_pass http://%%UPSTREAM_a%%;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        SHORT
    }
}
EOC
$t->run;

my @ask = (headers => [
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
]);

my $c = $t->connect;
my $r = $c->request(path => '/ws', @ask);
is($r->status, 101, 'switched');
is(lc $r->header('Upgrade'), 'websocket', 'Upgrade');
is(lc $r->header('Connection'), 'upgrade', 'Connection');
is($r->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'the backend\'s key');
$c->write('ping');
is($c->read_bytes(4), 'ping', 'there and back');
$c->write_bytewise('slowly');
is($c->read_bytes(6), 'slowly', 'byte by byte');

# More than all buffers on the way hold: the client sends all before it reads.

my $big = join '', map { sprintf '%07d ', $_ } 1 .. 250_000;
my $pid = fork // die;
if ($pid == 0) {
    $c->write($big, 20);
    POSIX::_exit(0);
}
my $got = $c->read_bytes(length $big, 20);
waitpid $pid, 0;
is(length $got, length $big, '2 MB');
ok($got eq $big, 'unchanged');
$c->close;
ok($u->wait_note(qr{tunnel ended /ws}), 'the end of the client arrives');

# Bytes that come with the switch, on either side.

$c = $t->connect;
is($c->request(path => '/greeting', @ask)->status, 101, 'greeted');
is($c->read_bytes(7), 'welcome', 'what came with the answer');
$c->close;

$c = $t->connect;
$c->write($c->format_request(path => '/ws', keepalive => 1, @ask) . 'early');
is($c->read_response->status, 101, 'a hasty client');
is($c->read_bytes(5), 'early', 'what came with the request');
$c->close;

# Ends.

$c = $t->connect;
$c->request(path => '/half', @ask);
is($c->read_all, 'bye', 'the end of the backend arrives');

is($t->connect->get('/refuse', @ask)->body, 'no', 'a refusal is an answer');

for my $ms (@patience) {
    $c = $t->connect;
    last if $c->request(path => "/short$ms/ws", @ask)->status == 101;
}
ok($c->eof, 'a silent tunnel ends with proxy_read_timeout');

$c = $t->connect;
$c->request(path => '/ws', @ask);
$c->abort;
ok($u->wait_closed, 'a reset client ends it as well');
