#!/usr/bin/perl

# What veilctl makes of the tables: help, the manual page, the completion for
# bash.  They name what the server has, formatters take them without a
# warning, and the completion proposes what may be typed.

use strict;
use warnings;
use lib 't/lib';
use File::Basename qw/dirname/;
use Test::More;
use Test::Veil::Ctl;

my $ctl = Test::Veil::Ctl->new;
my $build = dirname($ENV{TEST_VEIL_BINARY} || 'objs/veil');

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar <$f>;
}

# ------------------------------------------------------------------------ help --

my $help = $ctl->run('help');
is($help->{status}, 0, 'help');
is($ctl->run('--help')->{out}, $help->{out}, 'and as an option');
my ($list) = $help->{out} =~ /^Verbs.*?:\n((?:  .*\n)+)/m;
my @verbs = $list =~ /^  ([a-z]\S*(?: \S+)*?)(?:  .*)?$/mg;
cmp_ok(scalar @verbs, '>=', 3, 'there are verbs');
ok((grep { $_ eq 'ping' } @verbs), 'ping among them');
is(scalar(grep { length > 79 } split /\n/, $help->{out}), 0,
    'no line is too long') or diag($help->{out});

my (@without, @unnamed);
for my $verb (@verbs) {
    my $r = $ctl->run('help', split / /, $verb);
    push @without, $verb unless $r->{status} == 0
        && $r->{out} =~ /\Ausage: veilctl \Q$verb\E\b.*\n\n[A-Z](?:[^\n]|\n[^\n])*\.\n/;
    push @unnamed, $verb if $r->{out} =~ /^  \S+$/m;
}
is("@without", '', 'each has a usage and a sentence');
like($ctl->run('help', 'qqqqqqqq')->{err}, qr/there is no verb "qqqqqqqq"/,
    'others have none');
is($ctl->run('help', 'qqqqqqqq')->{status}, 2, 'and that is a mistake');
like($ctl->run('--version')->{out}, qr{\Aveilctl/\d+\.\d+\.\d+\n\z}, 'version');

# ------------------------------------------------------------- the manual page --

my $man = $ctl->run('--man')->{out};
is(slurp("$build/veilctl.8"), $man, 'the page of this build is current');
my %sections = map { $_ => 1 } $man =~ /^\.SS "(.*)"$/mg;
is(join(' ', grep { !$sections{ s/-/\\-/gr } } @verbs), '', 'all verbs are in it');
SKIP: {
    skip 'there is no man', 2 unless grep { -x "$_/man" } split /:/, $ENV{PATH};
    local $ENV{MANWIDTH} = 80;
    my $said = `man --warnings -E UTF-8 -l '$build/veilctl.8' 2>&1 > /dev/null`;
    is($said, '', 'man has nothing to say about it');
    my $text = `man -E UTF-8 -l '$build/veilctl.8' 2> /dev/null`;
    like($text, qr/^EXIT STATUS$/m, 'and shows it');
}
SKIP: {
    skip 'there is no mandoc', 1
        unless grep { -x "$_/mandoc" } split /:/, $ENV{PATH};
    my $said = `mandoc -T lint -W error '$build/veilctl.8' 2>&1`;
    is($said, '', 'neither has mandoc');
}

# -------------------------------------------------------------- the completion --

my $script = "$build/veilctl.bash";
is(slurp($script), $ctl->run('--completion', 'bash')->{out},
    'the completion of this build is current');
is(`bash -n '$script' 2>&1`, '', 'bash reads it');

# complete($line): what is proposed for a line with the cursor at its end, as
# bash does it: words are cut at blanks, "=" and ":".
sub complete {
    my ($line) = @_;
    my @words = grep { length } split /([=:]+)|\s+/, $line;
    @words = grep { defined } @words;
    push @words, '' if $line =~ /[\s=:]\z/ && $line !~ /[=:]\z/;
    push @words, '' if $line =~ /[=:]\z/;
    my $quoted = join ' ', map { "'$_'" } @words;
    my $last = $#words;
    open my $f, '-|', 'bash', '--norc', '-c', <<"EOC" or die "bash: $!";
. '$script'
COMP_WORDS=($quoted) COMP_CWORD=$last COMP_LINE='$line' COMP_POINT=\${#COMP_LINE}
_veilctl
printf '%s\\n' "\${COMPREPLY[@]}"
EOC
    my @proposed = <$f>;
    close $f;
    chomp @proposed;
    return join ' ', sort grep { length } @proposed;
}

my %first = map { (split / /)[0] => 1 } @verbs;
is(complete('veilctl '), join(' ', sort keys %first), 'first words');
is(complete('veilctl pin'), 'ping', 'a word that was begun');
is(complete('veilctl --js'), '--json', 'an option');
is(complete('veilctl -j pin'), 'ping', 'a verb behind an option');
is(complete('veilctl -s /x pin'), 'ping', 'or behind its value');
is(complete('veilctl help pin'), 'ping', 'help of a verb');
like(complete('veilctl -s /dev/nul'), qr{^/dev/null$}, 'a path');
like(complete('veilctl --completion '), qr/^bash$/, 'a word for an option');

# Each word of a verb, each argument, each word of an argument, each verb.
my @wrong;
for my $verb (@verbs) {
    my @words = split / /, $verb;
    for my $i (1 .. $#words) {
        my $line = 'veilctl ' . join(' ', @words[ 0 .. $i - 1 ]) . ' ';
        push @wrong, "$line: $words[$i]"
            unless complete($line) =~ /(?:^| )\Q$words[$i]\E(?: |$)/;
    }
    my ($usage) = $ctl->run('help', @words)->{out} =~ /\Ausage: (.*)/;
    for my $arg ($usage =~ /\[--(\S+?)[=\]]/g) {
        my $line = "veilctl $verb --" . substr $arg, 0, 1;
        push @wrong, "$line: --$arg"
            unless complete($line) =~ /(?:^| )--\Q$arg\E(?: |$)/;
    }
    push @wrong, "$usage: --with_underscores" if $usage =~ /\[--\w+_|expires_in/;
    for my $arg ($usage =~ /[ \[](\w[\w-]*=\S+?)\]?(?= |$)/g) {
        my ($name, $value) = split /=/, $arg;
        push @wrong, "veilctl $verb: --$name"
            unless complete("veilctl $verb --$name") =~ /(?:^| )--$name(?: |$)/;
        next unless $value =~ /\|/;
        my $all = join ' ', sort split /\|/, $value;
        is(complete("veilctl $verb $name="), $all, "$verb $name=");
        is(complete("veilctl $verb --$name "), $all, "$verb --$name");
        my ($one) = split /\|/, $value;
        my $begun = substr $one, 0, -1;
        like(complete("veilctl $verb $name=$begun"), qr/(?:^| )\Q$one\E(?: |$)/,
            "$verb $name=$begun");
    }
}
is("@wrong", '', 'all that may be typed is proposed');

done_testing();
