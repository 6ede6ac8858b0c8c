#!/usr/bin/perl

# 100 MB through the server, with the receiver slower than the sender: all of
# it arrives unchanged, and the worker's memory does not grow with it.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $size = 100 * 1024 * 1024;
my $most = 32 * 1024;    # KB that a worker may grow, with the ring's buffers

my $t = Test::Veil->new;
my $piece = join '', map { sprintf "%07d\n", $_ } 1 .. 8192;

my $u = $t->upstream(a => raw => sub {
    my ($conn) = @_;
    while (my $req = $conn->read_head) {
        if ($req->{path} eq '/down') {
            $conn->write("HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n");
            $conn->write($piece) or last for 1 .. $size / length $piece;
            next;
        }
        if ($req->{path} eq '/left') {
            $conn->read_body($req);
            my $n = length $req->{body};
            $conn->note("left has $n");
            $conn->wait_peer_close;
            $conn->note("left is over $n");
            last;
        }
        # The receive buffers fill up before anything is read.
        if ($req->{path} eq '/slow') {
            $conn->note('waits');
            $conn->wait('go');
        }
        my ($n, $sum) = (length $conn->{buf}, unpack '%32C*', $conn->{buf});
        $conn->{buf} = '';
        while ($n < $size) {
            my $got = $conn->read_some;
            last if $got eq '';
            $n += length $got;
            $sum += unpack '%32C*', $got;
        }
        $conn->reply(body => "$n $sum");
    }
});

$t->config(<<'EOC');
http {
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    server {
        listen %%PORT_80%%;
        location /file/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /stream/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_request_buffering off;
            proxy_buffering off;
        }
        location /nofile/ {
            proxy_pass http://%%UPSTREAM_a%%/;
            proxy_max_temp_file_size 0;
        }
    }
}
EOC
$t->run;

# A sanitizer keeps what was freed.
my (undef, $built) = $t->command('-V');
$most = 1 << 30 if $built =~ /--with-(asan|tsan|msan|ubsan|sanitize)/;
my ($worker) = $t->worker_pids;

# Of the worker, in KB: now, and at most since the last reset.

sub memory {
    my ($what) = @_;
    open my $f, '<', "/proc/$worker/status" or die "no worker: $!\n";
    return (join('', <$f>) =~ /^$what:\s+(\d+)/m)[0];
}

sub forget_peak {
    open my $f, '>', "/proc/$worker/clear_refs" or die "clear_refs: $!\n";
    print $f "5\n";
}

# Sends in its own process, so that this one can look meanwhile.

sub upload {
    my ($path) = @_;
    my $c = $t->connect(80, timeout => 60);
    $c->write("POST $path HTTP/1.1\r\nHost: a\r\n"
        . "Content-Length: $size\r\n\r\n");
    my $sent = 0;
    return sub {
        my ($patience) = @_;
        while ($sent < $size) {
            my $at = $sent % length $piece;
            my $n = $c->write(substr($piece, $at), $patience);
            $sent += $n;
            last if $n < length($piece) - $at;
        }
        return ($sent, $c);
    };
}

my $want = "$size "
    . (unpack('%32C*', $piece) * ($size / length $piece));

for my $at (qw/file stream/) {
    forget_peak();
    my $before = memory('VmHWM');
    my ($sent, $c) = upload("/$at/up")->();
    is($sent, $size, "$at: 100 MB sent");
    is($c->read_response(timeout => 60)->body, $want, "$at: and received");
    my $grown = memory('VmHWM') - $before;
    cmp_ok($grown, '<', $most, "$at: in bounded memory ($grown KB)");
}

forget_peak();
my $before = memory('VmHWM');
my $more = upload('/stream/slow');
my ($sent, $c) = $more->(0.2);
ok(defined $u->wait_note(qr/waits/), 'slow: a backend that does not read');
($sent, $c) = $more->(0.2);
cmp_ok($sent, '<', $size, 'slow: the client has to wait');
my $grown = memory('VmHWM') - $before;
cmp_ok($grown, '<', $most, "slow: in bounded memory ($grown KB)");
$u->release('go');
($sent, $c) = $more->(60);
is($sent, $size, 'slow: then it goes on');
is($c->read_response(timeout => 60)->body, $want, 'slow: to the end');
$grown = memory('VmHWM') - $before;
cmp_ok($grown, '<', $most, "slow: still bounded ($grown KB)");

# One that is whole before it was passed on, and whose client leaves then.

for my $n (200_000, 400_000, 700_000) {
    $c = $t->connect(80);
    $c->write("POST /stream/left HTTP/1.1\r\nHost: a\r\n"
        . "Content-Length: $n\r\n\r\n" . 'x' x $n);
    ok($u->wait_note(qr/left has $n/), "left: $n bytes have arrived");
    $c->abort;
    ok($u->wait_note(qr/left is over $n/), 'left: the client is seen leaving');
}

for my $at (qw/file stream nofile/) {
    forget_peak();
    $before = memory('VmHWM');
    $c = $t->connect(80, rcvbuf => 65536, timeout => 60);
    $c->send_request(path => "/$at/down");
    $c->read_until(qr/\r\n\r\n/);
    ok(!$t->wait_for(sub { 0 }, 0.3), "$at: a client that does not read");
    my ($n, $same) = (0, 1);
    while ($n < $size) {
        my $got = $c->read_bytes(length $piece, 60);
        last if $got eq '';
        $n += length $got;
        $same &&= $got eq $piece;
    }
    is($n, $size, "$at: 100 MB received");
    ok($same, "$at: unchanged");
    $grown = memory('VmHWM') - $before;
    cmp_ok($grown, '<', $most, "$at: in bounded memory ($grown KB)");
}

done_testing;
