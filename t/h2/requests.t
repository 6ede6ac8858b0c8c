#!/usr/bin/perl

# What a request may ask and meet over HTTP/2: interim responses, trailers,
# limits, timeouts, tunnels; lib/h2_requests.py is the client.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;

my $t = Test::Veil->new->has('v2', 'hpack');
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 100_000;
$t->write_file('html/big', $big);
$t->write_file('html/404.html', 'an error page');
$t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    my $path = $req->{path} // $req->{uri} // '';
    if ($path eq '/proxied') {
        $conn->reply(body => substr $big, 0, 500_000);
    } else {
        $conn->reply(body => sha256_hex($req->{body}));
    }
});
$t->upstream(ws => routes => { '/ws' => Test::Veil::Upstream::websocket() });
$t->upstream(h => handler => Test::Veil::Upstream::interim(103,
    [ Link => '</a>; rel=preload' ]));
$t->upstream(gate => raw => sub {
    my ($conn) = @_;
    $conn->wait; # for ever: it reads nothing
});
$t->config(<<'EOC');
http {
    http2 on;
    client_max_body_size 10m;
    error_page 404 /html/404.html;
    log_format h2 '$http2 $status $request_length $bytes_sent $body_bytes_sent $connection_requests $uri';
    access_log %%TESTDIR%%/h2.log h2;
    server {
        listen %%PORT_80%%;
        server_name localhost;
        location /ok { return 200 ok; }
        location /204 { return 204; }
        location /vars { return 200 "$http2 $server_protocol"; }
        location /html { alias %%TESTDIR%%/html; }
        location /trailers {
            chunked_transfer_encoding off; # HTTP/1's
            add_trailer X-Got $trailer_x_sum;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /hints {
            early_hints 1;
            proxy_pass http://%%UPSTREAM_h%%;
        }
        location /proxied { proxy_pass http://%%UPSTREAM_a%%; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
        location /up/small {
            client_max_body_size 10;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /up/chunked {
            client_max_chunked_body_size 10;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /stream {
            proxy_request_buffering off;
            proxy_pass http://%%UPSTREAM_a%%;
            location /stream/small {
                client_max_body_size 10;
                proxy_request_buffering off;
                proxy_pass http://%%UPSTREAM_a%%;
            }
            location /stream/chunked {
                client_max_chunked_body_size 10;
                proxy_request_buffering off;
                proxy_pass http://%%UPSTREAM_a%%;
            }
        }
        location /gate {
            proxy_request_buffering off;
            proxy_buffer_size 4k;
            proxy_pass http://%%UPSTREAM_gate%%;
        }
        location /ws {
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://%%UPSTREAM_ws%%;
        }
    }
    server {
        listen %%PORT_81%%;
        keepalive_requests 5;
        location /ok { return 200 ok; }
        location /413 {
            lingering_timeout 60s;
            location /413/soon {
                lingering_timeout 500ms;
                return 413;
            }
            return 413;
        }
        location /html { alias %%TESTDIR%%/html; }
        location /up {
            client_body_timeout 500ms;
            proxy_pass http://%%UPSTREAM_a%%;
        }
    }
    server {
        listen %%PORT_83%%;
        client_header_timeout 500ms;
        location /ok { return 200 ok; }
    }
    server {
        listen %%PORT_84%%;
        keepalive_timeout 500ms;
        location /ok { return 200 ok; }
    }
    server {
        listen %%PORT_82%%;
        send_timeout 500ms;
        location /ok { return 200 ok; }
        location /html { alias %%TESTDIR%%/html; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
    }
}
EOC
$t->run;

open my $f, '-|', '/usr/bin/python3', 't/lib/h2_requests.py', $t->port(80),
    $t->port(81), $t->port(82), $t->port(83), $t->port(84), $t->testdir or die "python3: $!";
while (my $line = <$f>) {
    next unless $line =~ /^(not )?ok - (.*)/;
    ok(!$1, $2);
}
ok(close($f), 'the script came to its end');
ok($t->wait_for_log(qr{^h2c 206 \d+ \d\d 10 \d+ /html/big$}, log => 'h2.log'),
    'the fields of a log line');
done_testing();
