#!/usr/bin/perl

# What auto/doc writes from this build is in docs/, and every directive says
# what a reader needs.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $program = $ENV{TEST_VEIL_BINARY} || 'objs/veil';

SKIP: {
    skip 'the pages are those of a build with TLS', 1
        if `$program -V 2>&1` !~ /^built with/m;
    my $said = `auto/doc --check $program 2>&1`;
    is($?, 0, 'the pages that auto/doc writes are those of this build')
        or diag($said);
}

open my $file, '<', 'docs/directives.md' or die "docs/directives.md: $!";
my $text = do { local $/; <$file> };
close $file;

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
