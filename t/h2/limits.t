#!/usr/bin/perl

# The directives of a connection and of a response over HTTP/2, with TLS and
# without: rates, how long a connection lives, timeouts, redirects within, and
# what is logged; lib/h2_limits.py is the client.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'hpack', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost', '*.test']);
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 100_000;
$t->write_file('html/big', $big);
$t->write_file('html/index.html', 'index');
$t->write_file('html/rate', substr $big, 0, 72_000);
{
    $t->write_file('html/huge', '');
    truncate $t->testdir . '/html/huge', 20_000_000 or die "truncate: $!";
}
$t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    my $path = $req->{path};
    if ($path eq '/accel') {
        $conn->reply(headers => ['X-Accel-Redirect' => '/kept/big']);
    } elsif ($path =~ m{^/(204|304)$}) {
        $conn->write("HTTP/1.1 $1 X\r\nContent-Length: 7\r\n\r\n");
    } elsif ($path eq '/proxied-head') {
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    } else {
        $conn->reply(body => 'got ' . length $req->{body});
    }
});
$t->config(<<'EOC');
http {
    http2 on;
    log_format h2 '$http2 $connection_requests $request_length $bytes_sent $body_bytes_sent $request_time $status $uri';
    access_log %%TESTDIR%%/h2.log h2;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        server_name localhost;
        keepalive_disable msie6;
        location /ok { return 200 ok; }
        location /rate {
            limit_rate 10k;
            limit_rate_after 60k;
            alias %%TESTDIR%%/html/rate;
            location /rate/long { alias %%TESTDIR%%/html/big; }
        }
        location /html { alias %%TESTDIR%%/html; }
        location /444 { return 444; }
        location /page { error_page 403 /a_page; return 403; }
        location = /a_page { internal; return 200 "a page"; }
        location /named { error_page 418 = @named; return 418; }
        location @named { return 200 named; }
        location /kept { internal; alias %%TESTDIR%%/html; }
        location /rewrite { rewrite ^ /html/big last; }
        location / { proxy_pass http://%%UPSTREAM_a%%; }
        location /log { proxy_pass http://%%UPSTREAM_a%%; }
    }
    server {
        listen %%PORT_81%%;
        listen %%PORT_444%% ssl;
        keepalive_requests 3;
        location /ok { return 200 ok; }
    }
    server {
        listen %%PORT_82%%;
        listen %%PORT_445%% ssl;
        keepalive_time 300ms;
        location /ok { return 200 ok; }
    }
    server {
        listen %%PORT_83%%;
        listen %%PORT_446%% ssl;
        keepalive_timeout 0;
        location /ok { return 200 ok; }
    }
    server {
        listen %%PORT_84%%;
        listen %%PORT_447%% ssl;
        keepalive_timeout 500ms;
        send_timeout 500ms;
        client_body_timeout 400ms;
        location /ok { return 200 ok; }
        location /html { alias %%TESTDIR%%/html; }
        location /up { proxy_pass http://%%UPSTREAM_a%%; }
    }
    server {
        listen %%PORT_85%%;
        listen %%PORT_448%% ssl;
        send_timeout 500ms;
        reset_timedout_connection on;
        location /html { alias %%TESTDIR%%/html; }
    }
}
EOC
$t->run;

for my $how ('h2c', 'h2') {
    my @ports = map { $t->port($_) }
        $how eq 'h2' ? (443 .. 448) : (80 .. 85);
    my $ca = $how eq 'h2' ? $t->testdir . '/root.crt' : '-';
    open my $f, '-|', '/usr/bin/python3', 't/lib/h2_limits.py', $ca,
        $t->testdir, @ports or die "python3: $!";
    my @want;
    while (my $line = <$f>) {
        @want = split ' ', $1 if $line =~ /^# log (.*)/;
        ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
    }
    ok(close($f), "$how: the script came to its end");
    ok($t->wait_for(sub { $t->read_file('h2.log') =~ m{^$how .* /log$}m }),
        "$how: it is logged");
    my ($line) = $t->read_file('h2.log') =~ m{^($how .* /log)$}m;
    my @got = split ' ', $line;
    is("@got[0 .. 4]", "@want", "$how: the connection's requests, bytes in, "
        . 'out, and of the body');
    cmp_ok($got[5], '>=', 0.3, "$how: \$request_time has the body's");
}
done_testing();
