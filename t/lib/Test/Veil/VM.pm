package Test::Veil::VM;

# Test::Veil::VM -- runs programs in a virtual machine with a Linux of Debian.
#
# For what the kernel of the machine that tests may not have: TLS.  Nothing is
# installed and nobody need be root: packages are fetched by "apt-get
# download" from the sources that apt knows, and unpacked into a directory
# that later runs find again.  The machine is emulated (no KVM), has no
# network and no disk; its root is an archive in memory, made here, with a
# shell of busybox, the programs, and their libraries as ldd names them.
#
#     my $vm = Test::Veil::VM->new;
#     my $why = $vm->prepare;                      # undef, or why it cannot be
#     for my $kernel ($vm->kernels) {              # or boot_all: at a time
#         my $r = $vm->boot($kernel, script => 'uname -r; say ok something',
#             programs => [ 'objs/veil' ], files => { '/x' => 'text' });
#         # $r->{verdict}: 'passed', 'failed', or undef: it never got there
#         # $r->{lines}: what the script said; $r->{console}: all of it
#     }
#
# The script says things by "say TEXT".  It passed when it exits with 0.  No
# verdict means that the emulator or the kernel hung or died, which happens;
# then it is booted again, three times in all.  Only that is ever repeated.
#
# QEMU is the machine's own from version 10 on: 7.2, which is Debian 12's,
# makes Linux 6.12 fail at random.

use strict;
use warnings;

use Cwd qw/abs_path/;
use File::Basename qw/basename dirname/;
use File::Path qw/make_path remove_tree/;
use IO::Select;
use POSIX ();
use Storable ();
use Time::HiRes qw/time/;

# What the kernel needs for TLS, with the ciphers; what these need is found.
my @modules = qw/tls gcm ccm aesni-intel ghash-clmulni-intel ghash-generic
    chacha20poly1305 chacha-x86_64 poly1305-x86_64 chacha_generic
    poly1305_generic/;

# new(cache => DIR, seconds => N): all of it, downloads too, takes at most so
# long; by default three minutes, and as much longer as tests are to wait.
sub new {
    my ($class, %o) = @_;
    my $self = bless {
        cache   => $o{cache} || $ENV{TEST_VEIL_VM} || 'objs-vm',
        end     => time
            + ($o{seconds} || 90 * ($ENV{TEST_VEIL_PATIENCE} || 2)),
        notes   => [],
    }, $class;

    return $self;
}

sub left { my $left = $_[0]{end} - time; return $left > 0 ? $left : 0 }

# Output of a command, or undef when it fails.
sub _output {
    my ($self, @command) = @_;
    my $pid = open(my $out, '-|') // return undef;

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        $ENV{LC_ALL} = 'C';
        alarm int($self->left) + 1;
        exec(@command) or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    return close($out) ? $text : undef;
}

# Packages by version, newest first: [ [version, name], ... ].
sub _versions {
    my ($self, $name) = @_;
    my $text = $self->_output('apt-cache', 'madison', $name) // '';
    my %seen;

    return grep { !$seen{$_}++ }
        map { (split /\s*\|\s*/)[1] } split /\n/, $text;
}

# Fetches and unpacks packages (NAME=VERSION) below DIR, once.  only: what to
# unpack of them.
sub _unpack {
    my ($self, $dir, $packages, @only) = @_;
    my $part = "$dir.$$";
    my $ok = 1;

    return 1 if -d $dir;
    make_path("$part/debs", "$part/root");
    my $pid = fork // return 0;
    if ($pid == 0) {
        open STDOUT, '>', "$part/log";
        open STDERR, '>&', \*STDOUT;
        chdir "$part/debs" or POSIX::_exit(1);
        alarm int($self->left) + 1;
        exec('apt-get', 'download', '-q', @$packages)
            or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    $ok = 0 if $?;
    for my $deb (glob "$part/debs/*.deb") {
        my $into = "tar -x -C '$part/root'";

        $into .= " --wildcards @only" if @only;
        $ok &&= system("dpkg-deb --fsys-tarfile '$deb' | $into") == 0;
    }
    # Another test may have done the same meanwhile.
    $ok &&= rename("$part/root", $dir) || -d $dir;
    remove_tree($part);
    return $ok;
}

# Fetches the lists of packages into the cache, where the machine's own are
# missing: many images are made without.
sub _update {
    my ($self) = @_;
    my $dir = abs_path($self->{cache}) . '/apt';

    make_path("$dir/lists/partial", "$dir/archives/partial");
    open my $out, '>', "$dir/conf" or return;
    print {$out} "Dir::State::Lists \"$dir/lists\";\nDir::Cache \"$dir\";\n";
    close $out or return;
    $ENV{APT_CONFIG} = "$dir/conf";
    $self->_output('apt-get', 'update', '-q');
}

sub _qemu_version {
    my ($self, $env, $program) = @_;
    my $text = $self->_output('env', @$env, $program, '--version') // '';

    return $text =~ /version (\d+)\./ ? $1 : 0;
}

# undef, or why QEMU cannot be had.
sub _find_qemu {
    my ($self) = @_;
    my ($version) = grep { /^(?:\d+:)?(\d+)\./ && $1 >= 10 }
        $self->_versions('qemu-system-x86');
    my ($plan, @packages, $dir);

    if ($self->_qemu_version([], 'qemu-system-x86_64') >= 10) {
        $self->{qemu} = [ 'qemu-system-x86_64' ];
        return undef;
    }
    return 'apt knows no QEMU of version 10 or newer (Debian 12 has it in'
        . ' its backports)' unless $version;
    $dir = "$self->{cache}/qemu-$version";
    $dir =~ tr/:~/__/;
    if (!-d $dir) {
        # What would be installed is just what this machine lacks.
        my ($suite) = ($self->_output('apt-cache', 'policy',
            "qemu-system-x86") // '') =~ /^ \s+ \*{0,3} \s* \Q$version\E
            \s .*? \n \s+ \d+ \s+ \S+ \s+ ([^\s\/]+)/xm;
        $plan = $self->_output('apt-get', 'install', '-s',
            '--no-install-recommends', defined $suite ? ('-t', $suite) : (),
            "qemu-system-x86=$version")
            // return 'apt cannot tell what QEMU needs';
        push @packages, "$1=$2"
            while $plan =~ /^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm;
        $self->_unpack($dir, \@packages)
            or return 'QEMU could not be downloaded';
    }
    $dir = abs_path($dir);
    my $libs = join ':', map { ("$dir/lib/$_", "$dir/usr/lib/$_") }
        'x86_64-linux-gnu';
    $self->{qemu} = [ 'env', "LD_LIBRARY_PATH=$libs",
        "$dir/usr/bin/qemu-system-x86_64",
        map { ('-L', "$dir/usr/share/$_") } qw/seabios qemu/ ];
    return $self->_qemu_version([ "LD_LIBRARY_PATH=$libs" ],
        "$dir/usr/bin/qemu-system-x86_64") >= 10
        ? undef : 'the QEMU that was downloaded does not run here';
}

# Of the kernels that apt knows the newest of each series, oldest first; the
# first two of them.
sub _find_kernels {
    my ($self) = @_;
    my %series;

    for my $version ($self->_versions('linux-image-cloud-amd64')) {
        my ($number) = $version =~ /^(\d+\.\d+)/ or next;
        my $text = $self->_output('apt-cache', 'show',
            "linux-image-cloud-amd64=$version") // next;
        $series{$number} //= { name => $1, version => $2, series => $number }
            if $text =~ /^Depends: (linux-image-[^ ,]+) \(= ([^)]+)\)/m;
    }
    my @kernels = map { $series{$_} } sort {
        my @a = split /\./, $a;
        my @b = split /\./, $b;
        $a[0] <=> $b[0] || $a[1] <=> $b[1]
    } keys %series;
    return 'apt knows no kernel of linux-image-cloud-amd64' unless @kernels;

    splice @kernels, 2 if @kernels > 2;
    for my $kernel (@kernels) {
        $kernel->{dir} = "$self->{cache}/$kernel->{name}-$kernel->{version}";
        $kernel->{dir} =~ tr/:~/__/;
        $self->_unpack($kernel->{dir},
            [ "$kernel->{name}=$kernel->{version}" ],
            "'./boot/vmlinuz*'", "'*/kernel/*crypto/*'",
            "'*/kernel/net/tls/*'", "'*/kernel/lib/*'")
            or return "the kernel $kernel->{name} could not be downloaded";
        ($kernel->{image}) = glob "$kernel->{dir}/boot/vmlinuz*";
        return "$kernel->{name} has no image" unless $kernel->{image};
    }
    $self->{kernels} = \@kernels;
    return undef;
}

sub _find_busybox {
    my ($self) = @_;
    my ($version) = $self->_versions('busybox-static')
        or return 'apt knows no busybox-static';
    my $dir = "$self->{cache}/busybox-$version";

    $dir =~ tr/:~/__/;
    $self->_unpack($dir, [ "busybox-static=$version" ])
        or return 'busybox could not be downloaded';
    ($self->{busybox}) = grep { -x } map { "$dir/$_" }
        qw(bin/busybox usr/bin/busybox);
    return $self->{busybox} ? undef : 'busybox-static has no busybox';
}

# undef, or why there can be no virtual machine.
sub prepare {
    my ($self) = @_;
    my $arch = $self->_output('dpkg', '--print-architecture') // '';

    return 'this is no Debian on x86-64' unless $arch =~ /^amd64$/;
    make_path($self->{cache});
    $self->_update unless $self->_versions('busybox-static');
    return $self->_find_qemu // $self->_find_busybox // $self->_find_kernels;
}

sub kernels { return @{$_[0]{kernels}} }

# ------------------------------------------------------------- the archive --

sub _slurp {
    my ($file) = @_;
    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

# One entry of an archive in cpio's "newc" format.
sub _entry {
    my ($self, $name, $mode, $data) = @_;
    my $text = '070701' . sprintf('%08x' x 13, ++$self->{ino}, $mode, 0, 0, 1,
        0, length $data, 0, 0, 0, 0, length($name) + 1, 0) . "$name\0";

    $text .= "\0" x (-length($text) % 4) . $data;
    return $text . "\0" x (-length($text) % 4);
}

# Adds the directories above a path.
sub _dirs {
    my ($self, $path) = @_;
    my $text = '';
    my $dir = '';

    for my $part (split m{/}, dirname($path)) {
        next if $part eq '' || $part eq '.';
        $dir .= ($dir eq '' ? '' : '/') . $part;
        $text .= $self->_entry($dir, 040755, '') unless $self->{have}{$dir}++;
    }
    return $text;
}

sub _file {
    my ($self, $path, $data, $mode) = @_;

    $path =~ s{^/+}{};
    return '' if $self->{have}{$path}++;
    return $self->_dirs($path) . $self->_entry($path, $mode // 0100644,
        $data);
}

# The libraries of a program, as ldd finds them here.
sub _libraries {
    my ($self, $program) = @_;
    my $text = $self->_output('ldd', $program) // '';

    return $text =~ m{(?:=> )?(/\S+) \(0x}g;
}

# The contents of a module, unpacked.
sub _module {
    my ($self, $file) = @_;

    return $file =~ /\.xz$/
        ? $self->_output($self->{busybox}, 'unxz', '-c', $file)
        : _slurp($file);
}

# The modules, each after those it needs: [ name, contents ].
sub _modules {
    my ($self, $kernel) = @_;
    my (%file, %seen, @list, $add);

    for (split /\n/, $self->_output('find', $kernel->{dir}, '-name',
        '*.ko*') // '') {
        my ($name) = m{([^/]+)\.ko(?:\.xz)?$} or next;
        $name =~ tr/-/_/;
        $file{$name} = $_;
    }
    $add = sub {
        my ($name) = @_;

        $name =~ tr/-/_/;
        return if $seen{$name}++ || !$file{$name};
        my $data = $self->_module($file{$name}) // return;
        $add->($_) for map { split /,/ } $data =~ /\0depends=([^\0]*)\0/;
        push @list, [ $name, $data ];
    };
    $add->($_) for @modules;
    return @list;
}

my $init = <<'EOF';
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /usr/bin /usr/sbin /sbin /var/run
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
chmod 1777 /tmp
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
ip link set lo up
for m in /modules/*; do insmod "$m" || echo "no module $m"; done
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/tmp TMPDIR=/tmp
ulimit -n 8192
echo
echo "VM: booted"
if sh /script; then echo "VM: verdict passed"; else echo "VM: verdict failed"; fi
sync
reboot -f
EOF

# Writes the archive.  programs: host paths, put into /bin with their
# libraries; files: guest path => contents, or [ contents, mode ].
sub _archive {
    my ($self, $kernel, $path, %o) = @_;
    my ($n, $text) = (100, '');

    $self->{have} = {};
    $self->{ino} = 0;
    # The root directory, without which nobody but root could look anywhere.
    $text .= $self->_entry('.', 040755, '');
    $text .= $self->_file('bin/busybox', _slurp($self->{busybox}), 0100755);
    $text .= $self->_file('init', $init, 0100755);
    $text .= $self->_file('script',
        "exec 3>&1\nsay() { echo \"VM: say \$*\" >&3; }\n$o{script}\n",
        0100755);
    for my $module ($self->_modules($kernel)) {
        $text .= $self->_file('modules/' . $n++ . $module->[0], $module->[1]);
    }
    $text .= $self->_file('etc/passwd', "root:x:0:0::/tmp:/bin/sh\n"
        . "nobody:x:65534:65534::/tmp:/bin/sh\n");
    $text .= $self->_file('etc/group', "root:x:0:\nnogroup:x:65534:\n");
    $text .= $self->_file('etc/hosts', "127.0.0.1 localhost\n");
    for my $program (@{$o{programs} || []}) {
        $text .= $self->_file('bin/' . basename($program), _slurp($program),
            0100755);
        $text .= $self->_file($_, _slurp($_), 0100755)
            for $self->_libraries($program);
    }
    for my $name (sort keys %{$o{files} || {}}) {
        my $file = $o{files}{$name};

        $text .= ref $file ? $self->_file($name, $file->[0],
            0100000 | $file->[1]) : $self->_file($name, $file);
    }
    $text .= $self->_entry('TRAILER!!!', 0, '');
    open my $out, '>:raw', $path or die "$path: $!\n";
    print {$out} $text or die "$path: $!\n";
    close $out or die "$path: $!\n";
}

# -------------------------------------------------------------------- boot --

# What the emulator wrote until it ended, or until the time was up.
sub _run {
    my ($self, $kernel, $archive, $seconds) = @_;
    my @command = (@{$self->{qemu}},
        split(' ', '-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024'
        . ' -nodefaults -no-user-config -display none -no-reboot'
        . ' -serial stdio'),
        '-kernel', $kernel->{image}, '-initrd', $archive, '-append',
        'console=ttyS0 panic=-1 oops=panic quiet loglevel=5 nokaslr'
        . ' mitigations=off random.trust_cpu=on hugepages=64');
    my $end = time + $seconds;
    my ($text, $timed_out) = ('', 0);
    my $pid = open(my $out, '-|') // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec(@command) or POSIX::_exit(127);
    }
    my $select = IO::Select->new($out);
    while (1) {
        my $left = $end - time;

        if ($left <= 0) {
            $timed_out = 1;
            kill KILL => $pid;
            last;
        }
        next unless $select->can_read($left);
        sysread($out, $text, 65536, length $text) or last;
        if ($text =~ /^VM: verdict \w+\r?\n/m) {
            # The machine may hang while it goes down: that is no matter.
            kill KILL => $pid;
            last;
        }
    }
    close $out;
    return ($text, $timed_out);
}

# boot($kernel, script =>, programs =>, files =>, seconds =>)
sub boot {
    my ($self, $kernel, %o) = @_;
    my $archive = "$self->{cache}/root.$$.$kernel->{series}";
    my %r = (console => '', tries => 0);

    $self->_archive($kernel, $archive, %o);
    while ($r{tries} < 3 && $self->left > 1) {
        my $seconds = $o{seconds} && $o{seconds} < $self->left
            ? $o{seconds} : $self->left;
        my $begin = time;
        my ($text, $timed_out) = $self->_run($kernel, $archive, $seconds);

        $r{tries}++;
        $text =~ tr/\r//d;
        $r{console} = $text;
        $r{seconds} = time - $begin;
        $r{timed_out} = $timed_out;
        $r{lines} = [ $text =~ /^VM: say (.*)$/mg ];
        ($r{verdict}) = $text =~ /^VM: verdict (\w+)$/m;
        last if $r{verdict};
        # One that hung in the middle of a test did get there.
        last if $timed_out && $text =~ /^VM: booted$/m;
    }
    unlink $archive;
    return \%r;
}

# boot_all(...): all kernels at a time; what boot() says of each.
sub boot_all {
    my ($self, %o) = @_;
    my @pipes;

    for my $kernel ($self->kernels) {
        my $pid = open(my $in, '-|') // die "fork: $!\n";

        if ($pid == 0) {
            binmode STDOUT;
            print STDOUT Storable::freeze($self->boot($kernel, %o));
            close STDOUT;
            POSIX::_exit(0);
        }
        push @pipes, $in;
    }
    return map {
        my $in = $_;
        binmode $in;
        local $/;
        my $r = <$in>;
        close $in;
        Storable::thaw($r);
    } @pipes;
}

1;
