#!/usr/bin/perl

# auto/deps: what it would install, on systems made of paper.
#
# A directory of fake commands comes first in PATH: dpkg-query knows what
# "$tmp/installed" lists, apt-cache what "$tmp/known" lists (and from
# backports, "$tmp/backports"), and sudo, which is used as "id" says 1000,
# writes down what it was to do.  In these lists, "name version" is a package
# of that version, "name" one of 99.

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
        version=$(sed -n "s/^$last *//p" "$T/installed")
        grep -q "^$last\\( .*\\)*$" "$T/installed" || exit 1
        printf "installed %s" "${version:-99}"',
    'apt-cache' => 'list=$T/known
        if [ "$1" = -o ]; then
            test "$2" = APT::Default-Release=bookworm-backports || exit 1
            test -e "$T/backports" || exit 100
            list="$T/backports $list"
            shift 2
        fi
        echo "$2:"
        version=$(cat $list | sed -n "/^$2\\( .*\\)*$/{s/^$2 *//;s/^$/99/;p}" \
            | sed -n 1p)
        echo "  Candidate: ${version:-(none)}"',
    'apt-get' => 'case $1 in
            indextargets)   test ! -e "$T/apt.conf" \
                || APT_CONFIG=$T/apt.conf /usr/bin/apt-get "$@" ;;
            *)              echo "not by sudo: $*" >> "$T/done" ;;
        esac',
    'id' => 'echo 1000',
    'sudo' => 'echo "$*" >> "$T/done"
        case $1:$2 in
            tee:*policy-rc.d)   cat > /dev/null ;;
            tee:*)              cat > "$T/source"
                                test -e "$T/useless" || : > "$T/backports" ;;
        esac
        if [ -e "$T/fail" ] && echo "$*" | grep -q "$(cat "$T/fail")"; then
            exit 1
        fi
        case "$*" in
            "apt-get update -q")
                if [ -e "$T/backports" ]; then
                    cat "$T/offered" > "$T/backports"
                fi ;;
        esac',
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

my @build = qw/gcc make libc6-dev liburing-dev libpcre2-dev zlib1g-dev
    libjansson-dev libinih-dev libnghttp2-dev
    android-libboringssl-dev/;
my @test = qw/nghttp2-client libcriterion-dev clang-14 libclang-rt-14-dev clang-format-14
    perl curl python3 python3-h2 python3-hpack python3-hyperframe python3-grpcio
    openssl
    nginx-light chromium/;
my @bench = qw/nghttp2-client nginx-light haproxy wrk curl python3 openssl
    h2o/;

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
($status, $out) = deps([], [ @build, grep { $_ ne 'h2o' } @bench ], '--bench');
is($status, 0, '--bench: without h2o');
like($out, qr/without h2o: apt does not know it/, 'which is said');

# Debian 13 has other names for some

my @newer = (@build, qw/nghttp2-client libcriterion-dev clang libclang-rt-dev clang-format
    perl curl python3 python3-h2 python3-hpack python3-hyperframe python3-grpcio
    openssl
    nginx-light chromium/);
(undef, $out, $done) = deps([], [ @newer ], '--test');
like($done, qr/install .* clang libclang-rt-dev clang-format /m,
    'the next best name is taken');
($status, undef, $done) = deps([ @newer ], [ @newer ], '--test');
is($done, '', 'and counts as installed afterwards');

# What veil can do without

my @must = grep { !/boringssl/ } @build;
my $ssl = 'android-libboringssl-dev';

($status, $out, $done) = deps([ @must ], [ @must ]);
is($status, 0, 'apt does not know an optional package');
like($out, qr/^deps: going on without $ssl: apt does not know it, or only an older one$/m,
    'and that is said');
unlike($done, qr/ install /, 'nothing is installed');
($status, undef, $done) = deps([], [ @must ]);
is($status, 0, 'neither does it hinder the others');
like($done, qr/ install .* gcc make /, 'which are installed');

spew("$tmp/fail", 'update');
($status, $out) = deps([ @must ], [ @build ]);
is($status, 0, 'apt-get update fails, and only that is missing');
like($out, qr/without $ssl: apt-get update failed/, 'and that is said');
spew("$tmp/fail", "install.*$ssl");
($status, $out, $done) = deps([ 'gcc' ], [ @build ]);
is($status, 0, 'it cannot be installed');
like($out, qr/without $ssl: apt-get install failed/, 'and that is said');
like($done, qr/ install .* make libc6-dev /, 'the others are');
unlink "$tmp/fail";

# Versions, and backports of Debian 12
#
# apt is asked, with sources of its own and without a network, which one is
# Debian's.

($status, $out) = deps([ @must, "$ssl 14.0.0" ], []);
is($out, "deps: all packages are installed\n", 'new enough');
($status, $out, $done) = deps([ @must, "$ssl 13.0.0" ], [ "$ssl 14.0.0" ]);
like($done, qr/ install .*recommends $ssl$/m, 'an older one is renewed');
(undef, undef, $done) = deps([ @must ], [ "$ssl 14.0.0" ]);
like($done, qr/ install .*recommends $ssl$/m, 'what apt takes is new enough');
unlike($done, qr/tee .*sources/, 'and needs no other source');

# sources(FILE => TEXT): what /etc/apt would have.
sub sources {
    my ($file, $text) = @_;
    my $apt = "$tmp/apt";
    system('rm', '-rf', $apt, "$tmp/source", "$tmp/backports");
    system('mkdir', '-p', "$apt/sources.list.d", "$apt/apt.conf.d",
        "$apt/lists/partial") == 0 or die;
    spew("$tmp/apt.conf", qq{Dir::Etc "$apt";\nDir::State::lists }
        . qq{"$apt/lists";\nDir::Cache::pkgcache "";\n}
        . qq{Dir::Cache::srcpkgcache "";\n});
    spew("$apt/$file", $text);
    my %release = (
        'mirror.invalid_debian_dists_bookworm' => 'Debian',
        'other.invalid_packages_dists_bookworm' => 'somebody',
    );
    for my $name (keys %release) {
        spew("$apt/lists/${name}_Release", "Origin: $release{$name}\n"
            . "Codename: bookworm\nComponents: main\nArchitectures: amd64 "
            . "arm64\nDate: Sat, 17 May 2025 09:00:00 UTC\nMD5Sum:\n");
        spew("$apt/lists/${name}_main_binary-${_}_Packages", '')
            for qw/amd64 arm64/;
    }
    spew("$tmp/offered", "$ssl 14.0.0~bpo\n$ssl 14.0.0\n");
    return;
}

sub written {
    open my $f, '<', "$tmp/source" or return '';
    local $/;
    return scalar <$f>;
}

my %form = (
    'sources.list' => <<'END',
# deb http://old.invalid/debian bookworm main

deb http://other.invalid/packages bookworm main
deb [ arch=amd64,arm64 trusted=yes ] http://mirror.invalid/debian bookworm main # x
END
    'sources.list.d/some.sources' => <<'END',
# What this is.

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://other.invalid/packages
Suites: bookworm
Components: main


# The mirror.
Types: deb deb-src
architectures: amd64 arm64
# It may be several.
uris: http://mirror.invalid/debian
suites: bookworm
 bookworm-updates
Trusted: yes
Components: main
 contrib
END
);

SKIP: {
skip 'there is no apt to ask', 1 if !-x '/usr/bin/apt-get';
for my $file (sort keys %form) {
    sources($file, $form{$file});
    ($status, $out, $done) = deps([ @must ], [ "$ssl 13.0.0" ]);
    is($status, 0, "$file: too old a version");
    like($out, qr{^deps: a source for bookworm-backports: /etc/\S+$}m,
        "$file: a source is added, and that is said");
    like($done, qr{^tee /etc/apt/sources.list.d/veil-backports.sources$}m,
        "$file: it is a file of its own");
    my $text = written();
    like($text, qr{^# Written by veil's auto/deps}, "$file: that says whose");
    is(join("\n", sort grep { !/^#/ } split /\n/, $text),
        join("\n", 'Components: main', 'Suites: bookworm-backports',
            'Trusted: yes', 'Types: deb',
            'URIs: http://mirror.invalid/debian',
            'architectures: amd64 arm64'),
        "$file: like that of the system")
        if $file =~ /sources$/;
    like($text, qr{^URIs: http://mirror\.invalid/debian$}m,
        "$file: the same mirror");
    like($text, qr{^trusted: yes$}mi, "$file: its options");
    like($text, qr{^architectures: amd64 arm64$}mi, "$file: and others");
    is(() = $text =~ /^(?:suites|components|types|uris):/mig, 4,
        "$file: each field once");
    like($done, qr/update.*tee.*update.* install .*-t bookworm-backports $ssl$/s,
        "$file: and it is taken from there");
}

# Twice is as good as once.
($status, $out, $done) = deps([ @must ], [ "$ssl 13.0.0" ]);
unlike($done, qr/tee .*sources/, 'the source is there already');
like($done, qr/ install .*-t bookworm-backports $ssl$/m, 'and is used');

# It offers nothing, or does not work.
sources('sources.list', $form{'sources.list'});
spew("$tmp/offered", '');
($status, $out, $done) = deps([ @must ], [ "$ssl 13.0.0" ]);
is($status, 0, 'backports have it not');
unlike($done, qr/ install /, 'and the older one is of no use');
like($out, qr/without $ssl: apt does not know it, or only an older one/, 'which is said');

sources('sources.list', $form{'sources.list'});
spew("$tmp/useless", '');
{
    # Only the update after the source was written fails.
    my $sudo = "#!/bin/sh\nT=$tmp\nif [ \"\$*\" = 'apt-get update -q' ] && "
        . "[ -e $tmp/source ]; then echo \"\$*\" >> $tmp/done\nexit 1; fi\n"
        . "$fake{sudo}\n";
    spew("$tmp/bin/sudo", $sudo, 0755);
    ($status, $out, $done) = deps([ @must ], [ "$ssl 13.0.0" ]);
    spew("$tmp/bin/sudo", "#!/bin/sh\nT=$tmp\n$fake{sudo}\n", 0755);
}
is($status, 0, 'the mirror has no backports');
like($out, qr/the source is taken away again/, 'and that is said');
like($done, qr{^rm -f /etc/apt/sources.list.d/veil-backports.sources$}m,
    'the file is removed');
unlike($done, qr/ install /, 'and the older one is of no use');
like($out, qr/without $ssl: apt does not know it, or only an older one/, 'which is said');
unlink "$tmp/useless";

# Another distribution's sources are not followed.
sources('sources.list', "deb http://other.invalid/packages bookworm main\n");
($status, $out, $done) = deps([ @must ], [ "$ssl 13.0.0" ]);
unlike($done, qr/tee .*sources/, 'no source is made of another');
unlike($done, qr/ install /, 'and the older one is of no use');
like($out, qr/without $ssl: apt does not know it, or only an older one/, 'which is said');
}
unlink "$tmp/apt.conf", "$tmp/backports";

# Mistakes

($status, $out) = deps([ @build ], [], '--tset');
isnt($status, 0, 'an unknown option');
like($out, qr/unknown option "--tset"/, 'is named');

($status, $out) = deps([], []);
isnt($status, 0, 'a package that apt does not know');
like($out, qr/apt does not know gcc/, 'is named');

spew("$tmp/fail", 'update');
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
{
    local $ENV{PATH} = "$tmp/tools";
    ($status, $out) = deps([ @must ], [ @build ]);
}
is($status, 0, 'neither root nor sudo, and only an optional one missing');
like($out, qr/without $ssl: only root can install it/, 'says so');

done_testing();
