#!/usr/bin/perl

# Every configuration that is shipped is accepted by "veil -t" as it stands,
# and the directives it puts off to a later version are not there yet.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

use File::Copy qw/copy/;

my $t = Test::Veil->new->has(qw/static index proxy access_log/);
my $dir = $t->testdir;
mkdir "$dir/logs";

# The words of the reference, to find out what this version has.
$t->config("events {}\n");
my ($status, $doc) = $t->command('--doc');
is($status, 0, 'the reference is printed') or diag($doc);
my %known = map { $_ => 1 } $doc =~ /^### (\S+)/mg;

my @files = (glob('conf/*.conf'), glob('examples/*.conf'),
    glob('examples/*/*.conf'));
ok(grep({ $_ eq 'conf/veil.conf' } @files), 'conf/veil.conf is among them');

for my $file (@files) {
    open my $f, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$f> };
    close $f;

    # Logs go to the test's directory, unless the file names its own.
    $t->config($text);
    copy('conf/mime.types', "$dir/mime.types") or die "mime.types: $!\n";
    ($status, my $out) = $t->command('-t');
    is($status, 0, "$file: is accepted") or diag($out);
    unlike($out, qr/\[(?:emerg|alert|crit|error)\]/, '... without an error');

    # A comment must not outlive its reason.
    for my $later ($text =~ /^\s*#: *([a-z_0-9]+)\s/mg) {
        next if $later eq 'listen';
        ok(!$known{$later}, "$file: \"$later\" is of a later version");
    }
}

done_testing;
