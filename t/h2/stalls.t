#!/usr/bin/perl

# Clients of HTTP/2 that hold on to what they have: windows that stay shut or
# open byte by byte, heads and bodies that never end, SETTINGS that are not
# acknowledged, answers that are not read.  Each comes to an end in its time,
# with a line in the log, and holds no more than a little memory until then.

use strict;
use warnings;
use lib 't/lib';
use Time::HiRes qw/time sleep/;
use Test::Veil;
use Test::Veil::HTTP2 qw/:all/;

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
    keepalive_requests 1000000;
    root %%TESTDIR%%/html;
    access_log off;
    server {
        listen %%PORT_80%%;
        location /never { proxy_pass http://%%UPSTREAM_never%%; }
    }
    server {
        listen %%PORT_81%%;
        send_timeout 600ms;
        client_body_timeout 600ms;
        keepalive_timeout 600ms;
        location /never { proxy_pass http://%%UPSTREAM_never%%; }
    }
    server {
        # Which counts from the connection: a client needs time to begin.
        listen %%PORT_82%%;
        client_header_timeout 1200ms;
        location /never { proxy_pass http://%%UPSTREAM_never%%; }
    }
}
EOC
$t->env(ASAN_OPTIONS => join ':', $ENV{ASAN_OPTIONS} // (),
    'log_path=' . $t->testdir . '/sanitizer', 'quarantine_size_mb=1');
$t->run;

my $pid = ($t->worker_pids)[0];
my $patience = Test::Veil::HTTP1::patience();
my $id = sub { return 2 * $_[0] + 1 };

# What is the worker's own; its share of the program grows whenever another
# server on this machine ends.

sub rss {
    open my $f, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kb) = map { /^Anonymous:\s+(\d+)/ ? $1 : () } <$f>;
    return $kb;
}

sub client {
    my ($port, %o) = @_;
    return Test::Veil::HTTP2->connect($t->port($port // 80), %o);
}

`h2load -n 2000 -c 4 -m 100 http://127.0.0.1:${\$t->port(80)}/small 2>&1`;
`h2load -n 40 -c 4 -m 10 http://127.0.0.1:${\$t->port(80)}/big 2>&1`;

sub ends {
    my ($name, $line, $first, %o) = @_;
    my $mark = $t->log_mark;
    my $before = rss();
    my $most = 0;
    my $c = client($o{port} // 81, first => $first, %o{qw/settings ack/});
    my $end = time + 8 * $patience;
    while (!$c->{eof} && time < $end) {
        $c->drain(0.2);
        $most = rss() - $before if rss() - $before > $most;
        $c->put($o{more}) if $o{more} && !$c->{eof};
    }
    subtest $name => sub {
        is($c->goaway, $o{error} // 11, 'GOAWAY');
        ok($c->{eof}, 'the connection is at its end');
        ok($t->wait_for(sub {
            substr($t->log, $mark) =~ /$line.*client: 127\.0\.0\.1/
        }), 'is logged') if $line;
        cmp_ok($most, '<', $o{kb} // 1024, "$most KB were held");
    };
    $c->close;
    return $c;
}

# --- windows

my $all = join '', map { get($id->($_), '/big') } 0 .. 19;
ends('windows that stay shut',
    qr/let none of \d+ responses go on for "send_timeout", 600 ms/, $all,
    settings => pack('nN', 4, 0));
ends('windows that open byte by byte', qr/let none of \d+ responses go on/,
    $all, settings => pack('nN', 4, 0),
    more => join '', map { frame(WINDOW, 0, $id->($_), pack 'N', 1) } 0 .. 19);
ends('the window of all streams that opens byte by byte',
    qr/let none of \d+ responses go on/, $all,
    more => frame(WINDOW, 0, 0, pack 'N', 1));
ends('windows that stay shut, with PINGs',
    qr/let none of 1 responses go on/, get(1, '/big'),
    settings => pack('nN', 4, 0), more => frame(PING, 0, 0, 'abcdefgh'));

# One stream is shut, others go on: only it ends.  A test that is stopped for
# as long as a client may be has shut them all: then once more.
my ($c, $reset);
my $mark = $t->log_mark;
for (1 .. 10) {
    $c = client(81, settings => pack('nN', 4, 4000),
        first => get(1, '/big') . get(3, '/big'));
    my $end = time + 8 * $patience;
    undef $reset;
    while (!$reset && !$c->{eof} && time < $end) {
        # Its window is opened now and then; that of the first is not.
        $c->put(frame(WINDOW, 0, 3, pack 'N', 1000));
        $c->drain(0.1);
        ($reset) = grep { $_->[0] == RST } @{$c->{frames}};
    }
    last if $c->goaway eq 'none';
    $c->close;
}
is($reset && $reset->[2], 1, 'a stream that is shut is reset');
is($c->goaway, 'none', 'and the connection goes on');
ok($t->wait_for_log(qr/let the response go on for "send_timeout"/,
    from => $mark), 'that is logged');
$c->close;

# A client that does not read at all: send_timeout.  What was on its way is
# in the socket; of the answers to come only what is being written is held.
{
    my $mark = $t->log_mark;
    my $before = rss();
    my $c = client(81, settings => pack('nN', 4, 0x7fffffff));
    $c->put(frame(WINDOW, 0, 0, pack 'N', 0x7fff0000 - 65535));
    $c->put(join '', map { get($id->($_), '/big') } 0 .. 39);
    my $most = 0;
    ok($t->wait_for(sub {
        $most = rss() - $before if rss() - $before > $most;
        return substr($t->log, $mark)
            =~ /timed out while responses were sent/;
    }), 'answers that are not read: send_timeout');
    cmp_ok($most, '<', 1024, "$most KB were held for 40 of 4 MB");
    $c->close;
}

# --- heads and bodies

ends('a head that is never complete', qr/timed out while sending a request's/,
    frame(HEADERS, 1, 1, head('/small')), port => 82);
ends('PINGs do not keep a connection', undef, get(1), error => 0,
    more => frame(PING, 0, 0, 'abcdefgh'));
ends('nor do unknown frames', undef, get(1), error => 0,
    more => frame(0xbb, 0, 0, 'abcdefgh'));
{
    my $mark = $t->log_mark;
    my $c = ends('bodies that never come', undef,
        join('', map { post($id->($_), '/never') } 0 .. 255), error => 0,
        kb => 2048);
    is($c->count(HEADERS), 256, 'each has an answer');
    my @late;
    $t->wait_for(sub {
        @late = substr($t->log, $mark)
            =~ /client timed out while sending its request's body/g;
        return @late >= 256;
    });
    is(@late, 256, 'which is logged');
}

# --- SETTINGS

ends('SETTINGS that are not acknowledged',
    qr/not acknowledged our SETTINGS for \d+ ms, "client_header_timeout"/,
    get(1, '/never'), ack => 0, error => 4, port => 82);
ends('and without a request', qr/client timed out/, '', ack => 0, error => 0,
    port => 82);

# --- who is only slow

{
    my $c = client(80, settings => pack('nN', 4, 100));
    $c->put(get(1, '/big'));
    $c->drain(1.5);
    is($c->goaway, 'none', 'where there is time a window may stay shut');
    $c->close;
}
{
    my $c = client(81);
    $c->put(get(1, '/never'));
    $c->drain(1.5);
    is($c->goaway . $c->count(RST), 'none0',
        'and an answer may take its time');
    $c->close;
}
done_testing();
