#!/usr/bin/perl

# Connections on which nothing moves cost nothing: whatever they wait for, and
# whichever side has said that it is done, the worker sleeps.

use strict;
use warnings;
use lib 't/lib';
use Errno qw/EAGAIN/;
use Test::Veil;
use Time::HiRes qw/time sleep/;

my $host = "HTTP/1.1\r\nHost: a\r\n";
my $switch = "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\n"
    . "Upgrade: websocket\r\n\r\nhello";
my $upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n";
my $large = 'x' x 20_000_000;

# What is sent, and whether the client half-closes after it.
my @plans = (
    [ '' ], [ 'GET /200 H' ], [ "GET /200 $host\r\n" ],
    [ "GET /p/never $host\r\n" ],
    [ "GET /p/never $host\r\n" . "GET /200 $host\r\n" x 2000 ],
    [ "POST /p/never ${host}Content-Length: 9\r\n\r\nx" ],
    [ "POST /d/never ${host}Content-Length: 9\r\n\r\nx" ],
    [ "POST /d/unread ${host}Content-Length: 20000000\r\n\r\n$large" ],
    [ "POST /d/unread ${host}Content-Length: 20000000\r\n\r\n$large", 1 ],
    (map { [ "GET /$_ $host\r\n" ], [ "GET /$_ $host\r\n", 1 ] }
        qw{large memory/large rate/large p/large d/large d/part p/part}),
    [ "GET /large $host\r\n" . "GET /200 $host\r\n" x 2000, 1 ],
    [ "POST /413 ${host}Content-Length: 99\r\n\r\nx" ],
    [ "POST /413 ${host}Content-Length: 99\r\n\r\nx", 1 ],
    [ "POST /200 ${host}Content-Length: 99\r\n\r\nx" ],
    [ "POST /d/never ${host}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n" ],
    (map { [ "GET /p/$_ $host$upgrade" ], [ "GET /p/$_ $host$upgrade", 1 ] }
        qw/tunnel half/),
);

# CPU time of the process in hundredths of a second.
sub ticks {
    my ($pid) = @_;
    open my $f, '<', "/proc/$pid/stat" or return 0;
    my ($rest) = <$f> =~ /.*\) (.*)/s;
    my @v = split / /, $rest;
    return $v[11] + $v[12];
}

sub threads {
    my ($pid) = @_;
    my $n = 0;
    for my $name (glob "/proc/$pid/task/*/comm") {
        open my $f, '<', $name or next;
        $n++ if (<$f> // '') =~ /^iou-wrk/;
    }
    return $n;
}

# Writes as much as goes in a moment.
sub push_in {
    my ($c, $text) = @_;
    my $s = $c->socket;
    my ($at, $until) = (0, time + 0.2);

    $s->blocking(0);
    while ($at < length $text && time < $until) {
        my $n = syswrite $s, $text, length($text) - $at, $at;
        $n ? $at += $n : sleep 0.01;
    }
}

sub run {
    my ($backend) = @_;
    my $t = Test::Veil->new;

    $t->upstream(a => routes => {
        '/never'  => Test::Veil::Upstream::never(),
        '/large'  => sub { $_[0]->reply(body => $large) },
        '/part'   => sub {
            $_[0]->write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx");
            $_[0]->wait_peer_close;
        },
        '/tunnel' => sub {
            $_[0]->write($switch);
            $_[0]->wait_peer_close;
        },
        '/half'   => sub {
            $_[0]->write($switch);
            $_[0]->shutdown;
            $_[0]->wait_peer_close;
        },
    });
    my $u = $t->upstream(b => raw => sub { $_[0]->wait('go') });
    $t->set(BACKEND => $backend);
    $t->config(<<'EOC');
worker_processes 1;
shutdown_timeout 200ms;
events {
    use %%BACKEND%%;
    client_io_buffers 8;
    client_io_buffer_size 4k;
}
http {
    lingering_timeout 20s;
    keepalive_timeout 20s;
    proxy_max_temp_file_size 0;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location /p/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /d/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_buffering off;
            proxy_request_buffering off;
        }
        location /d/unread {
            proxy_pass http://%%UPSTREAM_b%%/;
            proxy_request_buffering off;
            proxy_ignore_client_abort on;
        }
        location /memory/ { sendfile off; alias %%TESTDIR%%/html/; }
        location /rate/ { limit_rate 1; alias %%TESTDIR%%/html/; }
        location /413 { client_max_body_size 10; return 200 no; }
        location /200 { return 200 ok; }
    }
}
EOC
    $t->write_file('html/large', $large);
    $t->run;

    my @open;
    for my $plan (@plans) {
        for (1, 2) {
            my $c = $t->connect(80, rcvbuf => 4096);
            push_in($c, $plan->[0]);
            $c->shutdown if $plan->[1];
            push @open, $c;
        }
    }
    my ($pid) = $t->worker_pids;
    my ($least, $threads) = (100, 0);
    # Others may need the processor, and what has been sent takes its time, so
    # the quietest moment counts.  One that spins never has one.
    my $until = time + 2.4;
    $t->wait_for(sub {
        my $before = ticks($pid);
        sleep 0.4;
        my $used = ticks($pid) - $before;
        $least = $used if $used < $least;
        $threads = threads($pid);
        return time > $until && $least <= 2 && $threads == 0;
    });
    cmp_ok($least, '<=', 2, "$backend: the worker sleeps");
    is($threads, 0, "$backend: no thread of the kernel is blocked");
    is($t->get('/200')->body, 'ok', "$backend: and it answers");
    $u->release('go');
    $t->stop;
}

run($_) for $ENV{TEST_VEIL_USE} && $ENV{TEST_VEIL_USE} ne 'auto'
    ? $ENV{TEST_VEIL_USE} : qw/io_uring epoll/;

done_testing;
