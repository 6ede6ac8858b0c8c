#!/usr/bin/perl

# The style checks find what they are for, and are silent otherwise.
#
# They are copied into a small tree of their own.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use File::Copy qw/copy/;
use File::Path qw/make_path remove_tree/;
use File::Temp qw/tempdir/;
use Test::More;

my $top = dirname(abs_path(__FILE__)) . '/../..';
my $tmp = tempdir(CLEANUP => 1);

make_path("$tmp/auto", "$tmp/objs");
for my $script (glob "$top/auto/check-*") {
    my $to = "$tmp/auto/" . (split m{/}, $script)[-1];
    copy($script, $to) or die;
    chmod 0755, $to;
}
copy("$top/.clang-format", "$tmp/.clang-format") or die;
chdir $tmp or die;

sub tree {
    my (%files) = @_;
    remove_tree('src', 'objs');
    make_path('objs');
    spew($_, $files{$_}) for keys %files;
    return;
}

sub spew {
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $f, '>', $path or die "$path: $!";
    print $f $text;
    close $f;
    return;
}

sub finds {
    my ($command, $re, $name) = @_;
    my $out = `$command 2>&1`;
    isnt($?, 0, "$name: fails");
    like($out, $re, "$name: says what");
    return;
}

sub silent {
    my ($command, $name) = @_;
    my $out = `$command 2>&1`;
    is($?, 0, "$name: passes");
    is($out, '', "$name: is silent");
    return;
}

# -- layers

sub includes {
    my ($file, $target) = @_;
    tree("src/$file" => qq{/* x */\n#include "$target"\n});
    return;
}

my @denied = (
    [ 'core/a.c', 'event/op.h' ], [ 'core/a.h', 'http/http.h' ],
    [ 'core/a.c', 'process/spawn.h' ], [ 'core/a.c', 'modules/x.h' ],
    [ 'event/a.c', 'http/http.h' ], [ 'event/a.c', 'process/spawn.h' ],
    [ 'process/a.c', 'http/http.h' ], [ 'http/a.c', 'process/spawn.h' ],
    [ 'http/a.c', 'stream/stream.h' ], [ 'stream/a.c', 'http/http.h' ],
    [ 'http/a.c', 'modules/x.h' ], [ 'modules/a.c', 'process/spawn.h' ],
    [ 'modules/a.c', 'modules/b.h' ], [ 'modules/a/x.c', 'modules/b/y.h' ],
    [ 'core/a.c', 'str.h' ], [ 'core/a.c', '../event/op.h' ],
);
for (@denied) {
    includes(@$_);
    finds('auto/check-layers', qr{^src/\Q$_->[0]\E:2: .*\Q$_->[1]\E$}m,
        "layers: $_->[0] includes $_->[1]");
}
my @allowed = (
    [ 'core/a.c', 'core/str.h' ], [ 'event/a.c', 'core/str.h' ],
    [ 'process/a.c', 'event/op.h' ], [ 'http/a.c', 'event/op.h' ],
    [ 'http/a.c', 'http/http.h' ], [ 'modules/a.c', 'http/http.h' ],
    [ 'modules/a/x.c', 'modules/a/y.h' ], [ 'modules/a.c', 'event/op.h' ],
);
for (@allowed) {
    includes(@$_);
    silent('auto/check-layers', "layers: $_->[0] includes $_->[1]");
}
for my $file (qw{event/tls.c event/tls.h core/ocsp.c modules/ssl/ssl.c
    modules/ssl.c modules/ssl_conf.c})
{
    tree("src/$file" => "/* x */\n#include <openssl/ssl.h>\n");
    silent('auto/check-layers', "layers: $file may include <openssl/ssl.h>");
}
for my $file (qw{core/str.c core/ocsp_x.c http/a.c process/a.c modules/a.c
    modules/sslx/a.c modules/proxy/proxy_ssl.c})
{
    tree("src/$file" => "/* x */\n#include <openssl/ssl.h>\n");
    finds('auto/check-layers', qr{^src/\Q$file\E:2: the TLS library is for},
        "layers: $file may not");
}
tree('src/core/a.c' => "/* x */\n#include <sys/types.h>\n#include <time.h>\n");
silent('auto/check-layers', 'layers: system headers');

# -- size

sub function {
    my ($lines, $before) = @_;
    return "/* x */\nstatic int\nlong_one(int a)\n" . ($before // '')
        . "{\n" . "    a++;\n" x ($lines - 2) . "}\n";
}

tree('src/core/a.c' => function(100));
silent('auto/check-size', 'size: a function of 100 lines');
tree('src/core/a.c' => function(101));
finds('auto/check-size', qr/^src\/core\/a\.c:4: long_one\(\) has 101 lines/,
    'size: a function of 101 lines');
tree('src/core/a.c' => function(101, "/* long: a table of states */\n"));
silent('auto/check-size', 'size: one with a reason');
tree('src/core/a.c' => function(101, "/* long: */\n"));
finds('auto/check-size', qr/101 lines/, 'size: a reason without a word');
tree('src/core/a.c' => "/* x */\n" . "int x;\n" x 799);
silent('auto/check-size', 'size: a file of 800 lines');
tree('src/core/a.c' => "/* x */\n" . "int x;\n" x 800,
    'src/core/b.c' => "/* y */\n");
finds('auto/check-size', qr/^src\/core\/a\.c: 801 lines/,
    'size: a file of 801 lines');
tree('src/core/a.c' => "/* x */\n", 'src/core/b.c' => "/* x */\n" x 801);
finds('auto/check-size', qr/^src\/core\/b\.c: 801 lines/,
    'size: the last file counts too');

# -- names, of compiled code

sub compiled {
    my ($stem, $text) = @_;
    tree("src/core/$stem.c" => $text);
    make_path('objs/src/core');
    my $o = "objs/src/core/$stem.o";
    system('cc', '-c', '-o', $o, "src/core/$stem.c") == 0 or die;
    system('ar', 'rcs', 'objs/libveil.a', $o) == 0 or die;
    spew('objs/objects', "$o\n");
    return;
}

compiled('conf_lex', <<'END');
int veil_x = 1;
static int conf_lex_y = 1;
static int conf_z = 1;
static inline int veil_in_header(void) { static int once; return once++; }
int *veil_f(void);
int *veil_f(void) { return veil_in_header() ? &conf_lex_y : &conf_z; }
END
silent('auto/check-names objs', 'names: as they should be');
compiled('conf_lex', "int other = 1;\n");
finds('auto/check-names objs', qr{^src/core/conf_lex\.c: exported.*: other$}m,
    'names: an exported variable');
compiled('conf_lex', "void conf_lex(void);\nvoid conf_lex(void) {}\n");
finds('auto/check-names objs', qr{exported.*: conf_lex$}m,
    'names: an exported function');
compiled('conf_lex', <<'END');
static int lex_y = 1;
int *veil_f(void);
int *veil_f(void) { return &lex_y; }
END
finds('auto/check-names objs', qr{static.*conf_ or conf_lex_: lex_y$}m,
    'names: a static variable');
tree('src/core/a.c' => "/* x */\n");
finds('auto/check-names objs', qr/build first/, 'names: nothing is built');

# -- headers

tree('src/core/platform.h' => "/* x */\n",
    'src/core/a.h' => "/* x */\n#include <stddef.h>\nsize_t f(void);\n");
silent('auto/check-headers objs', 'headers: one that compiles alone');
tree('src/core/platform.h' => "/* x */\n",
    'src/core/a.h' => "/* x */\nunknown_t f(void);\n");
finds('auto/check-headers objs', qr{src/core/a\.h:2:.*unknown_t},
    'headers: one that does not');

# -- layout, where there is the tool to judge it

SKIP: {
    skip 'there is no clang-format-14', 4
        if system('command -v clang-format-14 > /dev/null') != 0;
    tree('src/core/a.c' => "/* x */\nint\nmain(void)\n{\n    return 0;\n}\n");
    silent('auto/check-format', 'layout: as it should be');
    tree('src/core/a.c' => "/* x */\nint main(void) { return 0; }\n");
    finds('auto/check-format', qr{src/core/a\.c:2}, 'layout: another');
}

# -- all together

tree('src/core/a.c' => "#include \"event/op.h\"\n");
my $out = `auto/check-style objs 2>&1`;
isnt($?, 0, 'check-style fails if one of them does');
like($out, qr/layers.*core must not include event\/op\.h/s, 'and says which');
like($out, qr/src\/core\/a\.c:1: a file opens with its design comment/,
    'and looks for the comment at the top');

# -- without a build of its own it makes one, and brings either up to date
#
# The tree gets the real configure, with few modules, so this takes a second.
# The layout was looked at above, where there is the tool to do it.

$ENV{CLANG_FORMAT} = 'true';

copy("$top/configure", "$tmp/configure") or die;
for my $script (grep { -f } glob "$top/auto/*") {
    my $to = "$tmp/auto/" . (split m{/}, $script)[-1];
    copy($script, $to) or die;
    chmod 0755, $to;
}
chmod 0755, "$tmp/configure";
spew('auto/modules', "added_modules\n");

my %small = (
    'src/core/platform.h' => "/* x */\n#include \"veil_auto_config.h\"\n",
    'src/core/a.h' => "/* x */\n\nint veil_a(int n);\n",
    'src/core/a.c' => "/* x */\n\n#include \"core/platform.h\"\n\n"
        . "#include \"core/a.h\"\n\nint\nveil_a(int n)\n{\n"
        . "    return n + 1;\n}\n",
);
my $bad = "/* x */\n\nint wrong_name = 1;\n";

tree(%small);
remove_tree('objs');
silent('timeout 60 auto/check-style', 'no build: a tree that is as it should be');
ok(-f 'objs-style/libveil.a', 'no build: one is made in objs-style');
ok(!-e 'objs' && !-e 'Makefile', 'no build: and nowhere else');
spew('src/core/b.c', $bad);
finds('timeout 60 auto/check-style', qr{src/core/b\.c: exported.*wrong_name},
    'no build: what came since is looked at');
ok(!-e 'objs', 'no build: it is the same one');

spew('src/core/b.c', "/* x */\n\nint veil_b = ;\n");
my $status = system('timeout 60 auto/check-style > out 2>&1');
is($status >> 8, 2, 'a tree that does not compile cannot be judged');
unlink 'src/core/b.c', 'out';

is(system('./configure > /dev/null 2>&1'), 0, 'objs is configured');
spew('src/core/c.c', $bad);
remove_tree('objs-style');
finds('timeout 60 auto/check-style', qr{src/core/c\.c: exported.*wrong_name},
    'a build in objs: it is brought up to date and looked at');
ok(!-e 'objs-style', 'a build in objs: no other is made');

remove_tree('objs');
spew('configure', "#!/bin/sh\necho 'no compiler' >&2\nexit 1\n");
$status = system('timeout 60 auto/check-style > out 2>&1');
is($status >> 8, 2, 'a tree that cannot be configured cannot be judged');
unlink 'out';

done_testing();
