#!/usr/bin/perl

# Clients that abuse HTTP/2 by how much they send, with frames made by hand:
# each ends with GOAWAY, ENHANCE_YOUR_CALM and a line in the log, and no memory
# is left with it.  Clients that are only busy are left alone.  Those that
# hold on to what they have are in stalls.t.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::Veil;
use Test::Veil::HTTP2 qw/:all/;

my $t = Test::Veil->new->has('v2', 'proxy');
# It keeps its requests waiting for ever.
$t->upstream(never => handler => sub { $_[0]->wait_peer_close(20) });
$t->upstream(sink => handler => sub { $_[0]->reply(body => 'ok') });
$t->write_file('html/small', 'small');
$t->write_file('html/big', 'x' x 4_000_000);
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "socket: $!";
$t->set(SILENT => $silent->sockport);
$t->config(<<'EOC');
worker_processes 1;
error_log %%TESTDIR%%/error.log info;
http {
    http2 on;
    http2_refused_rate 100;
    keepalive_requests 1000000;
    root %%TESTDIR%%/html;
    access_log off;
    server {
        listen %%PORT_80%%;
        location /never { proxy_pass http://%%UPSTREAM_never%%; }
        location /sink {
            proxy_pass http://%%UPSTREAM_sink%%;
        }
        location /cookie { return 200 $http_cookie; }
        location /empty { return 200; }
    }
    server {
        listen %%PORT_82%%;
        http2_ping_rate 0;
        http2_unknown_frame_rate 0;
        http2_tiny_data_rate 0;
        client_max_body_size 0;
        # Its body is not read: a name is waited for.
        location /held {
            resolver 127.0.0.1:%%SILENT%%;
            set $held held.test;
            proxy_request_buffering off;
            proxy_pass http://$held;
        }
    }
}
EOC
# What is freed is to be free: a sanitizer keeps it for a while.
$t->env(ASAN_OPTIONS => join ':', $ENV{ASAN_OPTIONS} // (),
    'log_path=' . $t->testdir . '/sanitizer', 'quarantine_size_mb=1');
$t->run;

my $pid = ($t->worker_pids)[0];

sub rss {
    open my $f, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kb) = map { /^Anonymous:\s+(\d+)/ ? $1 : () } <$f>;
    return $kb;
}

sub client {
    my ($port, %o) = @_;
    return Test::Veil::HTTP2->connect($t->port($port // 80), %o);
}

# Sends what $more gives, up to so many times, and is to be ended for it.
sub flood {
    my ($name, $line, $more, %o) = @_;
    my $before = rss();
    my $mark = $t->log_mark;
    my $c = client($o{port}, %o{qw/settings ack first/});
    $c->drain(5, sub { $c->count(HEADERS) }) if $o{then};
    my $i = 0;
    my $n = $o{n} // 20_000;
    while ($i < $n) {
        my $bytes = '';
        $bytes .= $more->($i++) for 1 .. $o{step} // 50;
        my $had = $c->count(PING);
        $bytes .= frame(PING, 0, 0, 'abcdefgh') if $o{answered};
        last if !$c->put($bytes, $o{deaf});
        $c->drain(5, sub { $c->count(PING) > $had }) if $o{answered};
    }
    $c->drain(8, sub { $c->{eof} });
    subtest $name => sub {
        is($c->goaway, 11, 'ENHANCE_YOUR_CALM') if !$o{deaf};
        ok($c->{eof}, 'the connection is at its end');
        my $log;
        ok($t->wait_for(sub {
            ($log) = substr($t->log, $mark)
                =~ /^(.*client (?!broke).*connection is ended.*)$/m;
            return $log;
        }), 'is logged');
        like($log // '', qr/\[info\].*$line.*client: 127\.0\.0\.1/,
            'with what it was');
        my ($most, $grown) = $o{kb} // 2048;
        $t->wait_for(sub { ($grown = rss() - $before) < $most });
        cmp_ok($grown, '<', $most, "memory grew by $grown KB");
    };
    $c->close;
    return;
}

my $id = sub { return 2 * $_[0] + 1 };

# Something ordinary first, and all that the worker receives into, so that
# memory is warm: what grows from here on is a flood's.
`h2load -n 2000 -c 4 -m 100 http://127.0.0.1:${\$t->port(80)}/small 2>&1`;
{
    my @c = map { client(82) } 1 .. 4;
    my $junk = frame(0xbb, 0, 0, 'x' x 60_000) x 100;
    $_->put($junk) for @c;
    $_->close for @c;
}

# --- resets, and errors that make us send them

flood('rapid reset', 'more than the 300 that "http2_early_reset_rate"', sub {
    my ($i) = @_;
    return get($id->($i), '/never') . frame(RST, 0, $id->($i), pack 'N', 8);
});
flood('resets of streams that are no more', '"http2_reset_rate"', sub {
    my ($i) = @_;
    return get(1) . frame(RST, 0, 1, pack 'N', 8) if $i == 0;
    return frame(RST, 0, 1, pack 'N', 8);
});

my $errors = 'sent 201 frames .* made us reset a stream, more than the 200 that "http2_max_stream_errors"';
my %made = (
    'a window that overflows' => sub {
        return get($_[0], '/never') . frame(WINDOW, 0, $_[0],
            pack 'N', 0x7fffffff);
    },
    'a body that is longer than declared' => sub {
        return frame(HEADERS, 4, $_[0], head('/never', method => 'POST')
            . field('content-length', 1)) . frame(DATA, 1, $_[0], 'ab');
    },
    'a body that is shorter' => sub {
        return frame(HEADERS, 4, $_[0], head('/never', method => 'POST')
            . field('content-length', 3)) . frame(DATA, 1, $_[0], 'ab');
    },
    'no body where one was declared' => sub {
        return frame(HEADERS, 5, $_[0], head('/never', method => 'POST')
            . field('content-length', 3));
    },
    'a name in upper case' => sub {
        return frame(HEADERS, 5, $_[0], head('/never') . field('X-A', 1));
    },
    'trailers that do not end the stream' => sub {
        return post($_[0], '/never') . frame(HEADERS, 4, $_[0],
            field('x-a', 1));
    },
    'trailers with a pseudo-field' => sub {
        return post($_[0], '/never') . frame(HEADERS, 5, $_[0],
            field(':path', '/'));
    },
);
flood("made to reset: $_", $errors, do {
    my $make = $made{$_};
    sub { return $make->($id->($_[0])) };
}, step => 10, answered => 1, n => 1000) for sort keys %made;
# Its SETTINGS are not acknowledged, so it need not know the limit.
flood('made to reset: more streams than there may be',
    'requests within a second that were refused, more than the 100',
    sub { return get($id->($_[0]), '/never') }, step => 600, n => 1200,
    ack => 0);
flood('heads that are refused', '"http2_refused_rate"',
    sub { frame(HEADERS, 5, $id->($_[0]),
        head('/small') . field('host', 'b')) },
    step => 50, answered => 1);
# The first makes us reset one, after which others might have crossed that.
flood('heads of streams that are no more', '"http2_refused_rate"', sub {
    my ($i) = @_;
    return $made{'a name in upper case'}->(1) if $i == 0;
    return get(3) if $i == 1;
    return frame(HEADERS, 5, 1, field('x-a', 1));
}, answered => 1, step => 50);

# --- frames that ask for little

flood('PING', 'PINGs within a second.*"http2_ping_rate"',
    sub { frame(PING, 0, 0, 'abcdefgh') });
flood('PING, and nothing is read', 'PINGs within a second',
    sub { frame(PING, 0, 0, 'abcdefgh') }, deaf => 1);
# The answers to two million would be 34 MB.
flood('PING without a limit, and nothing is read',
    'does not read (?:the|what)', sub { frame(PING, 0, 0, 'abcdefgh') },
    deaf => 1, port => 82, n => 2_000_000, step => 2000);
flood('SETTINGS', '"http2_settings_rate"', sub { frame(SETTINGS, 0, 0) });
flood('PRIORITY', '"http2_priority_rate"',
    sub { frame(PRIORITY, 0, 1 + 2 * $_[0], pack 'NC', 0, 1) });
flood('PRIORITY that depends on itself', '"http2_priority_rate"',
    sub { frame(PRIORITY, 0, 1 + 2 * $_[0], pack 'NC', 1 + 2 * $_[0], 1) });
flood('PRIORITY_UPDATE', '"http2_priority_rate"',
    sub { frame(PRIORITY_UPDATE, 0, 0, pack('N', 1) . 'u=1') });
flood('WINDOW_UPDATE', '"http2_window_update_rate"',
    sub { frame(WINDOW, 0, 0, pack 'N', 1) });
flood('frames of an unknown type', 'unknown types.*"http2_unknown_frame_rate"',
    sub { frame(0xbb, 0, 0) });
flood('large ones on a stream', '"http2_unknown_frame_rate"',
    sub { frame(0xbb, 0xff, 1, 'x' x 60_000) }, first => get(1, '/never'),
    step => 1, n => 1000);
flood('ALTSVC', '"http2_unknown_frame_rate"',
    sub { frame(ALTSVC, 0, 0, "\0\1ab") });
flood('ORIGIN', '"http2_unknown_frame_rate"',
    sub { frame(ORIGIN, 0, 0, "\0\1a") });
flood('GOAWAY', '"http2_unknown_frame_rate"',
    sub { frame(GOAWAY, 0, 0, pack('NN', 0, 0)) }, first => get(1, '/never'));

# --- DATA

flood('empty DATA', '"http2_empty_data_rate"',
    sub { frame(DATA, 0, 1) }, first => post(1, '/never'));
flood('DATA that is all padding', '"http2_empty_data_rate"',
    sub { frame(DATA, 8, 1, "\xff" . "\0" x 255) },
    first => post(1, '/never'));
flood('DATA of a byte each', '"http2_tiny_data_rate"',
    sub { frame(DATA, 0, 1, 'x') }, first => post(1, '/never'));
flood('the same with padding', '"http2_tiny_data_rate"',
    sub { frame(DATA, 8, 1, "\xffx" . "\0" x 255) },
    first => post(1, '/never'));
flood('DATA of a stream that was reset', '"http2_empty_data_rate"',
    sub { frame(DATA, 0, 1) }, then => 1,
    first => $made{'a name in upper case'}->(1) . get(3));

# Where that is allowed: a window of it is all that is kept, not a buffer for
# each byte of it.
{
    my $c = client(82);
    my $before = rss();
    $c->put(post(1, '/held'));
    $c->put(frame(DATA, 0, 1, 'x') x 100_000) for 1 .. 10;
    my $had = $c->count(PING);
    $c->put(frame(PING, 0, 0, 'abcdefgh'));
    $c->drain(5, sub { $c->count(PING) > $had });
    my $grown = rss() - $before;
    is($c->goaway, 'none', 'a million bytes, each in a frame, are taken');
    cmp_ok($grown, '<', 3072, "and take $grown KB");
    $c->close;
}

# --- heads

flood('CONTINUATION, empty', 'CONTINUATIONs', sub { frame(CONT, 0, 1) },
    first => frame(HEADERS, 1, 1, head('/small')));
flood('CONTINUATION, full', 'sent a head of', sub {
    frame(CONT, 0, 1, field("x-$_[0]", 'x' x 15_000))
}, first => frame(HEADERS, 1, 1, head('/small')), step => 1, n => 1000);
# One field into the table (literal with incremental indexing), then one byte
# for each more.
flood('an HPACK bomb', 'sent a head of', sub {
    my ($i) = @_;
    return frame(HEADERS, 5, $id->($i), head('/small') . "\x40" . str('b')
        . str('x' x 3000)) if $i == 0;
    return frame(HEADERS, 5, $id->($i), head('/small') . "\xbe" x 10_000);
}, step => 1, n => 50);
flood('an HPACK bomb of small fields', 'sent a head of', sub {
    my ($i) = @_;
    return frame(HEADERS, 5, $id->($i), head('/small') . "\x40" . str('b')
        . str('')) if $i == 0;
    return frame(HEADERS, 5, $id->($i), head('/small') . "\xbe" x 16_000);
}, step => 1, n => 50);

# The status of the answer to a head with these fields.
sub status {
    my ($c, $stream, $fields, $path) = @_;
    my $head = head($path // '/empty') . $fields;
    my $flags = 1;
    my $type = HEADERS;
    while (length $head > 16_000) {
        $c->put(frame($type, $flags, $stream, substr $head, 0, 16_000, ''));
        ($type, $flags) = (CONT, 0);
    }
    $c->put(frame($type, $flags | 4, $stream, $head));
    $c->drain(5, sub { $c->count(HEADERS, $stream) });
    my ($f) = grep { $_->[0] == HEADERS && $_->[2] == $stream }
        @{$c->{frames}};
    # From the static table, or a literal.
    return !$f ? 'none' : $f->[3] =~ /^\x20?\x88/ ? 200
        : $f->[3] =~ /^[\x20\x3f\xe1\xff\x03]*[\x08\x48](?:\x03(\d+)|\x82(..))/s
        ? $1 // unpack('H*', $2) : unpack 'H*', $f->[3];
}
{
    my $before = rss();
    my $c = client();
    is(status($c, 1, field('cookie', 'a=b') x 700, '/cookie'), 200,
        'a cookie in 700 crumbs');
    my $many = status($c, 3, field('cookie', 'a=b') x 3000);
    isnt($many, 200, 'one in 3000 is refused');
    is(status($c, 5, field('a', '') x 900), 200, '900 empty fields');
    isnt(status($c, 7, field('a', '') x 3000), 200, '3000 are refused');
    is(status($c, 9, ''), 200, 'the next request is not');
    is($c->goaway, 'none', 'and the connection goes on');
    my $grown = rss() - $before;
    cmp_ok($grown, '<', 2048, "memory grew by $grown KB");
    $c->close;
}

# --- who is only busy

sub h2load {
    my (@args) = @_;
    return `h2load @args http://127.0.0.1:${\$t->port(80)}/small 2>&1`;
}
my $mark = $t->log_mark;
like(h2load('-n 20000 -c 2 -m 256'), qr/20000 succeeded, 0 failed/,
    'h2load with 256 streams at once');
{
    my $c = client(80);
    my $i = 0;
    my $ok = 1;
    for (1 .. 40) {
        my $bytes = '';
        for (1 .. 100) {
            $bytes .= get($id->($i));
            $bytes .= frame(RST, 0, $id->($i), pack 'N', 8) if $i % 10 == 0;
            $i++;
        }
        $ok &&= $c->put($bytes);
        my $want = $i - $i / 10;
        $c->drain(5, sub { $c->count(HEADERS) >= $want });
    }
    is($c->goaway, 'none', 'one that cancels every tenth of 4000 requests');
    cmp_ok($c->count(HEADERS), '>=', 3600, 'and has the others');
    $c->close;
}
{
    my $c = client(80);
    my $acks = 0;
    for (1 .. 5) {
        $c->put(frame(PING, 0, 0, 'abcdefgh') . get($id->($_)));
        $c->drain(5, sub { $c->count(PING) > $acks });
        $acks = $c->count(PING);
    }
    is($acks, 5, 'one that pings with each request');
    is($c->goaway, 'none', 'goes on');
    $c->close;
}
# As gRPC measures how much to allow: each DATA is answered by a PING and two
# WINDOW_UPDATEs.
{
    my $c = client(80, settings => pack('nN', 4, 1 << 20));
    $c->put(frame(WINDOW, 0, 0, pack 'N', 1 << 20)
        . join '', map { get($id->($_), '/big') } 0 .. 9);
    my $done = 0;
    my $got = 0;
    $c->drain(20, sub {
        my $bytes = '';
        for my $f (splice @{$c->{frames}}) {
            my ($type, $flags, $stream, $payload) = @$f;
            push @{$c->{frames}}, $f if $type == GOAWAY;
            next if $type != DATA;
            $done += $flags & 1;
            $got += length $payload;
            my $n = pack 'N', length $payload;
            $bytes .= frame(PING, 0, 0, 'abcdefgh') . frame(WINDOW, 0, 0, $n)
                . ($flags & 1 ? '' : frame(WINDOW, 0, $stream, $n));
        }
        $c->put($bytes) if length $bytes;
        return $done == 10;
    });
    is("$done $got", '10 40000000', 'one that pings with each DATA frame');
    is($c->goaway, 'none', 'goes on');
    $c->close;
}
# One that was stopped for a while, and answers then what had come before.
{
    my $c = client(80, settings => pack('nN', 4, 1 << 24));
    $c->put(frame(WINDOW, 0, 0, pack 'N', 1 << 24) . get(1, '/big'));
    my $last;
    $c->drain(20, sub {
        ($last) = grep { $_->[0] == DATA && $_->[1] & 1 } @{$c->{frames}};
        return $last;
    });
    my $n = $c->count(DATA);
    cmp_ok($n, '>', 200, 'one that has got much');
    sleep 2;
    $c->put(frame(PING, 0, 0, 'abcdefgh') x $n);
    $c->drain(20, sub { $c->count(PING) >= $n });
    is($c->goaway, 'none', 'and pings for it two seconds later');
    is($c->count(PING), $n, 'has its answers');
    $c->close;
}
# Empty messages of gRPC, as fast as they go, and frames of an unknown type
# with each request, which some browsers send.
{
    my $c = client(80);
    $c->put(post(1, '/sink'));
    $c->put(frame(DATA, 0, 1, "\0" x 5) x 1000) for 1 .. 20;
    $c->put(frame(DATA, 1, 1));
    $c->put(get($_) . frame(0x0b, 0, $_, 'grease'))
        for map { $id->($_) } 1 .. 200;
    $c->drain(20, sub { $c->count(HEADERS) == 201 });
    is($c->count(HEADERS), 201, '20000 small messages and 200 requests');
    is($c->goaway, 'none', 'are welcome');
    $c->close;
}
unlike(substr($t->log, $mark), qr/connection is ended/, 'no line for those');

$t->stop;
like($t->log, qr/connections that were ended for early resets: 1\b/,
    'the worker says what it saw');

done_testing();
