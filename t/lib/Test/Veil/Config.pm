package Test::Veil::Config;

# Test::Veil::Config -- just enough of the configuration syntax to see what a
# test's configuration says and to add what it leaves out.

use strict;
use warnings;

# _directives($text): those of the top level and one level below, in order:
# { name, args, at => offset of the name, block => name of the block it is
# in or '', open => offset just after its "{" }.

sub _directives {
    my ($text) = @_;
    my (@found, @path, @words, $at);

    while ($text =~ m{\G(?:
            (?<space> \s+ | \#[^\n]* )
          | (?<end>   ; )
          | (?<open>  \{ )
          | (?<close> \} )
          | (?<word>  "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'
                    | (?: \$\{\w+\} | \\. | [^\s;\{\}\\] )+ )
        )}gcsx)
    {
        my $start = $-[0];
        next if defined $+{space};

        if (defined $+{word}) {
            $at = $start unless @words;
            push @words, $+{word};
            next;
        }
        if (defined $+{close}) {
            pop @path;
            @words = ();
            next;
        }
        if (@words && @path <= 1) {
            push @found, {
                name  => $words[0],
                args  => [ @words[ 1 .. $#words ] ],
                at    => $at,
                block => $path[0] // '',
                (defined $+{open} ? (open => $+[0]) : ()),
            };
        }
        push @path, $words[0] // '' if defined $+{open};
        @words = ();
    }
    return @found;
}

# value($text, $name): first argument of a directive of the top level.

sub value {
    my ($text, $name) = @_;
    my ($d) = grep { $_->{name} eq $name && $_->{block} eq '' }
        _directives($text);
    return undef unless $d;
    my $v = $d->{args}[0];
    $v =~ s/^(["'])(.*)\1\z/$2/s if defined $v;
    return $v;
}

# complete($text, main => [[name => args], ...], block => [...]): adds the
# directives that are missing on each level.  A missing "events" block is
# added, other blocks are not.  Lines keep their numbers: what is added
# stands on the line that is there.

sub complete {
    my ($text, %want) = @_;
    my @all = _directives($text);
    my @insert;

    my $missing = sub {
        my ($block, $list) = @_;
        my %there = map { $_->{name} => 1 }
            grep { $_->{block} eq $block } @all;
        return join '', map {"$_->[0] $_->[1]; "}
            grep { !$there{ $_->[0] } } @$list;
    };

    my $main = $missing->('', delete $want{main} // []);
    for my $block (sort keys %want) {
        my ($d) = grep {
            $_->{name} eq $block && $_->{block} eq '' && $_->{open}
        } @all;
        my $add = $missing->($block, $want{$block});
        if ($d) {
            push @insert, [ $d->{open}, " $add" ];
        } elsif ($block eq 'events') {
            $main .= "events { $add} ";
        }
    }
    for my $i (sort { $b->[0] <=> $a->[0] } @insert) {
        substr($text, $i->[0], 0) = $i->[1];
    }
    return $main . $text;
}

1;
