#!/usr/bin/perl

# Every directive of nginx's basic modules is built, or docs/nginx-differences.md
# has a line on it; and of those that are not built, of any module, the program
# knows that nginx has them, and that of no other.
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

# What the program says: src/core/conf_nginx.c, as auto/doc writes it.

my ($text) = slurp('src/core/conf_nginx.c')
    =~ /conf_nginx_directives\[\] = (.*?);/s;
my @known = ($text // '') =~ /"(\w+)\\n"/g;
my %of_nginx = map { $_ => 1 }
    map { @{ $list{$_} } } grep { !/^stream_/ } keys %list;
is("@known", join(' ', sort grep { !$built{$_} } keys %of_nginx),
    'conf_nginx.c has the directives that are not built, in order');

done_testing();
