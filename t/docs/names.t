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

my (%text, $all);
find({ no_chdir => 1, wanted => sub {
    return unless /\.[ch]\z/;
    $text{$_} = slurp($_);
    $all .= $text{$_};
} }, 'src');

# A definition: in column one, a static inline of a header, or a table.
sub defines {
    my ($code, $name) = @_;
    return $code =~ /^(?:\w[\w\s]* \*?)?\Q$name\E\(/m
        || $code =~ /^(?:static )?const [\w ]*\b\Q$name\E\b.*=/m
        || $code =~ /^#define \Q$name\E\b/m;
}

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
        if (!$text{"src/$file"}) {
            push @wrong, "there is no src/$file";
            next;
        }
        for my $name (split /,\s*/, $names) {
            push @wrong, "$file has no $name"
                unless defines($text{"src/$file"}, $name);
        }
    }
    if ($page =~ /\.md\z/) {
        my $dir = dirname($page);
        for my $name ($text =~ /`(\w+)\(\)`/g) {
            # Or a callback, a field of a struct.
            push @wrong, "nobody defines $name()"
                unless defines($all, $name)
                || $all =~ /(?:\(\*\Q$name\E\)\(|_fn \*\Q$name\E;)/;
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
