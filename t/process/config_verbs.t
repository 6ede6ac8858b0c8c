#!/usr/bin/perl

# config.check and config.explain: the configuration that runs is looked at by
# a child of the keeper, whatever the file says by now; and veilctl looks at
# files, with a server or without.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use JSON::PP qw/decode_json/;

my $t = Test::Veil->new->has(qw/http rewrite headers/);
my $dir = $t->testdir;
mkdir "$dir/html";
$t->write_file('html/f.txt', 'text');

my $conf = <<'EOC';
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;
http {
    add_header X-A 1;
    access_log off;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location /img { alias %%TESTDIR%%/html/; }
        location /hide { add_header X-B 1; return 200 "hidden"; }
        location /x { return 302 /y; }
    }
}
EOC
$t->config($conf);
$t->run;
my $port = $t->port(80);
my $c = Test::Veil::Control->new($t);

sub codes { return join ' ', map { $_->{code} } @{ $_[0]{findings} // [] } }

my $said = $c->data('config.check');
is(codes($said), 'L201 L101', 'what runs is looked at');
like($said->{findings}[0]{file}, qr{veil\.conf$}, 'with places');

# The file is another by now, what runs is not.

my $text = $t->read_file('veil.conf');
$t->write_file('veil.conf', $text =~ s{/img \{}{/img/ \{}r);
is(codes($c->data('config.check', notes => JSON::PP::true)), 'L201 L101',
    'not the file');

my $r = $c->data('config.explain', request => "http://h:$port/x");
is($r->{response}{status}, 302, 'a request is explained');
is($r->{location}{name}, '/x', 'by what runs');
$r = $c->data('config.explain', request => "http://h:$port/f.txt",
    client => '10.1.2.3');
is($r->{response}{status}, 200, 'with files');
is($r->{request}{client}, '10.1.2.3', 'of a client');
$r = $c->data('config.explain', request => "http://h:$port/hide",
    header => "Host: other\nX-C: 1");
is_deeply([ map { $_->[1] } grep { $_->[0] =~ /^X-/ }
    @{ $r->{response}{fields} } ], [1], 'its fields');
like($c->data('config.explain', request => 'nonsense')->{error}, qr/no URL/,
    'what is no request');
is($c->ask('config.explain')->{err}{code}, 'E_ARGUMENT', 'none at all');

# Several at once, and one whose client has gone.

$c->send({ id => $_, verb => 'config.explain',
    args => { request => "http://h:$port/x" } }) for 21 .. 26;
my %answers = map { my $l = $c->next; ($l->{id} => $l->{ok}) } 21 .. 26;
is_deeply([ sort keys %answers ], [ 21 .. 26 ], 'several at once');
my $gone = Test::Veil::Control->new($t);
$gone->send({ id => 1, verb => 'config.check' });
close delete $gone->{socket};
is($t->get('/x', port => 80)->status, 302, 'the server serves');
is($c->ask('config.check')->{ok}, JSON::PP::true, 'and answers');

# veilctl

my $veilctl = dirname(abs_path($ENV{TEST_VEIL_BINARY} || 'objs/veil'))
    . '/veilctl';

sub ctl {
    my (@args) = @_;
    my $pid = open my $out, '-|';
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $veilctl, @args or exit 127;
    }
    my $text = do { local $/; <$out> } // '';
    close $out;
    return ($? >> 8, $text);
}

my $file = "$dir/veil.conf";
my $socket = Test::Veil::Control::socket_path($t);
my ($status, $out) = ctl(qw/config check/, $file);
is($status, 0, 'veilctl: a file with warnings');
like($out, qr/^\Q$file\E:\d+:\d+: warning: .* \[L101 /m, 'veilctl: a finding');
($status, $out) = ctl(qw/config check --strict/, $file);
is($status, 1, 'veilctl: strict');
($status, $out) = ctl('-s', $socket, qw/--json config check --running/);
is($status, 1, 'veilctl: what runs, with an error') or diag($out);
like($out, qr/"L201"/, 'veilctl: is another');
($status, $out) = ctl(qw/config explain/, "http://h:$port/x", "file=$file");
is($status, 0, 'veilctl: explains');
like($out, qr/^response 302$/m, 'veilctl: what becomes of a request');
($status, $out) = ctl('-s', $socket, qw/--json config explain --running/,
    "http://h:$port/f.txt");
is(eval { decode_json($out)->{response}{status} }, 200,
    'veilctl: by what runs') or diag($out);
($status, $out) = ctl('-s', $socket, qw/config explain --running/,
    "http://h:$port/x");
like($out, qr/^response 302$/m, 'veilctl: as of a file');
($status, $out) = ctl('-s', $socket, qw/config check --running/);
like($out, qr/^\S+:9:31: error: .* \[L201 alias-traversal\]\n.*alias .*\n +\^$/m,
    'veilctl: findings as well');
like($out, qr/^1 error, 1 warning, \d+ notes? in what runs of \Q$file\E$/m,
    'veilctl: of which file');

# Without a file it is the server's.

($status, $out) = ctl('-s', $socket, qw/config check/);
is($status, 0, 'veilctl: no file is named') or diag($out);
like($out, qr/^veilctl: this is about the server's file \Q$file\E$/m,
    'veilctl: which one it is, is said');
like($out, qr/^\Q$file\E:\d+:\d+: warning: .* \[L101 /m, 'veilctl: findings');
($status, $out) = ctl('-s', $socket, qw/-j config check --strict/);
is($status, 1, 'veilctl: strict');
is(eval { decode_json($out)->{file} }, $file, 'veilctl: as JSON') or diag($out);
($status, $out) = ctl('-s', $socket, qw/config explain/, "http://h:$port/x");
is($status, 0, 'veilctl: explains');
like($out, qr/^configuration \Q$file\E$/m, 'veilctl: by the same file');
$t->write_file('named.conf', "events { }\n");
($status, $out) = ctl('-s', $socket, '-c', "$dir/named.conf", qw/config check/);
like($out, qr/ in \Q$dir\E\/named\.conf$/m, 'veilctl: but -c names another');

# What runs is judged as files are.

$c->data('reload');
($status, $out) = ctl('-s', $socket, qw/config check --running/);
is($status, 0, 'veilctl: warnings of what runs') or diag($out);
($status, $out) = ctl('-s', $socket, qw/config check --running --strict/);
is($status, 1, 'veilctl: fail when they shall');
($status, $out) = ctl('-s', $socket, qw/config explain --running nonsense/);
is($status, 1, 'veilctl: what is no request');

$t->stop;
($status, $out) = ctl('-s', $socket, qw/config check/);
like($out, qr/^veilctl: there is no server at \Q$socket\E: /m,
    'veilctl: no server, no file');
($status, $out) = ctl(qw/--json config check/, $file);
is($status, 0, 'veilctl: without a server');
is(codes(decode_json($out)), 'L101', 'veilctl: as JSON');
$t->write_file('bad.conf', "http { nonsense on; }\n");
($status, $out) = ctl(qw/config check/, "$dir/bad.conf");
is($status, 1, 'veilctl: an invalid file');
like($out, qr/bad\.conf:1:8: error: unknown directive "nonsense"/,
    'veilctl: says why');

done_testing;
