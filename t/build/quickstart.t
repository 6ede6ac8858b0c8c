#!/usr/bin/perl

# auto/quickstart: the demonstration starts, answers, is found again, ends.
#
# In a tree of links whose objs/veil is the server to test: nothing is
# installed, and nothing built.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use File::Path qw/make_path/;
use File::Temp qw/tempdir/;
use IO::Socket::INET;
use Test::More;

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../..');
my $veil = abs_path($ENV{TEST_VEIL_BINARY} || "$top/objs/veil");
BAIL_OUT('there is no server to test') if !defined $veil || !-x $veil;
plan skip_all => 'there is no curl'
    if system('command -v curl > /dev/null') != 0;

my $tmp = tempdir(CLEANUP => 1);
make_path("$tmp/tree/auto", "$tmp/tree/objs", "$tmp/tmp");
# Workers of a server that root starts are somebody else.
chmod 0755, $tmp, "$tmp/tmp";
chdir "$tmp/tree" or die "chdir: $!";
symlink "$top/$_", $_ or die "$_: $!"
    for qw{auto/quickstart examples conf};
symlink $veil, 'objs/veil' or die "objs/veil: $!";
spew('auto/deps', "#!/bin/sh\necho \"deps: \$*\"\n", 0755);
spew('objs/Makefile', "all:\n");

sub spew {
    my ($path, $text, $mode) = @_;
    open my $f, '>', $path or die "$path: $!";
    print $f $text;
    close $f;
    chmod $mode, $path if $mode;
    return;
}

sub quickstart {
    my (@args) = @_;
    my $out = `TMPDIR=$tmp/tmp timeout 100 sh auto/quickstart @args 2>&1`;
    return ($? >> 8, $out);
}

sub get {
    my ($url) = @_;
    return `curl -sk --max-time 20 $url`;
}

# Three ports in a row, below those that the system gives away.
sub listener {
    return IO::Socket::INET->new(LocalAddr => "127.0.0.1:$_[0]", Listen => 1,
        ReuseAddr => 1);
}
sub free_port {
    for (1 .. 100) {
        my $try = 20000 + int rand 10000;
        my @taken = grep { defined } map { listener($try + $_) } 0 .. 2;
        return $try if @taken == 3;
    }
    die 'there are no free ports';
}

END {
    local $?;
    quickstart('--stop');
    chdir '/';
}

# -- it starts

# Somebody else may take one of the ports meanwhile.
my ($port, $status, $out);
for (1 .. 5) {
    $port = free_port();
    ($status, $out) = quickstart("--port=$port");
    last if $out !~ /something listens on/;
}
is($status, 0, 'it starts') or diag($out);
like($out, qr/^deps: --demo$/m, 'and asks for what it needs');
like($out, qr{^    open   http://127\.0\.0\.1:$port/$}m, 'it says what to open');
like(get("http://127.0.0.1:$port/"), qr/veil is serving this page/, 'a page');
like(get("http://127.0.0.1:$port/backend/x"), qr/GET \/x/, 'and a backend');

my $tls = `$veil -V 2>&1` =~ /^built with/m
    && system('command -v openssl > /dev/null') == 0;
my $http2 = `$veil -m` =~ /^http\s+v2$/m;
is(!!($out =~ /^quickstart: without HTTP\/2/m), !$http2, 'HTTP/2, or not, it says');
my $https = 'https://127.0.0.1:' . ($port + 2);
if ($tls) {
    like($out, qr{^    and    $https/$}m, 'over TLS too');
    like(get("$https/"), qr/veil is serving this page/, 'the page');
    like(get("$https/backend/x"), qr/GET \/x/, 'and the backend');
    my ($key) = glob "$tmp/tmp/*/https/key.pem";
    is((stat $key)[2] & 077, 0, 'the key is for nobody else');
    my ($command) = $out =~ /^ +(curl .*--cacert .*)$/m;
    my $version = $http2 ? '2' : '1.1';
    like(`$command -s`, qr/^HTTP\/\Q$version\E 200 /,
        'what it says to type works');
} else {
    like($out, qr/^quickstart: without https, as there /m,
        'it says why it does without TLS');
    is(get("$https/"), '', 'and does');
}

# -- again

($status, $out) = quickstart("--port=$port");
is($status, 0, 'to start it again is no mistake');
like($out, qr/it runs already, as process \d+ on port $port/, 'it is said');

# -- it ends

($status, $out) = quickstart('--stop');
is($status, 0, 'it ends') or diag($out);
like($out, qr/^quickstart: stopped$/m, 'and that is said');
is(join(' ', glob "$tmp/tmp/*"), '', 'and leaves nothing behind');
($status, $out) = quickstart('--stop');
like($out, qr/nothing is running/, 'twice is no mistake');

# -- a port is taken

for my $n (0 .. 2) {
    my $taken = listener($port + $n) or die "port: $!";
    ($status, $out) = quickstart("--port=$port");
    isnt($status, 0, "port $n of three is taken");
    like($out, qr/something listens on 127\.0\.0\.1:@{[$port + $n]} already/,
        'and that is said');
}

done_testing();
