#!/usr/bin/perl

# make install: what goes where, and what is never overwritten.
#
# Installs the build that TEST_VEIL_BINARY belongs to, below a temporary
# DESTDIR; as "nobody" if root runs the test, as that is what an ordinary
# user may do.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/dirname/;
use File::Temp qw/tempdir/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $binary = $ENV{TEST_VEIL_BINARY} || 'objs/veil';
my $build = dirname($binary);

plan skip_all => 'there is no program to install yet'
    unless -f 'src/process/veil.c';
BAIL_OUT("$binary is not built") unless -x $binary;

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return;
    local $/;
    return scalar <$f>;
}

sub append {
    my ($path, $text) = @_;
    open my $f, '>>', $path or die "$path: $!";
    print $f $text;
    close $f;
    return;
}

my $tmp = tempdir(CLEANUP => 1);
my $dest = "$tmp/root with a space";
mkdir $dest or die;

# Who installs: nobody, if that one may look into the tree and the build.
my @as = ();
my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
if ($> == 0 && defined $uid) {
    my $try = fork // die "fork: $!";
    if ($try == 0) {
        ($(, $)) = ($gid, "$gid $gid");
        ($<, $>) = ($uid, $uid);
        exit(-r 'conf/veil.conf' && -r $binary ? 0 : 1);
    }
    waitpid $try, 0;
    if ($? == 0) {
        @as = ($uid, $gid);
        chmod 0755, $tmp;
        chown @as, $dest;
    }
}
note('installing as ' . (@as ? 'nobody' : (getpwuid $>)[0]));

sub install {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        if (@as) {
            ($(, $)) = ($as[1], "$as[1] $as[1]");
            ($<, $>) = ($as[0], $as[0]);
        }
        open STDOUT, '>', "$dest/log" or exit 1;
        open STDERR, '>&', \*STDOUT or exit 1;
        exec 'make', '-f', "$build/Makefile", 'install', "DESTDIR=$dest"
            or exit 1;
    }
    waitpid $pid, 0;
    return $?;
}

sub same {
    my ($one, $other) = map { slurp($_) // "no $_" } @_;
    return $one eq $other;
}

is(install(), 0, 'make install with DESTDIR')
    or BAIL_OUT(slurp("$dest/log"));

# The paths that this build was configured with.
my %path = slurp("$build/veil_auto_config.h")
    =~ /^#define VEIL_(\w+) "(\/.*)"$/mg;
my $conf = "$dest$path{CONF_PATH}";
my $conf_dir = dirname($conf);

ok(-x "$dest$path{SBIN_PATH}", 'the program');
ok(same($conf, 'conf/veil.conf'), 'veil.conf');
ok(same("$conf_dir/veil.conf.default", 'conf/veil.conf'),
    'veil.conf.default');
ok(same("$conf_dir/mime.types", 'conf/mime.types'), 'mime.types');
ok(-f "$dest$path{PREFIX}html/index.html", 'the page');
ok(-d dirname("$dest$path{ERROR_LOG_PATH}"), 'the directory of the log');
ok(-d dirname("$dest$path{PID_PATH}"), 'the directory of the pid file');
ok(!-e "$dest$path{SBIN_PATH}.old", 'no older program');
is(-x dirname("$dest$path{SBIN_PATH}") . '/veil-fetch' ? 1 : 0,
    -x "$build/veil-fetch" ? 1 : 0, 'veil-fetch, if it was asked for');

# veilctl, its manual page and its completion, as the program itself says.
my $ctl = dirname("$dest$path{SBIN_PATH}") . '/veilctl';
ok(-x $ctl, 'veilctl');
my $share = dirname($path{SBIN_PATH});
$share = "$path{PREFIX}share" unless $share =~ s{/s?bin\z}{/share};
is(slurp("$dest$share/man/man8/veilctl.8"), `'$ctl' --man`,
    'its manual page');
is(slurp("$dest$share/bash-completion/completions/veilctl"),
    `'$ctl' --completion bash`, 'its completion');

like(`'$dest$path{SBIN_PATH}' -v 2>&1`, qr{^veil version: veil/\d},
    'what was installed runs');

# Edited files stay as they are; the defaults beside them are renewed.
append($conf, "# edited\n");
append("$conf_dir/mime.types", "# edited\n");
append("$conf_dir/veil.conf.default", "# edited\n");
append("$dest$path{PREFIX}html/index.html", "<!-- edited -->\n");

is(install(), 0, 'make install again') or diag(slurp("$dest/log"));
like(slurp($conf), qr/^# edited$/m, 'an edited veil.conf stays');
like(slurp("$conf_dir/mime.types"), qr/^# edited$/m,
    'an edited mime.types stays');
like(slurp("$dest$path{PREFIX}html/index.html"), qr/edited/,
    'an edited page stays');
ok(same("$conf_dir/veil.conf.default", 'conf/veil.conf'),
    'veil.conf.default is renewed');
ok(-x "$dest$path{SBIN_PATH}.old", 'the older program is kept');

done_testing();
