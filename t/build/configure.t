#!/usr/bin/perl

# configure: its options, what it writes, and how it says no.
#
# Works in temporary build directories with --no-makefile, so the tree is
# left alone.

use strict;
use warnings;

use Cwd qw/abs_path getcwd/;
use File::Basename qw/dirname/;
use File::Temp qw/tempdir/;
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die "chdir: $!";

my $tmp = tempdir(CLEANUP => 1);
my $builds = 0;

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar <$f>;
}

sub spew {
    my ($path, $text, $mode) = @_;
    open my $f, '>', $path or die "$path: $!";
    print $f $text;
    close $f;
    chmod $mode, $path if $mode;
    return $path;
}

sub word { my ($w) = @_; $w =~ s/'/'\\''/g; return "'$w'" }

# Runs configure; gives its exit status, all it printed and its directory.
sub configure {
    my @args = @_;
    my $dir = "$tmp/build" . ++$builds;
    my $line = join ' ', './configure', "--builddir=$dir", '--no-makefile',
        map { word($_) } @args;
    my $out = `$line 2>&1`;
    return ($? >> 8, $out, $dir);
}

sub fails {
    my ($args, $re, $name) = @_;
    my ($status, $out) = configure(@$args);
    isnt($status, 0, "$name: refused");
    like($out, $re, "$name: says why");
    unlike($out, qr/Configuration of this build/, "$name: no summary");
    return;
}

# -- help, and every option of it is known

my $help = `./configure --help 2>&1`;
is($?, 0, '--help exits with 0');
unlike($help, qr/not found/, 'and finds all it needs');

my @options = $help =~ /^  (--\S+)/mg;
cmp_ok(scalar @options, '>=', 25, '--help lists the options');
is(scalar(grep { !/^  --\S+ +\S/ } grep { /^  --/ } split /\n/, $help), 0,
    'each has a line that says what it does');
for my $name (qw/--prefix=PATH --sbin-path=PATH --conf-path=PATH
    --error-log-path=PATH --http-log-path=PATH --pid-path=PATH
    --lock-path=PATH --user=USER --group=GROUP --with-cc=PROGRAM
    --with-cc-opt=FLAGS --with-ld-opt=FLAGS --builddir=DIR --with-debug
    --with-asan --with-fuzz --add-module=DIR --with-boringssl=DIR --with-tls
    --without-tls --with-fetch/)
{
    ok((grep { $_ eq $name } @options), "--help has $name");
}

# Each option is read: one that configure's loop does not know is refused as
# unknown, before anything else can go wrong with its value.
{
    my @unread;
    for my $option (grep { $_ ne '--help' } @options) {
        my $arg = $option;
        $arg =~ s/=.*/=\/nonexistent/;
        next if $arg =~ /^--builddir/;
        # The last, unknown one stops configure before it does its work.
        my ($status, $out) = configure($arg, '--stop-here');
        push @unread, $option unless $out =~ /unknown option "--stop-here"/;
    }
    is("@unread", '', 'every option of --help is read');
}

# -- wrong options

fails(['--wiht-debug'], qr/unknown option "--wiht-debug".*"--with-debug"/,
    'a misspelt option');
fails(['--conf-pat=/x'], qr/did you mean "--conf-path="/,
    'a misspelt option with a value');
fails(['--completely-different-thing'],
    qr/unknown option "--completely-different-thing"$/m,
    'nothing near is not guessed at');
fails(['--prefix'], qr/"--prefix" needs a value/, 'a value is missing');
fails(['--prefix='], qr/"--prefix=" needs a value/, 'an empty value');
fails(['--prefix=here'], qr/absolute path/, 'a relative prefix');
fails(['--with-http_nonsense_module'],
    qr/unknown option "--with-http_nonsense_module"/, 'an unknown module');
fails(['--with-asan', '--with-tsan'], qr/exclude each other/,
    'two sanitizers at once');
fails(['--with-cc=/nonexistent/cc'], qr/cannot compile.*gcc libc6-dev/s,
    'no such compiler');
{
    mkdir "$tmp/bin" or die;
    spew("$tmp/bin/precious", '');
    my $out = `./configure --builddir=$tmp/bin --no-makefile 2>&1`;
    like($out, qr/there is something in/,
        'a directory with other things in it is not built in');
    ok(-f "$tmp/bin/precious" && !-e "$tmp/bin/Makefile",
        'and nothing happens to it');
}
fails(['surplus'], qr/unknown option "surplus"/, 'an argument');

# -- what is written

{
    my $before = slurp('Makefile');
    my ($status, $out, $dir) = configure();
    is($status, 0, 'configure without options') or diag($out);
    like($out, qr/^Configuration of this build$/m, 'prints a summary');
    like($out, qr/^\s+configuration:\s+\/etc\/veil\/veil\.conf$/m,
        'with the default configuration file');
    is(slurp('Makefile'), $before, '--no-makefile leaves Makefile alone');

    my $h = slurp("$dir/veil_auto_config.h");
    my %want = (
        PREFIX => '/usr/local/veil/',
        SBIN_PATH => '/usr/local/sbin/veil',
        CONF_PATH => '/etc/veil/veil.conf',
        ERROR_LOG_PATH => '/var/log/veil/error.log',
        HTTP_LOG_PATH => '/var/log/veil/access.log',
        PID_PATH => '/run/veil.pid',
        LOCK_PATH => '/run/veil.lock',
        # Relative to the prefix of a run, which -p may change.
        CLIENT_BODY_TEMP_PATH => 'client_body_temp',
        PROXY_TEMP_PATH => 'proxy_temp',
        CONFIGURE_ARGS => undef,
        COMPILER => undef,
        USER => 'nobody',
        GROUP => undef,
    );
    for my $name (sort keys %want) {
        my ($value) = $h =~ /^#define VEIL_$name "(.*)"$/m;
        defined $want{$name}
            ? is($value, $want{$name}, "VEIL_$name by default")
            : ok(defined $value, "VEIL_$name is there");
    }
    like($h, qr/^#define VEIL_HAVE_IO_URING 1$/m, 'VEIL_HAVE_IO_URING');
    like($h, qr/^#define VEIL_HAVE_PCRE2 1$/m, 'VEIL_HAVE_PCRE2');
    unlike($h, qr/VEIL_DEBUG/, 'a release build has no VEIL_DEBUG');

    # Again, with the same options: nothing is touched that would be
    # compiled again.
    my @before = map { (stat "$dir/$_")[9] } qw/veil_auto_config.h flags/;
    utime 1, 1, map { "$dir/$_" } qw/veil_auto_config.h flags/;
    is(system("$dir/reconfigure > /dev/null 2>&1"), 0, 'reconfigure works');
    is(slurp("$dir/veil_auto_config.h"), $h, 'and finds the same');
    is((stat "$dir/veil_auto_config.h")[9], 1, 'and leaves the header alone');
    is((stat "$dir/flags")[9], 1, 'and the flags');
}

{
    my ($status, $out, $dir) = configure(
        '--prefix=/opt/veil/', '--with-debug', '--user=web',
        '--pid-path=/run/x.pid', '--http-log-path=a.log',
        '--http-proxy-temp-path=/var/tmp/p', "--with-cc-opt=-DX='\"a b\"'",
        '--with-ld-opt=-Wl,--as-needed', '--without-pcre');
    is($status, 0, 'configure with options') or diag($out);
    my $h = slurp("$dir/veil_auto_config.h");
    my %want = (
        PREFIX => '/opt/veil/',
        SBIN_PATH => '/opt/veil/sbin/veil',
        CONF_PATH => '/opt/veil/conf/veil.conf',
        ERROR_LOG_PATH => '/opt/veil/logs/error.log',
        HTTP_LOG_PATH => '/opt/veil/a.log',
        PID_PATH => '/run/x.pid',
        LOCK_PATH => '/opt/veil/logs/veil.lock',
        CLIENT_BODY_TEMP_PATH => 'client_body_temp',
        PROXY_TEMP_PATH => '/var/tmp/p',
        USER => 'web',
        GROUP => 'web',
    );
    for my $name (sort keys %want) {
        my ($value) = $h =~ /^#define VEIL_$name "(.*)"$/m;
        is($value, $want{$name}, "VEIL_$name as asked for");
    }
    like($h, qr/^#define VEIL_DEBUG 1$/m, 'VEIL_DEBUG');
    unlike($h, qr/VEIL_HAVE_PCRE2/, 'no VEIL_HAVE_PCRE2');
    my ($args) = $h =~ /^#define VEIL_CONFIGURE_ARGS "(.*)"$/m;
    like($args, qr/ --prefix=\/opt\/veil\/ --with-debug /,
        'the arguments are kept');

    # They must be C, whatever quotes they hold.
    spew("$tmp/args.c", "#include \"veil_auto_config.h\"\n"
        . "#include <stdio.h>\n"
        . "int main(void) { return puts(VEIL_CONFIGURE_ARGS) < 0; }\n");
    is(system("cc -I$dir -o $tmp/args $tmp/args.c"), 0, 'as C');
    like(`$tmp/args`, qr/--with-cc-opt='-DX='\\''"a b"'\\'''/,
        'and come out as a shell would want them typed');
    is(system('make', '-s', '-n', '-f', "$dir/Makefile", "$dir/Makefile"), 0,
        'make reads its Makefile');
}

# -- missing libraries: a compiler that does not find them

sub cc_without {
    my ($lib) = @_;
    return '--with-cc=' . spew("$tmp/cc-$lib", <<"END", 0755);
#!/bin/sh
for arg
do
    test "\$arg" = -l$lib && { echo "ld: cannot find -l$lib"; exit 1; }
done
exec cc "\$@"
END
}

fails([cc_without('uring')], qr/liburing.*apt-get install liburing-dev/s,
    'liburing is missing');
fails([cc_without('pcre2-8')],
    qr/PCRE2.*--without-pcre.*apt-get install libpcre2-dev/s,
    'PCRE2 is missing');
{
    my ($status, $out) = configure(cc_without('pcre2-8'), '--without-pcre');
    is($status, 0, '--without-pcre does without PCRE2') or diag($out);
    like($out, qr/regular expressions:\s+none/, 'and the summary says so');
}
fails([spew("$tmp/gcc-only", "#!/bin/sh\nexec cc \"\$@\"\n", 0755)
        && "--with-cc=$tmp/gcc-only", '--with-fuzz'],
    qr/--with-fuzz needs clang/, 'fuzzing without clang')
    if `cc --version` !~ /clang/;

# -- TLS
#
# What Debian has installed may be there or not, so most of this is told by a
# library of paper: the headers say that they are BoringSSL's, the libraries
# have the functions that configure links with.

sub paper_boringssl {
    my ($top, $version, @libs) = @_;
    system('mkdir', '-p', "$top/include/openssl", map { s{/[^/]*$}{}r } @libs)
        == 0 or die;
    spew("$top/include/openssl/base.h", "#define OPENSSL_IS_BORINGSSL\n"
        . "#define BORINGSSL_API_VERSION $version\n");
    spew("$top/include/openssl/ssl.h", "#include <openssl/base.h>\n"
        . "enum { ssl_encryption_initial };\n"
        . "void SSL_CTX_set_private_key_method(void *, void *);\n"
        . "int SSL_provide_quic_data(void *, int, void *, size_t);\n");
    spew("$top/include/openssl/x509.h", "void X509_cmp_time_posix(void *, "
        . "long);\n");
    spew("$top/include/openssl/aead.h", "void EVP_aead_aes_128_gcm(void);\n");
    spew("$top/include/openssl/bytestring.h", "typedef int CBB;\n"
        . "void CBB_zero(CBB *); void CBB_cleanup(CBB *);\n");
    my %source = (
        libssl => 'void SSL_CTX_set_private_key_method(void) {}'
            . 'int SSL_provide_quic_data(void) { return 0; }',
        libcrypto => 'void EVP_aead_aes_128_gcm(void) {}'
            . 'void X509_cmp_time_posix(void) {}'
            . 'void CBB_zero(void) {} void CBB_cleanup(void) {}',
    );
    for my $lib (@libs) {
        my ($stem, $kind) = $lib =~ m{/(\w+)\.(a|so)$} or die $lib;
        spew("$tmp/$stem.c", $source{$stem});
        if ($kind eq 'so') {
            system("cc -shared -fPIC -o $lib $tmp/$stem.c") == 0 or die;
        } else {
            system("cc -c -fPIC -o $tmp/$stem.o $tmp/$stem.c") == 0
                && system("ar rcs $lib $tmp/$stem.o") == 0 or die;
        }
    }
    return $top;
}

sub tls_of {
    my ($dir) = @_;
    return slurp("$dir/Makefile") =~ /^TLS = (\w+)$/m ? $1 : 'unset';
}

fails(["--with-boringssl=$tmp/nowhere"], qr/there is no directory/,
    'no directory of BoringSSL');
mkdir "$tmp/ssl" or die;
fails(["--with-boringssl=$tmp/ssl"], qr/is not BoringSSL's/,
    'another directory');
mkdir "$tmp/ssl/$_" or die for 'include', 'include/openssl';
spew("$tmp/ssl/include/openssl/base.h", "#define OPENSSL_VERSION 3\n");
fails(["--with-boringssl=$tmp/ssl"], qr/is not BoringSSL's/,
    'the headers of OpenSSL');
fails(['--with-boringssl=' . paper_boringssl("$tmp/ssl", 18)],
    qr/too old: its API version is 18, needed is 19/, 'an old BoringSSL');
fails(['--with-boringssl=' . paper_boringssl("$tmp/ssl", 19)],
    qr/no libssl and libcrypto that link.*is it built\?/s,
    'one that is not built');
fails(["--with-boringssl=$tmp/a b"], qr/make cannot cope/,
    'a name that make would not read');
fails(["--with-boringssl=$tmp/ssl", '--without-tls'],
    qr/--with-boringssl and --without-tls exclude/, 'with and without');
fails(['--with-tls', '--without-tls'], qr/--with-tls and --without-tls excl/,
    'with and without, in short');

{
    my $ssl = paper_boringssl("$tmp/prefix", 23, "$tmp/prefix/lib/libssl.so",
        "$tmp/prefix/lib/libcrypto.so");
    my ($status, $out, $dir) = configure("--with-boringssl=$ssl", '--with-tls');
    is($status, 0, 'an installed prefix with shared libraries') or diag($out);
    like($out, qr/^  TLS: +BoringSSL, API version 23, in \Q$ssl\E$/m,
        'is in the summary');
    is(tls_of($dir), 'yes', 'TLS is on');
    my $h = slurp("$dir/veil_auto_config.h");
    like($h, qr/^#define VEIL_HAVE_TLS 1$/m, 'VEIL_HAVE_TLS');
    like($h, qr/^#define VEIL_TLS_LIBRARY "BoringSSL \(API version 23\)"$/m,
        'VEIL_TLS_LIBRARY, for -V');
    my $makefile = slurp("$dir/Makefile");
    like($makefile, qr/^CPPFLAGS = .* -isystem \Q$ssl\E\/include$/m,
        'its headers come before those of the system');
    like($makefile, qr/^LIBS = .* -L\Q$ssl\E\/lib -Wl,-rpath,\Q$ssl\E\/lib /m,
        'its libraries are found when the program runs');
}
SKIP: {
    skip 'there is no libstdc++ to link with', 7
        if system("echo 'int main(void) { return 0; }' > $tmp/cxx.c;"
            . " cc -o $tmp/cxx $tmp/cxx.c -lstdc++ 2> /dev/null") != 0;
    my @places = (
        [ 'a source tree', 'build/libssl.a', 'build/libcrypto.a' ],
        [ 'an older one', 'build/ssl/libssl.a', 'build/crypto/libcrypto.a' ],
        [ 'a prefix', 'lib64/libssl.a', 'lib64/libcrypto.a' ],
    );
    for my $n (0 .. $#places) {
        my ($name, @libs) = @{ $places[$n] };
        my $ssl = paper_boringssl("$tmp/place$n", 19,
            map { "$tmp/place$n/$_" } @libs);
        my ($status, $out, $dir) = configure("--with-boringssl=$ssl");
        is($status, 0, "archives in $name") or diag($out);
        my ($linked) = slurp("$dir/Makefile") =~ /^LIBS = (.*)$/m;
        my ($one, $two) = map { quotemeta "$ssl/$_" } @libs;
        like($linked, qr/--exclude-libs\S* $one $two -lstdc\+\+/,
            'are linked with by name');
    }
    # Relative to the source tree, and not to wherever make runs.
    my ($status, $out, $dir) = configure(
        '--with-boringssl=' . ('../' x 20) . substr "$tmp/place0", 1);
    like(slurp("$dir/Makefile"), qr/-isystem \/\S*place0\/include$/m,
        'a relative directory is made absolute');
}

# A compiler that finds no such library, and so a machine without one.
my $no_ssl = cc_without('ssl');
{
    my ($status, $out, $dir) = configure($no_ssl);
    is($status, 0, 'without BoringSSL') or diag($out);
    like($out, qr/^  TLS: +none: .*\n.*android-libboringssl-dev/m,
        'the summary says what to install');
    is(tls_of($dir), 'no', 'TLS is off');
    like(slurp("$dir/lacking"), qr/^tls$/m, 'as tests get to know');
    unlike(slurp("$dir/veil_auto_config.h"), qr/TLS/, 'no VEIL_HAVE_TLS');
    unlike(slurp("$dir/Makefile"), qr/isystem|-lssl/, 'and no flags');
}
fails([$no_ssl, '--with-tls'], qr/--with-tls: .*android-libboringssl-dev/s,
    '--with-tls without BoringSSL');
{
    my ($status, $out, $dir) = configure('--without-tls');
    is($status, 0, '--without-tls') or diag($out);
    like($out, qr/^  TLS: +none \(--without-tls\)$/m, 'is in the summary');
    unlike($out, qr/checking for BoringSSL/, 'and nothing is looked for');
    is(tls_of($dir), 'no', 'TLS is off');
}

# The files that are there with TLS only, or without it only.
{
    my @with = qw{src/core/ocsp.c src/event/ktls.c src/event/ktls_recv.c
        src/event/tls.c src/event/tls_key.c t/fuzz/fuzz_ocsp.c
        t/fuzz/fuzz_tls.c t/unit/test_ktls.c t/unit/test_ocsp.c
        t/unit/test_tls.c t/unit/test_tls_key.c};
    my @without = qw{src/event/tls_none.c t/unit/test_tls_none.c};
    my @always = qw{src/core/str.c src/event/loop.c t/fuzz/fuzz_uri.c
        t/unit/test_str.c};
    my $files = "$tmp/files";
    system('mkdir', '-p', map { "$files/$_" } qw{src/core src/event t/unit
        t/fuzz}) == 0 or die;
    for my $tls (qw/yes no/) {
        my $show = "B = objs\nTLS = $tls\ninclude " . getcwd()
            . "/auto/rules.mk\nshow:\n\t\@echo \$(sort \$(LAYER_SRCS)"
            . " \$(UNIT_SRCS) \$(FUZZ_SRCS))\n";
        unlink glob "$files/*/*/*";
        spew("$files/Makefile", $show);
        is(`make -s -C $files show 2>&1`, "\n",
            "TLS = $tls: no files are no mistake");
        spew("$files/$_", '') for @with, @without, @always;
        is(`make -s -C $files --no-print-directory show 2>&1`,
            join(' ', sort @always, $tls eq 'yes' ? @with : @without) . "\n",
            "TLS = $tls: the right files are taken");
    }
}

# A module that needs what is not there.
{
    my $list = "$tmp/needs";
    spew($list, <<'END');
. auto/functions
VEIL_LIBS= WITH_MODULES=" $2 " WITHOUT_MODULES=" " ADD_MODULES= HAVE=$1
mkdir -p "$3/auto" && sed '$d' auto/register > "$3/auto/register"
. "$3/auto/register"
module veil_http_needy_module ${4:-on} "" "needy" "-lneedy" "PCRE2 TLS"
module veil_http_plain_module on "" "plain"
echo "modules:$VEIL_MODULES"
echo "off:$VEIL_OFF"
echo "libs:$VEIL_LIBS"
echo "lacking:$VEIL_LACKING"
END
    my $both = `sh $list 'IO_URING PCRE2 TLS' '' $tmp 2>&1`;
    like($both, qr/^modules: veil_http_needy_module veil_http_plain_module$/m,
        'a module has what it needs');
    for my $default (qw/on always/) {
        my $one = `sh $list 'IO_URING PCRE2' '' $tmp $default 2>&1`;
        like($one, qr/^modules: veil_http_plain_module$/m,
            "$default: it has not, and is off");
        like($one, qr/^  - needy \(needs TLS\)$/m, "$default: it says why");
        unlike($one, qr/-lneedy/, "$default: its library is not linked");
        like($one, qr/^lacking: veil_http_needy_module$/m,
            "$default: and tests get to know");
    }
    my $asked = `sh $list 'IO_URING' http_needy_module $tmp off 2>&1`;
    isnt($?, 0, 'it is asked for, and cannot be');
    like($asked, qr/--with-http_needy_module: this build has no PCRE2 TLS$/m,
        'and that is said');
}

# -- added modules

mkdir "$tmp/mod" or die;
fails(["--add-module=$tmp/mod"], qr/there is no file "\Q$tmp\E\/mod\/config"/,
    'a module without config');

sub module_config {
    my ($text) = @_;
    spew("$tmp/mod/config", $text);
    return "--add-module=$tmp/mod";
}

my $good = <<'END';
veil_module=veil_http_sample_module
veil_module_layer=http
veil_module_srcs="$veil_addon_dir/sample.c"
veil_module_libs=-lm
veil_module_help="sample: for a test"

. auto/module
END

fails([module_config($good)], qr/there is no file "\Q$tmp\E\/mod\/sample.c"/,
    'a module without its source');
spew("$tmp/mod/sample.c", "int veil_http_sample_module;\n");
fails([module_config($good =~ s/^\. .*//mr)], qr/registers no module/,
    'a config that registers nothing');
fails([module_config($good =~ s/=http$/=htttp/mr)],
    qr/unknown layer "htttp"/, 'a wrong layer');
fails([module_config($good =~ s/veil_http_sample/sample/r)],
    qr/veil_http_<name>_module, not "sample_module"/, 'a wrong name');
fails([module_config($good), "--add-module=$tmp/mod/"],
    qr/two modules are called veil_http_sample_module/, 'the same one twice');
{
    my ($status, $out, $dir) = configure(module_config($good));
    is($status, 0, 'a good module') or diag($out);
    like($out, qr/\+ sample: for a test/, 'is in the summary');
    my $list = slurp("$dir/veil_modules.c");
    like($list, qr/^extern veil_module_t veil_http_sample_module;$/m,
        'is declared');
    like($list, qr/^    &veil_http_sample_module,\n.*&veil_http_static_/ms,
        'is asked before the files');
    like(slurp("$dir/features"), qr/^sample$/m, 'is a feature');
    my ($obj) = slurp("$dir/Makefile") =~ /^(\S+sample\.o):/m;
    is(system('make', '-s', '-f', "$dir/Makefile", $obj), 0, 'compiles');
    ok(-f $obj, 'into the build directory');
}

# -- modules of the tree: each can be switched

{
    my %switch = map { /^--(with|without)-(.*_module)$/ ? ($2 => $1) : () }
        @options;
    my @off = map { "--without-$_" } grep { $switch{$_} eq 'without' }
        sort keys %switch;
    my ($status, $out, $dir) = configure(@off);
    is($status, 0, 'all modules that may be are off') or diag($out);
    my $list = slurp("$dir/veil_modules.c");
    is(join(' ', grep { $list =~ /&veil_$_,/ } sort keys %switch), '',
        'and none of them is in the list');

    my ($any) = sort keys %switch;
    fails(["--with-$any", "--without-$any"], qr/both --with-$any and/,
        'a module on and off') if $any;
}

# -- as an ordinary user

SKIP: {
    my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
    skip 'this is an ordinary user already', 2 if $> != 0;
    my $dir = "$tmp/nobody";
    mkdir $dir or die;
    chown $uid, $gid, $dir;
    chmod 0755, $tmp;
    # A tree below root's own directory is out of reach: a copy is not.
    mkdir "$tmp/tree" or die;
    system('tar --exclude=./objs* --exclude=./.git -cf - .'
        . " | tar -xf - -C $tmp/tree") == 0 or die 'the tree is not copied';
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        chdir "$tmp/tree" or exit 1;
        $( = $gid;
        $) = "$gid $gid";
        $< = $> = $uid;
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec './configure', "--builddir=$dir/objs", '--no-makefile'
            or exit 1;
    }
    waitpid $pid, 0;
    is($?, 0, 'configure as nobody') or diag(slurp("$dir/log"));
    ok(-f "$dir/objs/Makefile", 'writes its files');
}

done_testing();
