#!/usr/bin/perl

# Upstreams that break HTTP/2's rules, flood or fall silent: each request ends
# with the right status, the next server is asked where that is safe, and
# the worker goes on with what memory it had.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Python;

my $t = Test::Veil->new->has('v2')->has('v2_upstream');
my $python = Test::Veil::Python->new($t, 'hpack');
my $dir = $t->testdir;

# name => { port, expected }, in order.
sub peers {
    my (undef, $from) = $python->start('t/lib/h2_hostile.py', "$dir/peer.log");
    my @peers;
    while (my $line = readline $from) {
        my ($name, $port, $expected) = split ' ', $line or last;
        push @peers, { name => $name, port => $port, expected => $expected };
    }
    return @peers;
}

my @peers = peers();
my %port = map { $_->{name} => $_->{port} } @peers;
# Those that are given up; others are only slow, on a machine that is busy.
my %slow = map { $_->{name} => 1 }
    grep { $_->{expected} eq '504' || $_->{name} eq 'half-silent' } @peers;

sub timeouts {
    my ($name, $ms) = @_;
    return '' if !$slow{$name};
    return join ' ', map {"proxy_${_}_timeout ${ms}ms;"} qw/connect send read/;
}

my $locations = join '', map { <<"EOC" } @peers;
        location /$_->{name}/ {
            @{[ timeouts($_->{name}, 600) ]}
            proxy_pass http://127.0.0.1:$_->{port};
        }
        location /next/$_->{name}/ {
            @{[ timeouts($_->{name}, 1000) ]}
            proxy_pass http://then-$_->{name};
        }
EOC
my $groups = join '', map { <<"EOC" } @peers;
    upstream then-$_->{name} {
        server 127.0.0.1:$_->{port} max_fails=0;
        server 127.0.0.1:$port{good} backup;
    }
EOC
# So that what was freed does not count.
$t->env(ASAN_OPTIONS => join ':', grep { defined } $ENV{ASAN_OPTIONS},
    "log_path=$dir/sanitizer", 'quarantine_size_mb=1');
$t->config(<<"EOC");
worker_processes 1;
error_log %%TESTDIR%%/error.log info;
http {
    log_format up '\$uri \$status [\$upstream_status] [\$upstream_addr]';
    access_log %%TESTDIR%%/up.log up;
    client_max_body_size 20m;
    proxy_http_version 2;
    proxy_next_upstream error timeout invalid_header;
$groups
    server {
        listen %%PORT_80%%;
        http2 on;
$locations
        location /hush/ {
            proxy_connect_timeout 60s;
            proxy_pass http://127.0.0.1:$port{silent};
        }
    }
}
EOC
$t->run;

my $worker = ($t->worker_pids)[0];
sub memory {
    open my $f, '<', "/proc/$worker/smaps_rollup" or return 0;
    my ($kb) = map { /^Anonymous:\s+(\d+)/ ? $1 : () } <$f>;
    return $kb;
}

# What the peers wrote down.
sub notes {
    my ($name) = @_;
    return map { /^\Q$name\E (.*)/ ? $1 : () }
        split /\n/, $t->read_file('peer.log');
}

my %post = ('window-shut' => 'x' x 100, 'reads-nothing' => 'x' x 10_000_000);
my %many = map { $_ => 1 } qw(dies dies-first);

sub ask {
    my ($name, $uri) = @_;
    return exists $post{$name} ? $t->post($uri, $post{$name}) : $t->get($uri);
}

# --- each by itself

$t->get('/good/');
my $before = memory();
for my $peer (grep { !$many{$_->{name}} } @peers) {
    my $name = $peer->{name};
    my $mark = $t->log_mark;
    my $r = ask($name, "/$name/");
    my $status = $r->status // 'none';
    if ($peer->{expected} eq 'cut') {
        ok($status ne '200' || !$r->complete, "$name: not a whole answer")
            or diag($r);
    } else {
        is($status, $peer->{expected}, $name) or diag(
            substr $t->log, $mark);
    }
    if ($ENV{TEST_VEIL_LINES}) {
        note(memory() - $before, ' KB');
        note(substr $t->log, $mark);
    }
}
is(($t->worker_pids)[0], $worker, 'the worker lives');
is($t->get('/good/')->status, 200, 'and serves');

# --- what the log says

for my $line (
    [ 'silent', qr/upstream "[\d.:]+" sent no SETTINGS of HTTP\/2/ ],
    [ 'http1', qr/broke the rules of HTTP\/2: PROTOCOL_ERROR \(SETTINGS exp/ ],
    [ 'hpack-index', qr/broke the rules of HTTP\/2: COMPRESSION_ERROR/ ],
    [ 'headers-on-idle', qr/upstream broke the rules of HTTP\/2 while reading response header from upstream, .*"GET \/headers-on-idle\// ],
    [ 'data-padding', qr/upstream broke the rules of HTTP\/2 while reading upstream, .*"GET \/data-padding\// ],
    [ 'value-crlf', qr/sent an invalid response over HTTP\/2: .*while reading response header .*"GET \/value-crlf\// ],
    [ 'length-short', qr/sent an invalid response over HTTP\/2: .* while reading upstream, .*"GET \/length-short\// ],
    [ 'rst-cancel', qr/upstream reset the stream: CANCEL while reading response header from upstream, .*"GET \/rst-cancel\// ],
    [ 'half-rst', qr/upstream reset the stream: NO_ERROR while reading upstream, .*"GET \/half-rst\// ],
    [ 'goaway-half', qr/upstream refused the request while reading upstream, .*"GET \/goaway-half\// ],
    [ 'goaway-error', qr/ends its HTTP\/2 connection: INTERNAL_ERROR/ ],
    [ 'big', qr/upstream sent too big header while reading response header .*"GET \/big\// ],
    [ 'big-trailers', qr/upstream sent too big trailers while reading upstream, .*"GET \/big-trailers\// ],
    [ 'ping-flood', qr/sends HTTP\/2 frames of no use, its connection is ended/ ],
    [ 'interim-flood', qr/sent too many interim responses .*"GET \/interim-flood\// ],
    [ 'streams-0-refused', qr/upstream refused the request while sending request to upstream, .*"GET \/streams-0-refused\// ],
) {
    ok($t->wait_for_log($line->[1]), "$line->[0]: the log");
}

# --- what they heard

ok($t->wait_for(sub { join(' ', notes('ping-flood'))
    =~ /goaway ENHANCE_YOUR_CALM|over after/ }), 'a flood is ended');
for my $name (qw(ping-flood settings-flood priority-flood window-flood
        empty-data-flood padding-flood continuation-flood
        continuation-fields hpack-bomb rst-flood)) {
    my $over;
    $t->wait_for(sub {
        ($over) = join(' ', notes($name)) =~ /over after (\d+)/;
    });
    ok(defined $over && $over < 250_000, "$name: cut off")
        or diag(join "\n", notes($name));
}
is(scalar(grep { /request/ } notes('rst-internal-error')), 1,
    'what was reset is not asked for again');
is(scalar(grep { /request/ } notes('streams-0-refused')), 4,
    'what was refused is, up to three times');
is(join(' ', map { /request \d (\w+)/ } notes('wants-http1')), 'GET GET',
    'HTTP_1_1_REQUIRED: the same over HTTP/1');
ok($t->wait_for(sub { grep { /reset 2 / } notes('push') }),
    'what was pushed is refused');

# --- the next server

for my $peer (@peers) {
    my ($name, $expected) = @$peer{qw(name expected)};
    next if $many{$name} || $name eq 'good' || $expected !~ /^5/
        || $name eq 'streams-0-refused';
    my $post = exists $post{$name};
    my $want = $post ? $expected : 200;
    my ($r, $n, @seen);
    # The other has no more time than the one that is given up: now and then
    # it needs some.
    for (1 .. ($slow{$name} ? 10 : 1)) {
        $r = ask($name, "/next/$name/");
        $n++;
        last if $r->status == $want;
    }
    is($r->status, $want, "$name, then another");
    my $tried = $post ? $expected : "$expected, 200";
    ok($t->wait_for(sub {
        @seen = $t->read_file('up.log')
            =~ m{^/next/\Q$name\E/ \d+ \[(.*?)\] }mg;
        return @seen == $n;
    }), 'logged');
    is($seen[-1], $tried, '$upstream_status');
}

# --- a hundred streams on one connection

sub load {
    my ($uri) = @_;
    my $port = $t->port(80);
    return `h2load -n 100 -c 1 -m 100 http://127.0.0.1:$port$uri 2>&1`;
}
like(load('/dies/'), qr/ 0 succeeded, 100 failed/, 'a hundred half answers');
like(load('/dies-first/'), qr/ 0 2xx, 0 3xx, 0 4xx, 100 5xx/,
    'none at all: 502');
like(load('/next/dies-first/'), qr/ 100 2xx/, 'then another server');
is(scalar(grep { /request/ } notes('dies-first')), 200, 'all were asked');
like(load('/refused/'), qr/ 100 2xx/, 'and of one that behaves');

# --- several that wait for SETTINGS that do not come

my @wait = map {
    my $c = $t->connect(80);
    $c->write("GET /silent/ HTTP/1.1\r\nHost: a\r\n\r\n");
    $c;
} 1 .. 4;
$wait[1]->close; # which nobody but us knows of
is(scalar(grep { $wait[$_]->read_until(qr/\r\n/) =~ / 504 / } 0, 2, 3), 3,
    'who waits gets 504');
@wait = map {
    my $c = $t->connect(80);
    $c->write("GET /silent/ HTTP/1.1\r\nHost: a\r\n\r\n");
    $c;
} 1 .. 3;
$_->close for @wait;
is($t->get('/good/')->status, 200, 'nobody waits any more');

# --- memory: the same again

my @floods = grep { /flood|bomb|fields/ && !/body/ } map { $_->{name} } @peers;
$t->get("/$_/") for @floods;
$before = memory();
$t->get("/$_/") for @floods, @floods;
my $grown;
$t->wait_for(sub { ($grown = memory() - $before) < 4096 });
cmp_ok($grown, '<', 4096, "memory grew by $grown KB");

# Such a connection, which nobody wants any more, does not hold the worker up.
my $known = grep { /connected/ } notes('silent');
my @hush = map {
    my $c = $t->connect(80);
    $c->write("GET /hush/ HTTP/1.1\r\nHost: a\r\n\r\n");
    $c;
} 1 .. 3;
ok($t->wait_for(sub { $known < grep { /connected/ } notes('silent') }),
    'three wait');
$_->close for @hush;
is($t->get('/good/')->status, 200, 'nobody does any more');

done_testing();
