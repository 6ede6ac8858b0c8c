#!/usr/bin/perl

# Clients that leave in the middle of a body, where nobody is to care.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(4);
my $u = $t->upstream(a => raw => sub {
    my ($conn) = @_;
    $conn->read_until(qr/\r\n\r\n/);
    $conn->note('head');
    $conn->wait_peer_close;
    $conn->note('gone');
});
$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        proxy_ignore_client_abort on;
        location /direct {
            proxy_pass http://%%UPSTREAM_a%%;
            proxy_request_buffering off;
        }
        location /buffered {
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location / { return 200 ok; }
    }
}
EOC
$t->run;

# Note number $n of that text.
sub noted {
    my ($text, $n) = @_;
    return $t->wait_for(sub { $n == grep { $_ eq $text } $u->notes });
}

my $n = 0;
for my $how (qw/abort close/) {
    my $c = $t->connect;
    $c->write("POST /direct HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
    noted('head', ++$n);
    $c->$how;
    ok(noted('gone', $n), "half a body is no request: $how");

    $c = $t->connect;
    $c->write("POST /buffered HTTP/1.1\r\nHost: a\r\n"
        . "Content-Length: 100\r\n\r\nx");
    $c->$how;
    is($t->get('/')->body, 'ok', 'nor when it is buffered');
}
