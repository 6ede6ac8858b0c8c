#!/usr/bin/perl

# What the documentation names exists: files, and functions in the files they
# are said to be in.
#
#   - a row "| step | dir/file.c | function, function |" of a table, or a line
#     "step  dir/file.c  function" of a list: each is defined in that file
#   - `function()` in a text: defined somewhere in src/, or a callback
#   - `dir/file.c`, `dir/file.h`: a file of src/, of the tree, of t/unit, or
#     beside the page

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

# What a source defines: functions (in column one, or a static inline of a
# header), tables, macros.
sub definitions {
    my ($code) = @_;
    my %is;
    $is{$1} = 1 while $code =~ /^(?:\w[\w ]* \*?)?(\w+)\(/mg;
    $is{$1} = 1 while $code =~ /^(?:static )?const [^=\n\[]*\b(\w+)(?:\[.*)? =/mg;
    $is{$1} = 1 while $code =~ /^#define (\w+)/mg;
    return \%is;
}

my (%defined, %all);
find({ no_chdir => 1, wanted => sub {
    return unless /\.[ch]\z/;
    my $text = slurp($_);
    $defined{$_} = definitions($text);
    %all = (%all, %{ $defined{$_} });
    # Callbacks: fields of structs.
    $all{$1} = 1 while $text =~ /\(\*(\w+)\)\(/g;
    $all{$1} = 1 while $text =~ /_fn \*(\w+);/g;
} }, 'src');

my @pages = (glob('docs/*.md'), glob('docs/devel/*.md'), glob('src/*/README.md'),
    'src/http/http.h', 'src/http/upstream/upstream.h', glob('README*.md'));
@pages = grep { -f && $_ ne 'docs/directives.md' } @pages;

my $path = qr{(?:core|event|process|http|modules|fetch|ctl)/[\w/]+\.[ch]};
my $places = 0;

for my $page (@pages) {
    my $text = slurp($page);
    my @wrong;

    for my $line (split /\n/, $text) {
        my ($file, $names) =
            $line =~ /^\|.*\|\s*($path)\s*\|\s*([\w, ]+?)\s*\|$/ ? ($1, $2)
            : $line =~ /^ \*   .*\s($path)\s+(\w+)/ ? ($1, $2) : next;
        $places++;
        if (!$defined{"src/$file"}) {
            push @wrong, "there is no src/$file";
            next;
        }
        for my $name (split /,\s*/, $names) {
            push @wrong, "$file has no $name"
                unless $defined{"src/$file"}{$name};
        }
    }
    if ($page =~ /\.md\z/) {
        my $dir = dirname($page);
        for my $name ($text =~ /`(\w+)\(\)`/g) {
            push @wrong, "nobody defines $name()" unless $all{$name};
        }
        for my $file ($text =~ m{`([\w/.-]+\.[cht])`}g) {
            # What a build writes.
            next if $file =~ m{^objs/(\w+\.[ch])\z}
                && slurp('auto/make') =~ m{\$BUILD/\Q$1\E"};
            push @wrong, "there is no $file"
                unless grep { -e } $file, "src/$file", "$dir/$file",
                    "t/unit/$file";
        }
        # Links within the tree.
        for my $file ($text =~ m{\]\((?!https?:|#)([^)#]+)}g) {
            push @wrong, "a link to $file, which is not there"
                unless -e "$dir/$file";
        }
    }
    is(join("\n", @wrong), '', "$page names what there is");
}
my $modules = slurp('src/modules/README.md');
my @absent = grep { $modules !~ /`\Q$_\E\/?`/ }
    map { m{([^/]+)\z} && $1 } grep { !/\.(?:h|md)\z/ } glob 'src/modules/*';
is("@absent", '', 'src/modules/README.md has all modules');

cmp_ok($places, '>', 40, 'places were found to look at');

done_testing();
