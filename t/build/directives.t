#!/usr/bin/perl

# Every directive of nginx's basic modules is built, or docs/nginx-differences.md
# has a line on it; and every directive that is built is one veil means to have.
#
# The list is docs/design/nginx-directives.tsv.  A directive counts as built if
# docs/directives.md has it, which t/docs/directives.t compares with a build,
# and as documented if a line of the page has it in backquotes.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my @modules = qw/core event http http_core log http_log http_index http_rewrite
    http_proxy http_upstream http_upstream_zone http_upstream_keepalive/;

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar <$f>;
}

my %built = map { $_ => 1 } slurp('docs/directives.md') =~ /^### (\w+)$/mg;

my $page = slurp('docs/nginx-differences.md');
my %documented = map { $_ => 1 } $page =~ /`(\w+)`/g;

cmp_ok(scalar keys %built, '>', 10, 'the reference has directives');
isnt($page, '', 'docs/nginx-differences.md is there');

my %list;
for (split /\n/, slurp('docs/design/nginx-directives.tsv')) {
    next if /^#/;
    my ($module, $name) = split /\t/;
    push @{ $list{$module} }, $name;
}

for my $module (@modules) {
    ok($list{$module}, "the list has the module $module") or next;
    my @missing = grep { !$built{$_} && !$documented{$_} }
        @{ $list{$module} };
    is("@missing", '',
        "$module: all directives are built or explained");
}

done_testing();
