#!/usr/bin/perl

# Clients that abuse HTTP/2, with frames made by hand: each ends with GOAWAY,
# ENHANCE_YOUR_CALM and a line in the log, and no memory is left with it.
# Clients that are only busy are left alone.

use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw/time sleep/;
use Test::Veil;

use constant { DATA => 0, HEADERS => 1, PRIORITY => 2, RST => 3,
    SETTINGS => 4, PING => 6, GOAWAY => 7, WINDOW => 8, CONT => 9,
    PRIORITY_UPDATE => 16 };

my $t = Test::Veil->new->has('v2', 'proxy');
# It keeps its requests waiting for ever.
$t->upstream(never => handler => sub { $_[0]->wait_peer_close(20) });
$t->write_file('html/small', 'small');
$t->write_file('html/big', 'x' x 4_000_000);
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
    }
    server {
        listen %%PORT_81%%;
        send_timeout 1s;
        client_header_timeout 1s;
        keepalive_timeout 1s;
    }
    server {
        listen %%PORT_82%%;
        http2_ping_rate 0;
    }
}
EOC
$t->run;

my $pid = ($t->worker_pids)[0];

sub rss {
    open my $f, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kb) = map { /^Pss:\s+(\d+)/ ? $1 : () } <$f>;
    return $kb;
}

# --- frames

sub frame {
    my ($type, $flags, $id, $payload) = @_;
    $payload //= '';
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload;
}

# HPACK: literal without indexing, a new name.
sub str {
    my ($s) = @_;
    my $n = length $s;
    return chr($n) . $s if $n < 127;
    my $out = chr 127;
    $n -= 127;
    while ($n >= 128) {
        $out .= chr($n % 128 + 128);
        $n = int($n / 128);
    }
    return $out . chr($n) . $s;
}
sub field { return "\0" . str($_[0]) . str($_[1]) }

sub head {
    my ($path, %o) = @_;
    return field(':method', $o{method} // 'GET') . field(':scheme', 'http')
        . field(':path', $path) . field(':authority', 'a');
}
sub get { return frame(HEADERS, 5, $_[0], head($_[1] // '/small')) }
sub post { return frame(HEADERS, 4, $_[0],
    head($_[1] // '/small', method => 'POST')) }

# --- a client

sub client {
    my ($port, $settings) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port($port // 80)) or die "connect: $!";
    $s->blocking(0);
    my $c = { s => $s, in => '', frames => [], eof => 0 };
    put($c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, $settings) . frame(SETTINGS, 1, 0));
    return $c;
}

sub take {
    my ($c) = @_;
    my $n = sysread $c->{s}, my $buf, 65536;
    $c->{eof} = 1 if defined $n ? $n == 0 : !$!{EAGAIN};
    $c->{in} .= $buf if $n;
    while (length $c->{in} >= 9) {
        my ($len, $type, $flags, $id) =
            unpack 'NCCN', "\0" . substr $c->{in}, 0, 9;
        last if length $c->{in} < 9 + $len;
        push @{$c->{frames}}, [$type, $flags, $id,
            substr $c->{in}, 9, $len];
        substr($c->{in}, 0, 9 + $len) = '';
    }
    return;
}

# Sends; reads meanwhile unless it is not to. False when the other end is
# gone, or nothing moves any more.
sub put {
    my ($c, $bytes, $deaf) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sel = IO::Select->new($c->{s});
    while (length $bytes && !$c->{eof}) {
        my ($r, $w) = IO::Select->select($deaf ? undef : $sel, $sel, undef, 5);
        return 0 if !@{$w // []} && !@{$r // []};
        take($c) if @{$r // []};
        next if !@{$w // []};
        my $n = syswrite $c->{s}, $bytes;
        return 0 if !defined $n && !$!{EAGAIN};
        substr($bytes, 0, $n // 0) = '';
    }
    return !$c->{eof};
}

sub drain {
    my ($c, $seconds, $until) = @_;
    my $end = time + $seconds;
    my $sel = IO::Select->new($c->{s});
    while (!$c->{eof} && time < $end) {
        take($c) if $sel->can_read(0.1);
        return if $until && $until->();
    }
    return;
}

# The error of its GOAWAY, or "none".
sub goaway {
    my ($c) = @_;
    my ($f) = grep { $_->[0] == GOAWAY } reverse @{$c->{frames}};
    return $f ? (unpack 'NN', $f->[3])[1] : 'none';
}

sub count { my ($c, $type) = @_;
    return scalar grep { $_->[0] == $type } @{$c->{frames}} }

# Sends what $more gives, up to so many times, and is to be ended for it.
sub flood {
    my ($name, $line, $more, %o) = @_;
    my $before = rss();
    my $mark = $t->log_mark;
    my $c = client($o{port}, $o{settings});
    put($c, $o{first}) if $o{first};
    my $i = 0;
    my $n = $o{n} // 20_000;
    while ($i < $n) {
        my $bytes = '';
        $bytes .= $more->($i++) for 1 .. $o{step} // 50;
        my $had = count($c, PING);
        $bytes .= frame(PING, 0, 0, 'abcdefgh') if $o{answered};
        last if !put($c, $bytes, $o{deaf});
        drain($c, 5, sub { count($c, PING) > $had }) if $o{answered};
    }
    drain($c, 8 * Test::Veil::HTTP1::patience() / 2);
    subtest $name => sub {
        is(goaway($c), 11, 'ENHANCE_YOUR_CALM') if !$o{deaf};
        ok($c->{eof}, 'the connection is at its end');
        my $log;
        ok($t->wait_for(sub {
            ($log) = substr($t->log, $mark) =~ /^(.*connection is ended.*)$/m;
            return $log;
        }), 'is logged');
        like($log // '', qr/\[info\].*$line.*client: 127\.0\.0\.1/,
            'with what it was');
        my $grown = rss() - $before;
        cmp_ok($grown, '<', $o{kb} // 8192, "memory grew by $grown KB");
    };
    close $c->{s};
    return;
}

# Something ordinary first, so that memory is warm.
`h2load -n 2000 -c 4 -m 100 http://127.0.0.1:${\$t->port(80)}/small 2>&1`;

my $id = sub { return 2 * $_[0] + 1 };
flood('rapid reset', 'more than the 300 that "http2_early_reset_rate"', sub {
    my ($i) = @_;
    return get($id->($i), '/never') . frame(RST, 0, $id->($i), pack 'N', 8);
});
flood('resets of streams that are no more', '"http2_reset_rate"', sub {
    my ($i) = @_;
    return get(1) . frame(RST, 0, 1, pack 'N', 8) if $i == 0;
    return frame(RST, 0, 1, pack 'N', 8);
});
flood('resets we are made to send', 'more than the 200 that "http2_max_stream_errors"',
    sub {
        my ($i) = @_;
        return get($id->($i), '/never')
            . frame(WINDOW, 0, $id->($i), pack 'N', 0x7fffffff);
    }, step => 10, answered => 1);
flood('PING', 'PINGs within a second.*"http2_ping_rate"',
    sub { frame(PING, 0, 0, 'abcdefgh') });
flood('PING, and nothing is read', 'PINGs within a second',
    sub { frame(PING, 0, 0, 'abcdefgh') }, deaf => 1);
# So much at once touches all of the worker's receive buffers, 16 MB, for the
# first time; the answers to two million would be hundreds.
flood('PING without a limit, and nothing is read',
    'does not read (?:the|what)', sub { frame(PING, 0, 0, 'abcdefgh') },
    deaf => 1, port => 82, n => 2_000_000, step => 2000, kb => 32_768);
flood('SETTINGS', '"http2_settings_rate"', sub { frame(SETTINGS, 0, 0) });
flood('PRIORITY', '"http2_priority_rate"',
    sub { frame(PRIORITY, 0, 1 + 2 * $_[0], pack 'NC', 0, 1) });
flood('PRIORITY_UPDATE', '"http2_priority_rate"',
    sub { frame(PRIORITY_UPDATE, 0, 0, pack('N', 1) . 'u=1') });
flood('WINDOW_UPDATE', '"http2_window_update_rate"',
    sub { frame(WINDOW, 0, 0, pack 'N', 1) });
flood('empty DATA', '"http2_empty_data_rate"',
    sub { frame(DATA, 0, 1) }, first => post(1, '/never'));
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
flood('heads that are refused', '"http2_refused_rate"',
    sub { frame(HEADERS, 5, $id->($_[0]),
        head('/small') . field('host', 'b')) },
    step => 50, answered => 1);

# --- nothing moves

sub ends {
    my ($name, $line, $first, %o) = @_;
    my $mark = $t->log_mark;
    my $c = client($o{port} // 81, $o{settings});
    put($c, $first);
    my $end = time + 6 * Test::Veil::HTTP1::patience() / 2;
    while (!$c->{eof} && time < $end) {
        drain($c, 0.2);
        put($c, $o{more}) if $o{more} && !$c->{eof};
    }
    subtest $name => sub {
        is(goaway($c), $o{error} // 11, 'GOAWAY');
        ok($c->{eof}, 'the connection is at its end');
        ok($t->wait_for(sub { substr($t->log, $mark) =~ $line }), 'is logged')
            if $line;
    };
    close $c->{s};
    return;
}

ends('windows that stay shut', qr/lets none of 20 responses go on/,
    join('', map { get($id->($_), '/big') } 0 .. 19),
    settings => pack('nN', 4, 0));
ends('windows that stay shut, with PINGs', qr/lets none of 1 responses go on/,
    get(1, '/big'), settings => pack('nN', 4, 0),
    more => frame(PING, 0, 0, 'abcdefgh'));
ends('a head that is never complete', qr/timed out while sending a request's/,
    frame(HEADERS, 1, 1, head('/small')));
ends('PINGs do not keep a connection', undef, get(1), error => 0,
    more => frame(PING, 0, 0, 'abcdefgh'));

# One stream is shut, others go on: only it ends.
{
    my $c = client(81, pack('nN', 4, 1000));
    put($c, get(1, '/big'));
    my $n = 3;
    my $end = time + 6 * Test::Veil::HTTP1::patience() / 2;
    my $reset;
    while (!$reset && !$c->{eof} && time < $end) {
        # Its window is opened now and then; that of the first is not.
        put($c, $n == 3 ? get($n, '/big') : '');
        put($c, frame(WINDOW, 0, 3, pack 'N', 100));
        $n += 2;
        drain($c, 0.1);
        ($reset) = grep { $_->[0] == RST } @{$c->{frames}};
    }
    is($reset && $reset->[2], 1, 'a stream that is shut is reset');
    is(goaway($c), 'none', 'and the connection goes on');
    close $c->{s};
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
        $ok &&= put($c, $bytes);
        my $want = $i - $i / 10;
        drain($c, 5, sub { count($c, HEADERS) >= $want });
    }
    is(goaway($c), 'none', 'one that cancels every tenth of 4000 requests');
    cmp_ok(count($c, HEADERS), '>=', 3600, 'and has the others');
    close $c->{s};
}
{
    my $c = client(80);
    my $acks = 0;
    for (1 .. 5) {
        put($c, frame(PING, 0, 0, 'abcdefgh') . get($id->($_)));
        drain($c, 5, sub { count($c, PING) > $acks });
        $acks = count($c, PING);
    }
    is($acks, 5, 'one that pings with each request');
    is(goaway($c), 'none', 'goes on');
    close $c->{s};
}
unlike(substr($t->log, $mark), qr/the connection is ended/, 'no line for those');

$t->stop;
like($t->log, qr/connections that were ended for early resets: 1\b/,
    'the worker says what it saw');

done_testing();
