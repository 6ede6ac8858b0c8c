#!/usr/bin/perl

# TLS in the kernel, for real: in virtual machines with Debian's kernels, as
# the kernel of the machine that tests may have none.  See Test::Veil::VM.
#
# What the guest says ("ok ...", "not ok ...") becomes tests of this file.

use strict;
use warnings;

use File::Basename qw/dirname/;
use Test::More;

use lib 't/lib';
use Test::Veil::VM;

my $veil = $ENV{TEST_VEIL_BINARY} || 'objs/veil';
my $build = dirname($veil);
my $patience = $ENV{TEST_VEIL_PATIENCE} || 2;
my $vm = Test::Veil::VM->new(seconds => 90 * $patience > 180
    ? 180 : 90 * $patience);
my $why = $vm->prepare;

if (defined $why) {
    plan skip_all => "NO VIRTUAL MACHINE, TLS IN THE KERNEL IS NOT TESTED:"
        . " $why";
}

my @unit = qw/test_records test_ktls test_ktls_conn/;
for my $name (@unit) {
    my $program = "$build/t/unit/$name";

    system('make', '-s', '-f', "$build/Makefile", $program) == 0
        or BAIL_OUT("$program cannot be built");
}

# The functions that the guest's script has.
my $script = <<'EOF';
bad=0
check() {
    what=$1
    shift
    if "$@" > /tmp/out 2>&1; then say "ok $what"
    else bad=1; say "not ok $what"; tail -n 50 /tmp/out; fi
}
# A skip is a failure: it is what this machine was made for.
unit() {
    timeout 60 "$1" --jobs 1 --verbose > /tmp/unit 2>&1
    status=$?
    grep -q "SKIP" /tmp/unit && { cat /tmp/unit; return 1; }
    test $status -eq 0 || { cat /tmp/unit; return 1; }
}
check "the kernel has TLS" test -e /proc/net/tls_stat
EOF
$script .= "check \"$_\" unit $_\n" for @unit;
$script .= "exit \$bad\n";

for my $kernel ($vm->kernels) {
    my $r = $vm->boot($kernel, script => $script,
        programs => [ map { "$build/t/unit/$_" } @unit ]);
    my $where = "Linux $kernel->{series}";

    for my $line (@{$r->{lines}}) {
        ok($line =~ /^ok /, "$where: " . $line =~ s/^(?:not )?ok //r);
    }
    is($r->{verdict} // 'none', 'passed', sprintf '%s: the verdict'
        . ' (%.0f s, %d tries)', $where, $r->{seconds} // 0, $r->{tries});
    diag($r->{console}) if ($r->{verdict} // '') ne 'passed';
}
done_testing();
