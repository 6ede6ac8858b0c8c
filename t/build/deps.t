#!/usr/bin/perl

# auto/deps: what it would install, on systems made of paper.
#
# A directory of fake commands comes first in PATH: dpkg-query knows what
# "$tmp/installed" lists, apt-cache what "$tmp/known" lists, and sudo, which
# is used as "id" says 1000, writes down what it was to do.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use File::Temp qw/tempdir/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $tmp = tempdir(CLEANUP => 1);
mkdir "$tmp/bin" or die;

sub spew {
    my ($path, $text, $mode) = @_;
    open my $f, '>', $path or die "$path: $!";
    print $f $text;
    close $f;
    chmod $mode, $path if $mode;
    return;
}

my %fake = (
    'dpkg-query' => 'for last; do :; done
        grep -qxF "$last" "$T/installed" || exit 1
        printf installed',
    'apt-cache' => 'echo "$2:"
        if grep -qxF "$2" "$T/known"; then echo "  Candidate: 1.0"
        else echo "  Candidate: (none)"; fi',
    'apt-get' => 'echo "not by sudo: $*" >> "$T/done"',
    'id' => 'echo 1000',
    'sudo' => 'echo "$*" >> "$T/done"
        case $1 in tee) cat > /dev/null ;; esac
        test ! -e "$T/fail"',
);
spew("$tmp/bin/$_", "#!/bin/sh\nT=$tmp\n$fake{$_}\n", 0755) for keys %fake;

# deps(installed, known, args ...): exit status, output, what sudo did.
sub deps {
    my ($installed, $known, @args) = @_;
    spew("$tmp/installed", join "\n", @$installed, '');
    spew("$tmp/known", join "\n", @$known, '');
    spew("$tmp/done", '');
    local $ENV{PATH} = "$tmp/bin:$ENV{PATH}";
    my $out = `./auto/deps @args 2>&1`;
    my $status = $? >> 8;
    open my $f, '<', "$tmp/done" or die;
    local $/;
    return ($status, $out, scalar <$f>);
}

my @build = qw/gcc make libc6-dev liburing-dev libpcre2-dev zlib1g-dev/;
my @test = qw/libcriterion-dev clang-14 libclang-rt-14-dev clang-format-14
    perl curl python3 nginx-light/;
my @bench = qw/nginx-light haproxy wrk curl python3/;

# Nothing to do

my ($status, $out, $done) = deps([ @build ], []);
is($status, 0, 'all is there');
is($out, "deps: all packages are installed\n", 'and that is said');
is($done, '', 'and nothing is done');

# Some missing

($status, $out, $done) = deps([ grep { !/^lib(uring|pcre)/ } @build ],
    [ @build ]);
is($status, 0, 'two are missing');
like($out, qr/^deps: installing liburing-dev libpcre2-dev$/m, 'are named');
like($done, qr/^apt-get update/m, 'the lists are renewed');
like($done, qr/apt-get install .* liburing-dev libpcre2-dev$/m,
    'and they alone are installed');
unlike($done, qr/not by sudo/, 'as root');

# Test and benchmark

(undef, undef, $done) = deps([], [ @build, @test, @bench ], '--test');
for my $package (@build, @test) {
    like($done, qr/install .* \Q$package\E( |$)/m, "--test: $package");
}
unlike($done, qr/haproxy/, '--test: nothing of the benchmark');
(undef, undef, $done) = deps([], [ @build, @test, @bench ], '--bench');
for my $package (@build, @bench) {
    like($done, qr/install .* \Q$package\E( |$)/m, "--bench: $package");
}
unlike($done, qr/criterion/, '--bench: nothing of the tests');

# Debian 13 has other names for some

my @newer = (@build, qw/libcriterion-dev clang libclang-rt-dev clang-format
    perl curl python3 nginx-light/);
(undef, $out, $done) = deps([], [ @newer ], '--test');
like($done, qr/install .* clang libclang-rt-dev clang-format /m,
    'the next best name is taken');
($status, undef, $done) = deps([ @newer ], [ @newer ], '--test');
is($done, '', 'and counts as installed afterwards');

# Mistakes

($status, $out) = deps([ @build ], [], '--tset');
isnt($status, 0, 'an unknown option');
like($out, qr/unknown option "--tset"/, 'is named');

($status, $out) = deps([], []);
isnt($status, 0, 'a package that apt does not know');
like($out, qr/apt does not know gcc/, 'is named');

spew("$tmp/fail", '');
($status, $out) = deps([], [ @build ]);
isnt($status, 0, 'apt-get fails');
like($out, qr/error: apt-get update failed/, 'and that is said');
unlink "$tmp/fail";

# The machine's own sudo must not be found either: only what is needed is.
unlink "$tmp/bin/sudo";
mkdir "$tmp/tools" or die;
for my $tool (qw/sh grep sed tr cat rm chmod tee env/) {
    my ($from) = grep { -x } map { "$_/$tool" } split /:/, $ENV{PATH};
    symlink $from, "$tmp/tools/$tool" or die "$tool: $!";
}
{
    local $ENV{PATH} = "$tmp/tools";
    ($status, $out) = deps([], [ @build ]);
}
isnt($status, 0, 'neither root nor sudo');
like($out, qr/become root, or install these packages: gcc make/,
    'names what is missing');

done_testing();
