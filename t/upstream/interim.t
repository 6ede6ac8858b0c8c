#!/usr/bin/perl

# Interim responses with what follows them right behind: the one that is
# being sent must not be overtaken.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(10);
my $hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
$t->upstream(a => routes => {
    '/hints' => sub {
        my ($conn, $req) = @_;
        $conn->write($hint x 3
            . "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    },
    '/endless' => sub {
        my ($conn, $req) = @_;
        $conn->write($hint x 40
            . "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    },
    '/switch' => sub {
        my ($conn, $req) = @_;
        $conn->write($hint . "HTTP/1.1 101 Switching Protocols\r\n"
            . "Connection: upgrade\r\nUpgrade: test\r\n\r\nhello");
        $conn->close;
    },
});
$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        early_hints 1;
        location / {
            proxy_pass http://%%UPSTREAM_a%%;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }
    }
}
EOC
$t->run;

my $c = $t->connect;
for my $round (1, 2) {
    $c->write("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    my $r = $c->read_response;
    is($r->body, 'done', 'an answer behind hints');
    is($r->informational + 0, 3, 'and the hints');
}

like($t->raw("GET /endless HTTP/1.0\r\nHost: a\r\n\r\n"),
    qr/^HTTP\/1.1 502 /, 'too many hints are an error');

$c->write("GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
    . "Upgrade: test\r\n\r\n");
my $text = $c->read_all(5);
like($text, qr/^HTTP\/1.1 103 .*Link: .*\r\n\r\nHTTP\/1.1 101 /s,
    'an upgrade behind hints');
like($text, qr/\r\n\r\nhello\z/, 'and what was said then');
ok($c->eof(0), 'to the end');

# A client that has gone when the answer waits behind an interim one.

for (1, 2) {
    $c = $t->connect;
    $c->write("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    $c->abort;
}
is($t->get('/hints')->body, 'done', 'clients that leave at once');
is($t->get('/hints')->status, 200, 'harm nobody');
