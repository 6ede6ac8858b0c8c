#!/usr/bin/perl

# docs/directives.md is what auto/doc writes from this build, and every
# directive in it says what a reader needs.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $program = $ENV{TEST_VEIL_BINARY} || 'objs/veil';

open my $pipe, '-|', 'auto/doc', '--print', $program or die "auto/doc: $!";
my @built = <$pipe>;
close $pipe;
is($?, 0, 'auto/doc writes a page');

open my $file, '<', 'docs/directives.md' or die "docs/directives.md: $!";
my @page = <$file>;
close $file;

# The first line that differs says more than both pages would.
my $i = 0;
$i++ while $i < @built && $i < @page && $built[$i] eq $page[$i];
ok($i == @built && $i == @page, 'docs/directives.md is that page')
    or diag('line ' . ($i + 1) . ': the page has: ' . ($page[$i] // "nothing\n")
        . 'the build has: ' . ($built[$i] // "nothing\n")
        . "auto/doc $program writes it anew");

my $text = join '', @built;
my @entries = split /^<a id="[^"]*"><\/a>\n(?=### )/m, $text;
shift @entries;
cmp_ok(scalar @entries, '>', 100, 'there are directives');

my (@no_help, @no_context, @fragment);
for (@entries) {
    my ($name) = /^### (\S+)/;
    my ($help) = /^    Context: [^\n]*\n(?:    [^\n]*\n)*\n(.*?)\n/ms;
    push @no_context, $name unless /^    Context:  \w/m;
    push @no_help, $name unless defined $help && length $help > 8;
    push @fragment, $name if defined $help && $help !~ /^[A-Z0-9"].*\.$/s;
}
is("@no_context", '', 'each says where it may stand');
is("@no_help", '', 'each says what it does');
is("@fragment", '', 'in sentences');

my %anchors = map { $_ => 1 } $text =~ /<a id="([^"]*)"/g;
my @dead = grep { !$anchors{$_} } $text =~ /\]\(#([^)]*)\)/g;
is("@dead", '', 'each link of the index leads somewhere');

done_testing();
