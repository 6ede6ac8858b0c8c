#!/usr/bin/perl

# Clients of every kind at once: right, wrong, slow, cut off in the middle.
#
# Each connection is a plan made by a random number generator with a known
# seed: what to send and in which pieces, how eagerly to read, when and how to
# leave.  The server has few buffers and few connections, is told to reload
# meanwhile, and at last to end while all of them are busy.  Between them
# honest clients check every byte of what they get.  What is asserted besides
# is the harness's: no sanitizer report, no alert, nothing left open.
#
# TEST_VEIL_SEED repeats a run, TEST_VEIL_LONG makes it longer: a minute, or as
# many seconds as it says, with another seed each time, and once more with few
# descriptors.

use strict;
use warnings;
use lib 't/lib';
use Errno qw/EINPROGRESS EAGAIN EWOULDBLOCK/;
use IO::Poll;
use IO::Socket::INET;
use Socket qw/SOL_SOCKET SO_LINGER SO_RCVBUF MSG_NOSIGNAL/;
use Test::Veil;
use Time::HiRes qw/time/;

my $long = $ENV{TEST_VEIL_LONG};
my $seconds = !$long ? 4 : $long > 1 ? $long : 60;
my $seed = $ENV{TEST_VEIL_SEED} // ($long ? time & 0xffffff : 42);
my $clients = 120;
my $honest = 8;
my @backends = $ENV{TEST_VEIL_USE} && $ENV{TEST_VEIL_USE} ne 'auto'
    ? $ENV{TEST_VEIL_USE} : qw/io_uring epoll/;

alarm 40 + 80 * @backends if $long;
note "TEST_VEIL_SEED=$seed";

my $config = <<'EOC';
worker_processes 2;
%%LIMIT%%
shutdown_timeout 2s;
worker_shutdown_timeout 60s;
events {
    use %%BACKEND%%;
    worker_connections 128;
    client_io_buffers 8;
    client_io_buffer_size 4k;
}
http {
    client_header_timeout 2s;
    client_body_timeout 1s;
    send_timeout 1s;
    keepalive_timeout 1s;
    lingering_time 1s;
    lingering_timeout 300ms;
    reset_timedout_connection on;
    default_type text/plain;
    access_log %%TESTDIR%%/access.log;
    client_body_temp_path %%TESTDIR%%/body_temp;
    proxy_temp_path %%TESTDIR%%/proxy_temp;
    proxy_connect_timeout 500ms;
    proxy_read_timeout 1s;
    proxy_send_timeout 1s;
    early_hints 1;

    upstream chaotic {
        server %%BEHIND%% max_fails=0;
        server %%BEHIND%% max_fails=2 fail_timeout=100ms;
        keepalive 4;
    }
    upstream honest {
        server %%BEHIND%% max_fails=0;
        keepalive 4;
    }
    upstream own {
        server %%PORT_82%% max_fails=0;
        keepalive 4;
    }
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        # Honest clients are not always quick, on a busy machine.
        client_header_timeout 20s;
        send_timeout 20s;
        client_body_timeout 20s;
        keepalive_timeout 20s;
        lingering_time 20s;
        lingering_timeout 20s;
        error_page 404 /404.html;
        error_page 403 =200 @named;
        error_page 502 http://example.com/;

        location /200 { return 200 "$request_method $uri $args"; }
        location /301 { return 301 /200; }
        location /403 { return 403; }
        location /444 { return 444; }
        location /502 { return 502; }
        location /loop { rewrite ^/loop(.*) /loop$1 last; }
        location /re { rewrite ^/re/(.*)$ /$1 last; }
        location /again { error_page 404 /again/x; recursive_error_pages on; }
        location /413 { client_max_body_size 10; return 200 no; }
        location /rate { limit_rate 20k; alias %%TESTDIR%%/html/; }
        location /memory { sendfile off; alias %%TESTDIR%%/html/; }
        location @named { return 200 named; }

        location /chaos/ {
            proxy_pass http://chaotic;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_buffers 4 4k;
            proxy_buffer_size 4k;
            proxy_next_upstream error timeout invalid_header http_500
                non_idempotent;
            proxy_intercept_errors on;
        }
        location /chaos/direct {
            proxy_pass http://chaotic;
            proxy_buffering off;
            proxy_request_buffering off;
        }
        location /echo {
            proxy_pass http://honest;
            proxy_buffers 4 4k;
            client_body_buffer_size 8k;
            proxy_connect_timeout 20s;
            proxy_read_timeout 20s;
            proxy_send_timeout 20s;
        }
        location /echo/direct {
            proxy_pass http://honest;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_connect_timeout 20s;
            proxy_read_timeout 20s;
            proxy_send_timeout 20s;
        }
        location /own/ {
            proxy_pass http://own/;
            proxy_connect_timeout 20s;
            proxy_read_timeout 20s;
            proxy_send_timeout 20s;
        }
        location /own/direct/ {
            proxy_pass http://own/;
            proxy_buffering off;
            proxy_connect_timeout 20s;
            proxy_read_timeout 20s;
            proxy_send_timeout 20s;
        }
    }
    server {
        listen %%PORT_82%%;
        root %%TESTDIR%%/html;
        keepalive_requests 5;
        client_header_timeout 20s;
        send_timeout 20s;
    }
    server {
        listen %%PORT_81%%;
        root %%TESTDIR%%/html;
        reset_timedout_connection off;
        lingering_close always;
        open_file_cache max=4 inactive=1s;
        large_client_header_buffers 2 1k;
        keepalive_requests 3;
        chunked_transfer_encoding off;
    }
}
EOC

my %files = (
    '/small' => 'small',
    '/4k' => 'x' x 4096,
    '/100k' => join('', map { sprintf "%07d\n", $_ } 1 .. 12_800),
    '/8m' => join('', map { sprintf "%07d\n", $_ } 1 .. 1_048_576),
    '/404.html' => 'not there',
    '/dir/index.html' => 'index',
);

# ------------------------------------------------------------------ requests --

sub any { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }

my @paths = (qw{/small /small /4k /100k /8m /missing /dir /dir/ /200 /200?a=b
    /chaos/ /chaos/a /chaos/b?c /chaos/direct /chaos/direct/a /own/8m
    /own/direct/8m /own/small /echo /echo/direct /301 /403 /444 /502 /loop /re/200 /re/100k /again /413 /rate/100k /rate/8m
    /memory/100k /memory/8m /%2e%2e/%2e%2e/etc/passwd /a/../200 //200 /%00 /%
    /200%0d%0aX:%20y /..  /404.html}, '/' . 'a' x 3000);

sub body {
    my $n = int any(0, 1, 10, 100, 5_000, 70_000, 400_000);
    return join '', map { chr 97 + $_ % 26 } 1 .. $n if $n <= 100;
    return 'b' x $n;
}

sub chunked {
    my ($body) = @_;
    my $text = '';
    while (length $body) {
        my $piece = substr $body, 0, 1 + rand(length $body), '';
        $text .= sprintf "%x%s\r\n%s\r\n", length $piece,
            chance(0.1) ? ';a="b;c"' : '', $piece;
    }
    return $text . "0\r\n" . (chance(0.2) ? "X-Trailer: a\r\n" : '') . "\r\n";
}

sub good {
    my $path = any(@paths);
    my @head = ('Host: ' . any('a', 'a:80', '[::1]', 'A.b'));
    my $method = any(qw/GET GET GET GET HEAD POST PUT OPTIONS DELETE BREW/);
    my $version = chance(0.9) ? '1.1' : '1.0';
    my $body = '';

    push @head, 'Connection: ' . any('close', 'keep-alive', 'upgrade, te')
        if chance(0.2);
    push @head, 'Range: bytes=' . any('0-0', '5-', '-5', '1-2,4-5,7-9', '9-1',
        '0-99999999999', join ',', map {"$_-$_"} 1 .. 30) if chance(0.2);
    push @head, 'If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT'
        if chance(0.1);
    push @head, "X-Field-$_: " . 'v' x rand 200 for 1 .. (chance(0.2) ? 30 : 2);
    push @head, 'Upgrade: websocket' if chance(0.05);
    if ($method =~ /^P|BREW/ || chance(0.05)) {
        $body = body();
        push @head, 'Expect: 100-continue' if chance(0.2);
        if (chance(0.5) && $version eq '1.1') {
            push @head, 'Transfer-Encoding: chunked';
            $body = chunked($body);
        } else {
            push @head, 'Content-Length: ' . length $body;
        }
    }
    $path = "http://a$path" if chance(0.05);
    return "$method $path HTTP/$version\r\n"
        . join('', map {"$_\r\n"} @head) . "\r\n$body";
}

my @corpus = map {
    open my $f, '<:raw', $_ or die "$_: $!";
    local $/;
    <$f>;
} grep {-f} glob 't/fuzz/corpus/*/*';

sub bad {
    my $kind = int rand 10;
    return any(@corpus) if $kind < 3;
    return join '', map { chr rand 256 } 1 .. 1 + rand 3000 if $kind == 3;
    return any("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /200 HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'r' x 500,
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\n\n", "\r\n" x 5000,
        "GET / HTTP/1.1\r\n" . "Host: a\r\n" x 2 . "\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
        "POST /200 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            . any('ffffffffffffffffff', '-1', 'z', "5\r\nabc", "1\nx"),
        "GET /small HTTP/1.1\r\nHost: a\r\nX: " . 'y' x 100_000) if $kind < 6;

    my $text = good();
    for (1 .. 1 + rand 5) {
        my $at = int rand length $text;
        my $what = rand 4;
        substr($text, $at, 1) = chr rand 256 if $what < 1;
        substr($text, $at, 0) = any("\r\n", "\0", ' ', "\t", "\n", ':', 'x')
            if $what >= 1 && $what < 2;
        substr($text, $at, 1 + rand 10) = '' if $what >= 2 && $what < 3;
        $text = substr $text, 0, $at if $what >= 3;
        return 'x' if !length $text;
    }
    return $text;
}

# What a backend says; part of it may be missing, or it may come slowly.

sub answer {
    my $body = body();
    my $length = 'Content-Length: ' . length $body;
    my $text = any(
        "HTTP/1.1 200 OK\r\n$length\r\n\r\n$body",
        "HTTP/1.1 200 OK\r\n$length\r\nConnection: close\r\n\r\n$body",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . chunked($body),
        "HTTP/1.0 200 OK\r\nX: y\r\n\r\n$body",
        "HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 404 No\r\n$length\r\n\r\n$body",
        "HTTP/1.1 500 No\r\n$length\r\n\r\n$body",
        "HTTP/1.1 302 Go\r\nLocation: /small\r\n$length\r\n\r\n$body",
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /small\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /chaos/again\r\n\r\n",
        "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n"
            . "Connection: upgrade\r\n\r\n$body",
        "HTTP/1.1 200 OK\r\n$length\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: " . 'y' x 10_000 . "\r\n\r\n",
        join('', map { chr rand 256 } 1 .. 1 + rand 3000), "\r\n" x 100, '');
    $text = "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" x (1 + rand 3) . $text
        if chance(0.2);
    $text .= any('x', $text) if chance(0.05);
    $text = substr $text, 0, rand length $text if chance(0.2);
    return $text;
}

sub stream {
    my $kind = rand;
    return good() if $kind < 0.3;
    return join '', map { good() } 1 .. 1 + rand 20 if $kind < 0.5;
    return "GET /200 HTTP/1.1\r\nHost: a\r\n\r\n" x any(100, 3000)
        if $kind < 0.55;
    return good() . bad() . good() if $kind < 0.65;
    return '' if $kind < 0.7;
    return bad();
}

# --------------------------------------------------------------- connections --

# One plan: out, piece, pause; how it reads; and how it ends.

sub chaotic {
    my ($port) = @_;
    my $c = {
        out => stream(),
        piece => any(1, 7, 100, 1_000, 1e6, 1e6, 1e6),
        pause => any(0, 0, 0, 0.001, 0.02),
        reads => any(0, 100, 4_096, 65_536, 65_536, 65_536),
        nap => any(0, 0, 0, 0.01, 0.1),
        end => any(qw/close reset shutdown shutdown patient patient/),
        until => time + any(0.01, 0.1, 0.5, 1, 3),
    };
    $c->{reset_at} = int rand length $c->{out} if chance(0.2);
    return plug($c, $port, chance(0.3));
}

sub plug {
    my ($c, $port, $narrow) = @_;
    my $s = IO::Socket::INET->new(Proto => 'tcp') or return;
    $s->blocking(0);
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4096 if $narrow;
    my $to = Socket::pack_sockaddr_in($port, Socket::inet_aton('127.0.0.1'));
    connect $s, $to or $! == EINPROGRESS or return;
    $c->{socket} = $s;
    $c->{from} = $s->sockport;
    $c->{write_at} = $c->{read_at} = 0;
    return $c;
}

sub leave {
    my ($c, $how) = @_;
    setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $how eq 'reset';
    close $c->{socket};
    return 0;
}

# A connection from the server: it is read until it asks for something, and
# then an honest answer comes, or any.

sub behind {
    my ($s) = @_;
    $s->blocking(0);
    return { socket => $s, behind => 1, out => '', in => '', piece => 1e6,
        pause => 0, reads => 65_536, nap => 0, write_at => 0, read_at => 0,
        end => 'patient', until => time + 300 };
}

sub respond {
    my ($c) = @_;

    while ($c->{in} =~ /\r\n\r\n/) {
        my ($at, $end) = ($-[0], $+[0]);
        my $head = substr $c->{in}, 0, $at;

        if ($head =~ m{^(\w+) /echo}) {
            my $method = $1;
            my ($len) = $head =~ /^Content-Length: (\d+)\r?$/mi;
            if ($head =~ /^Transfer-Encoding:/mi) {
                return if $c->{in} !~ /\r\n0\r\n(?:.*\r\n)?\r\n\z/;
                $c->{in} = '';
                $c->{out} .= "HTTP/1.1 204 No Content\r\n\r\n";
                return;
            }
            $len //= 0;
            return if length $c->{in} < $end + $len;
            $c->{out} .= "HTTP/1.1 200 OK\r\nContent-Length: $len\r\n\r\n";
            $c->{out} .= substr $c->{in}, $end, $len if $method ne 'HEAD';
            substr($c->{in}, 0, $end + $len) = '';
            next;
        }
        $c->{in} = '';
        return if $c->{out} ne '' || $c->{over};
        $c->{out} = answer();
        $c->{piece} = any(1, 100, 5_000, 1e6, 1e6);
        $c->{pause} = any(0, 0, 0, 0.01);
        $c->{over} = chance(0.5);
        if (chance(0.3)) {
            $c->{until} = time + any(0, 0.01, 0.1, 0.5);
            $c->{end} = any(qw/close reset/);
        }
        $c->{reads} = any(0, 100) if chance(0.1);
    }
}

# step($c): true while it stays.

sub step {
    my ($c, $can, $now) = @_;

    if (length $c->{out} && $can & POLLOUT && $now >= $c->{write_at}) {
        my $n = send $c->{socket}, substr($c->{out}, 0, $c->{piece}),
            MSG_NOSIGNAL;
        if (defined $n) {
            substr($c->{out}, 0, $n) = '';
            $c->{sent} += $n;
            $c->{write_at} = $now + $c->{pause};
            return leave($c, 'reset')
                if $c->{reset_at} && $c->{sent} >= $c->{reset_at};
            shutdown $c->{socket}, 1
                if !length $c->{out} && $c->{end} eq 'shutdown';
        } elsif ($! != EAGAIN) {
            return leave($c, 'close') if !$c->{honest};
            $c->{failed} = "writing: $!";
            $c->{out} = '';
        }
    }
    if ($c->{reads} && $can & (POLLIN | POLLHUP | POLLERR)
        && $now >= $c->{read_at})
    {
        my $n = sysread $c->{socket}, my $data, $c->{reads};
        if ($n) {
            $c->{read_at} = $now + $c->{nap};
            $c->{in} .= $data if $c->{honest} || $c->{behind};
            respond($c) if $c->{behind};
        } elsif (defined $n || $! != EAGAIN) {
            $c->{failed} //= defined $n ? 'the end' : "$!";
            return leave($c, 'close');
        }
    }
    return 1 if $now < $c->{until};
    return leave($c, $c->{end} eq 'reset' ? 'reset' : 'close');
}

# An honest client: many requests of one connection, and all their answers.

my $checked = 0;

sub trustworthy {
    my ($port) = @_;
    my $c = { out => '', honest => 1, in => '', piece => any(20_000, 1e6),
        pause => 0, reads => 65_536, nap => 0, end => 'patient',
        until => time + 60, expect => [] };

    for (1 .. 1 + rand 12) {
        my $path = any(qw{/small /4k /100k /200 /413 /8m /memory/100k /echo
            /echo /echo/direct /own/small /own/100k /own/direct/8m});
        my $posts = $path =~ m{^/(?:200|echo)};
        my $body = !$posts ? '' : join '',
            map {"$_,"} 1 .. any(0, 1, 10, 1_000, 20_000);
        $c->{out} .= ($posts ? 'POST' : 'GET')
            . " $path HTTP/1.1\r\nHost: a\r\n"
            . ($posts ? 'Content-Length: ' . length($body) . "\r\n" : '')
            . "\r\n$body";
        (my $file = $path) =~ s{^/(?:memory|own/direct|own)/}{/};
        push @{ $c->{expect} }, $path eq '/200' ? 'POST /200 '
            : $path eq '/413' ? 'no' : $posts ? $body : $files{$file};
    }
    $c->{asked} = $c->{out};
    return plug($c, $port, 0);
}

# judge($c): a complaint, '' when all is there, undef when more must come.

sub judge {
    my ($c) = @_;
    while (@{ $c->{expect} }) {
        if ($c->{in} !~ /\r\n\r\n/) {
            return undef if !defined $c->{failed};
            # Whoever drains may end a connection between two answers.
            return '' if $c->{drained} && $c->{in} eq '';
            return "$c->{failed}, and an answer is missing";
        }
        my ($at, $end) = ($-[0], $+[0]);
        my $head = substr $c->{in}, 0, $at;
        my ($len) = $head =~ /^Content-Length: (\d+)\r?$/mi;
        return "an answer of another kind: $head"
            if $head !~ m{^HTTP/1\.1 200 } || !defined $len;
        if (length $c->{in} < $end + $len) {
            return undef if !defined $c->{failed};
            return "$c->{failed}, and an answer is short";
        }
        my $want = shift @{ $c->{expect} };
        my $got = substr $c->{in}, $end, $len;
        if ($got ne $want) {
            my $i = 0;
            $i++ while substr($got, $i, 1) eq substr $want, $i, 1;
            return "another body than expected: $len bytes, not "
                . length($want) . ", the same up to byte $i: "
                . substr $got, $i, 40;
        }
        substr($c->{in}, 0, $end + $len) = '';
        $checked++;
        # A server that drains says so, and keeps its word.
        return '' if $head =~ /^Connection: close/mi;
    }
    return length $c->{in} ? 'more than was asked for' : '';
}

# ----------------------------------------------------------------------- run --

# With a limit of descriptors nobody is served reliably, but all the rest of
# the rules holds.

sub run {
    my ($backend, $limit) = @_;
    my $t = Test::Veil->new;
    my (@all, @complaints, $reloads, $settled);
    my ($opened, $answered) = (0, 0);
    my $listen = IO::Socket::INET->new(Listen => 1000, Blocking => 0,
        LocalAddr => '127.0.0.1', Proto => 'tcp') or die "listen: $!";

    $t->set(LIMIT => $limit ? "worker_rlimit_nofile $limit;" : '',
        BACKEND => $backend, BEHIND => '127.0.0.1:' . $listen->sockport);
    $t->config($config);
    $t->write_file("html$_", $files{$_}) for keys %files;
    $t->run;
    srand $seed;

    my ($begin, $poll) = (time, IO::Poll->new);
    my $enough = $checked + 50;
    my %old = map { $_ => 1 } $t->worker_pids;
    # On a busy machine for as long as it takes to see something.
    my ($longest, $now) = ($begin + 10 * $seconds);
    while (($now = time) < $begin + $seconds
        || $now < $longest && ($opened <= $clients || $answered <= 20
            || $checked <= $enough && !$limit))
    {
        my $n = grep { $_->{honest} } @all;
        push @all, grep {$_} trustworthy($t->port(80))
            while $n++ < $honest && !$limit;
        while ((grep { !$_->{behind} } @all) < $clients) {
            my $c = chaotic($t->port(chance(0.7) ? 80 : 81)) or last;
            push @all, $c;
            $opened++;
        }
        if ($reloads && !$settled) {
            # Until all the old workers say that they are shutting down, they
            # accept.
            $settled = 1 if !grep { $old{ $_->{pid} } && !$_->{ending} }
                Test::Veil::Proc::named($t->pid);
            $_->{drained} = 1 for @all;
        }
        while (my $s = $listen->accept) {
            push @all, behind($s);
            $answered++;
        }
        if (!$reloads && $now > $begin + $seconds / 2) {
            $reloads = $now;
            $t->signal('HUP');
        }
        $poll->mask($listen, POLLIN);
        $poll->mask($_->{socket}, (length $_->{out} ? POLLOUT : 0)
            | ($_->{reads} ? POLLIN : 0)) for @all;
        $poll->poll(0.02);
        my @stay;
        for my $c (@all) {
            my $can = $poll->events($c->{socket});
            $poll->remove($c->{socket});
            my $stays = step($c, $can, $now);
            if ($c->{honest}) {
                my $said = judge($c);
                push @complaints, sprintf "%s after %.1f s, reloaded after %.1f"
                    . " s, port %d, asked:\n%s", $said, $now - $begin,
                    $reloads ? $reloads - $begin : 0, $c->{from},
                    substr $c->{asked}, 0, 500 if $said;
                $stays = 0 if defined $said;
            }
            push @stay, $c if $stays;
        }
        @all = @stay;
    }
    cmp_ok($opened, '>', $clients, "$backend: $opened connections");
    cmp_ok($answered, '>', 20, "$backend: $answered behind it");
    is(scalar @complaints, 0, "$backend: honest clients are served")
        or diag($complaints[0]);

    # Most of them go, and the server is as before.
    close $listen;
    @all = grep { !$_->{honest} } @all;
    splice @all, 20;
    my $r = $t->wait_for(sub {
        my $r = eval { $t->get('/100k', timeout => 5) };
        return $r && $r->status == 200 && $r->body eq $files{'/100k'};
    }, 30);
    ok($r, "$backend: it still answers");

    # The others are there when it ends.
    $t->stop;
    @all = ();
}

for my $backend (@backends) {
    run($backend);
    run($backend, 60) if $long;
}
cmp_ok($checked, '>', 50 * @backends, "$checked answers checked");

done_testing;
