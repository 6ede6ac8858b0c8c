#!/usr/bin/perl

# gRPC-Web in front of grpc_pass and a server that others have written
# (python3-grpcio): statuses, metadata, deadlines, and what the log says.

use strict;
use warnings;
use lib 't/lib';
use MIME::Base64 qw/encode_base64 decode_base64/;
use Test::Veil;
use Test::Veil::GRPC qw/frame frames/;
use Test::Veil::Python;

my $t = Test::Veil->new(timeout => 60)->has('grpc');
my $python = Test::Veil::Python->new($t, 'grpc');
my $dir = $t->testdir;
$t->set(GRPC => '127.0.0.1:'
    . $python->server('t/lib/grpc_server.py', "$dir/server.log"));
$t->config(<<'EOC');
http {
    client_max_body_size 20m;
    log_format calls '$uri $status $grpc_status $upstream_status';
    access_log %%TESTDIR%%/calls.log calls;
    server {
        listen %%PORT_80%%;
        grpc_web on;
        grpc_web_origin https://app.example.com;
        location / { grpc_pass %%GRPC%%; }
        location /gone/ { grpc_pass %%PORT_81%%; }
        location /denied/ {
            deny all;
            grpc_pass %%GRPC%%;
        }
        location /paged/ {
            error_page 502 /page;
            grpc_pass %%PORT_81%%;
        }
        location /page { return 200 "a page"; }
    }
}
EOC
$t->run;

my $text;

sub call {
    my ($method, $message, @header) = @_;
    my $path = $method =~ m{^/} ? $method : "/test.Test/$method";
    return $t->request(method => 'POST', path => $path,
        header => join("\r\n", 'Content-Type: application/grpc-web'
            . ($text ? '-text' : ''), @header),
        body => $text ? encode_base64(frame($message), '') : frame($message));
}

sub body {
    my ($r) = @_;
    return frames($text
        ? join('', map { decode_base64($_) } $r->body =~ /([^=]+=*)/gs)
        : $r->body);
}

sub logged {
    my ($line) = @_;
    ok($t->wait_for(sub { $t->read_file('calls.log') =~ /^\Q$line\E$/m }, 10),
        "the log: $line") or diag($t->read_file('calls.log'));
}

for (0, 1) {
    $text = $_;
    my $name = $text ? 'text' : 'binary';
    my $r = call('Echo', 'hello', 'x-a: b');
    is($r->header('Content-Type'), 'application/grpc-web'
        . ($text ? '-text' : ''), "$name: a call");
    is($r->header('x-a'), 'b', 'metadata in the head');
    like(body($r), qr/^0:hello\|128:(x-a: b\r\ngrpc-status: 0|grpc-status: 0\r\n(grpc-message: \r\n)?x-a: b)/,
        'the message, status and metadata');
    logged('/test.Test/Echo 200 0 200');
    like(body(call('Count', '3')), qr/^0:0\|0:1\|0:2\|128:grpc-status: 0\r\n/,
        "$name: a stream");
    like(body(call('Count', '0')), qr/^(128:grpc-status: 0\r\n.*)?$/s,
        "$name: an empty stream");
    is(body(call('Bulk', '3 500000')) =~ s/\|128:.*//sr,
        join('|', map { '0:' . chr($_) x 500_000 } 0 .. 2),
        "$name: large messages");

    # In one frame, or all in the head: servers may do either.
    $r = call('Fail', '7 no way');
    my $all = join "\n", map { "$_: " . ($r->header($_) // '') }
        qw/grpc-status grpc-message x-why/;
    $all .= "\n" . body($r);
    like($all, qr/grpc-status: 7/, "$name: a status");
    like($all, qr/grpc-message: no way/, 'its message');
    like($all, qr/x-why: because/, 'and its metadata');
    logged('/test.Test/Fail 200 7 200');
    like(body(call('FailLater', '9 too late')),
        qr/^0:one\|128:.*grpc-status: 9\r\n/s, "$name: an error later");
    logged('/test.Test/FailLater 200 9 200');
    $r = call('Nothing', 'x');
    like(($r->header('grpc-status') // '') . body($r), qr/^12|grpc-status: 12/,
        "$name: no such method");

    # Deadlines: passed on, and kept, by whoever is the first to see it.
    $r = call('Remaining', '', 'grpc-timeout: 50S');
    my ($left) = body($r) =~ /^0:(\d+)/;
    ok(defined $left && $left > 10_000 && $left <= 50_000,
        "$name: the deadline is passed on");
    $r = call('Hang', "hang$text", 'grpc-timeout: 300m');
    is(join(' ', $r->status, $r->header('grpc-status') // '-', body($r)),
        '200 4 ', "$name: a deadline that passes");
    my $got;
    for my $ms (300, 1000, 5000) { # a busy machine needs longer
        $got = body(call('HangStream', "stream$text", "grpc-timeout: ${ms}m"));
        last if $got =~ /^0:/;
    }
    like($got,
        qr/^0:one\|128:(.*\n)*grpc-status: 4\r\n/,
        "$name: and one that passes in a stream");
    logged('/test.Test/HangStream 200 4 200');
    ok($t->wait_for(sub {
        $t->read_file('server.log') =~ /^stream$text has ended$/m
    }), 'the server was told');

    # Errors of veil's own.
    for ([ '/gone/x', 14, 502 ], [ '/denied/x', 7, '-' ]) {
        my ($path, $status, $upstream) = @$_;
        $r = call($path, 'x', 'Origin: https://app.example.com');
        is(join(' ', $r->status, $r->header('grpc-status') // '-',
            $r->header('Content-Type'), body($r)), "200 $status "
            . 'application/grpc-web' . ($text ? '-text ' : ' '),
            "$name: $path: an error of veil's own");
        is($r->header('Access-Control-Allow-Origin'),
            'https://app.example.com', 'which a page may read');
        logged("$path 200 $status $upstream");
    }
    $r = call('/paged/x', 'x');
    is(join(' ', $r->status, $r->header('grpc-status') // '-', body($r)),
        '200 14 ', "$name: an error that has a page");
    $r = $t->request(method => 'POST', path => '/test.Test/Echo',
        header => 'Content-Type: application/grpc-web-text', body => 'AAA*');
    is($r->header('grpc-status'), '13', 'malformed text');
}
my $native = $t->request(method => 'POST', path => '/test.Test/Echo',
    header => "Content-Type: application/grpc\r\nTE: trailers",
    body => frame('native'));
is(frames($native->body) . ($native->trailer('grpc-status') // '-'),
    '0:native0', 'native calls beside it');
done_testing();
