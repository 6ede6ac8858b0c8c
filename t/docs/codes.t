#!/usr/bin/perl

# Codes of errors are what scripts rely on: those that src/ uses, and no
# others, are in the tables of docs/control.md and docs/veilctl.md.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use File::Find qw/find/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or die "$path: $!";
    local $/;
    return scalar <$f>;
}

# Texts of the program: comments may give others as examples.

my (%server, %client);
find({ no_chdir => 1, wanted => sub {
    return unless /\.[ch]\z/;
    my $codes = m{^src/ctl/} ? \%client : \%server;
    my $code = slurp($_) =~ s{/\*.*?\*/}{}gsr;
    $codes->{$_} = 1 for $code =~ /\\?"(E_[A-Z_]+)\\?"/g;
} }, 'src');
cmp_ok(scalar keys %server, '>', 15, 'there are codes');

my ($table) = slurp('docs/control.md') =~ /^## Codes\n(.*?)(?=^## |\z)/ms;
my %told = map { $_ => 1 } map { /`(E_[A-Z_]+)`/g }
    map { /^\|([^|]*)\|/ } split /\n/, $table;
is(join(' ', sort keys %told), join(' ', sort keys %server),
    'docs/control.md has all of the server');

my $ctl = slurp('docs/veilctl.md');
is(join(' ', grep { $ctl !~ /`$_`/ } sort keys %client), '',
    'docs/veilctl.md has those of the client');

# What a page says of codes elsewhere is true as well.

my @wrong;
for my $page (glob('docs/*.md'), glob('docs/modules/*.md')) {
    push @wrong, map { "$page: $_" }
        grep { !$server{$_} && !$client{$_} } slurp($page) =~ /`(E_[A-Z_]+)`/g;
}
is(join("\n", @wrong), '', 'no page names others');

done_testing();
