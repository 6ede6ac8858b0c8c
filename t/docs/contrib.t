#!/usr/bin/perl

# What is in contrib/ fits the program: the syntax file has its directives,
# the completion its options.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $program = abs_path($ENV{TEST_VEIL_BINARY} || 'objs/veil');
my $doc = `$program --doc`;
my $syntax = `contrib/vim/make-syntax $program`;
is($?, 0, 'make-syntax writes a file');

my %has = map { $_ => 1 } $syntax =~ /\\zs(\w+)\\>/g;
my @missing = grep { !$has{$_} } $doc =~ /^### (\w+)$/mg;
is("@missing", '', 'with all directives');
like($syntax, qr/^syn match veilBlock .*server\\>/m, 'blocks among them');

my $help = `$program -h`;
my %options = map { $_ => 1 } $help =~ /^  (-\w)\b/mg, $help =~ /(--[\w-]+)/g;
my $completion = do {
    open my $f, '<', 'contrib/bash/veil' or die "contrib/bash/veil: $!";
    local $/;
    <$f>;
};
my ($words) = $completion =~ /-W "(-h [^"]*)"/;
my %completed = map { $_ => 1 } split ' ', $words;
is(join(' ', grep { !$completed{$_} } sort keys %options), '',
    'the completion has the options of the help');
is(join(' ', grep { !$options{$_} } sort keys %completed), '',
    'and no others');

my ($signals) = $help =~ /running server: (.*)/;
my ($signal_words) = $completion =~ /compgen -W "(stop[^"]*)"/;
is(join(' ', sort split ' ', $signal_words),
    join(' ', sort grep { $_ ne 'or' } $signals =~ /\w+/g),
    'and the words of -s');

done_testing();
