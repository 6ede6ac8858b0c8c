#!/usr/bin/perl

# TLS in the kernel, for real: in virtual machines with Debian's kernels, as
# the kernel of the machine that tests may have none.  See Test::Veil::VM.
#
# What the guest does is guest.sh: the unit tests that are skipped elsewhere,
# and veil with a client.  What it says becomes tests of this file.

use strict;
use warnings;

use File::Basename qw/dirname/;
use File::Spec::Functions qw/abs2rel/;
use File::Temp qw/tempdir/;
use Test::More;

use lib 't/lib';
use Test::Veil::VM;

my $veil = $ENV{TEST_VEIL_BINARY} || 'objs/veil';
# Its Makefile knows names that are relative to the tree.
my $build = abs2rel(dirname($veil));
my $vm = Test::Veil::VM->new;
my $why;

if (`$veil -V 2>&1` !~ /^built with \S*SSL /m) {
    plan skip_all => 'this veil has no TLS';
}
$why = $vm->prepare;
if (defined $why) {
    plan skip_all => "NO VIRTUAL MACHINE, TLS IN THE KERNEL IS NOT TESTED:"
        . " $why";
}

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

my @unit = qw/test_records test_ktls test_ktls_conn/;
my @programs = ((map { "$build/t/unit/$_" } @unit), "$build/t/ktls/transfer");

system('make', '-s', '-j2', '-f', "$build/Makefile", @programs) == 0
    or BAIL_OUT("@programs cannot be built");

my $dir = tempdir(CLEANUP => 1);
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    . " -keyout $dir/key.pem -out $dir/cert.pem -days 3650"
    . " -subj /CN=localhost > $dir/log 2>&1") == 0
    or BAIL_OUT("openssl cannot make a certificate: " . slurp("$dir/log"));

my @kernels = $vm->kernels;
# Four times 125 make 500.
my @results = $vm->boot_all(
    script => "UNIT='@unit'\nTRANSFERS=125\n" . slurp('t/ktls/guest.sh'),
    programs => [ $veil, @programs ],
    files => {
        '/etc/veil.conf' => slurp('t/ktls/guest.conf'),
        '/etc/cert.pem'  => slurp("$dir/cert.pem"),
        '/etc/key.pem'   => [ slurp("$dir/key.pem"), 0600 ],
    });

for my $kernel (@kernels) {
    my $r = shift @results;
    my $where = "Linux $kernel->{series}";

    for my $line (@{$r->{lines}}) {
        if ($line =~ /^note (.*)/) {
            note("$where: $1");
        } else {
            ok($line =~ /^ok /, "$where: " . $line =~ s/^(?:not )?ok //r);
        }
    }
    is($r->{verdict} // 'none', 'passed', sprintf '%s: the verdict'
        . ' (%.0f s, %d tries)', $where, $r->{seconds} // 0, $r->{tries});
    diag($r->{console}) if ($r->{verdict} // '') ne 'passed';
}
done_testing();
