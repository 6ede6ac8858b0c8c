package Test::Veil;

# Test::Veil -- start a server, ask it things, and see that it ends well.
#
#     use strict; use warnings; use lib 't/lib';
#     use Test::Veil;                    # brings Test::More along
#
#     my $t = Test::Veil->new->has(qw/limit_req/)->plan(1)->config(<<'EOC');
#     http {
#         server {
#             listen %%PORT_80%%;
#             location / { return 200 ok; }
#         }
#     }
#     EOC
#     $t->run;
#     like($t->get('/'), qr/ 200 /, 'answered');
#
# plan(1) counts the author's tests.  The harness adds its own for each
# server when the test ends: a clean and timely exit, no alert in the log, no
# sanitizer report, nothing left open in any worker, no process left over.
# t/README.md has the whole interface.  No module outside the Perl core.

use strict;
use warnings;

use Cwd ();
use Exporter ();
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Scalar::Util ();
use Socket qw/SOCK_STREAM SOCK_DGRAM/;
use Test::Builder;
use Test::More import => ['!plan'];
use Time::HiRes qw/time sleep/;

use Test::Veil::Config;
use Test::Veil::Guard;
use Test::Veil::HTTP1;
use Test::Veil::Proc;
use Test::Veil::Upstream;

our @ISA = ('Exporter');
our @EXPORT = (grep { $_ ne 'plan' } @Test::More::EXPORT);

my $tb = Test::Builder->new;
my $main_pid = $$;
my $root = Cwd::abs_path(
    File::Basename::dirname(__FILE__) . '/../../..');
my @servers;
my $planned;
my $finished;

# Everything that is waited for may take this many times longer: a machine
# that is busy is not a fault.  What must not happen is not waited for longer.
my $patience = Test::Veil::HTTP1::patience();
my $timeout = $ENV{TEST_VEIL_TIMEOUT} || 150 * $patience;

# ------------------------------------------------------------- the test file --

# A test that hangs fails: the server is stopped and its log is shown.

$SIG{ALRM} = sub {
    return if $$ != $main_pid;
    $tb->diag("the test took more than $timeout s");
    $_ && $_->_show_log for @servers;
    exit 254;
};
alarm $timeout;

for my $sig (qw/INT TERM HUP/) {
    $SIG{$sig} = sub { exit 255 if $$ == $main_pid; POSIX::_exit(255) };
}

# done_testing, whoever calls it, first ends the servers and counts.

{
    no warnings 'redefine';
    my $orig = \&Test::Builder::done_testing;
    *Test::Builder::done_testing = sub {
        my $self = shift;
        return $self->$orig(@_) if $$ != $main_pid || $self->parent;
        $planned //= shift;
        _finish();
        $self->$orig;
    };
}

END {
    if ($$ == $main_pid) {
        my $status = $?;
        if (!$finished && (defined $planned || @servers)) {
            _finish();
            $tb->done_testing unless defined $tb->has_plan;
        }
        # Test::More sets it after this if tests have failed.
        $? = $status;
    }
}

sub _finish {
    return if $finished++;
    my $ran = $tb->current_test;

    # The end must be as bounded as the test.
    local $SIG{ALRM} = sub {
        $tb->diag('the servers did not end in time');
        kill 'KILL', -$_->{group} for grep { $_ && $_->{group} } @servers;
        POSIX::_exit(254);
    };
    alarm 40 * $patience;

    Test::Veil::HTTP1::close_all();
    Test::Veil::Upstream::stop_all();
    for my $t (@servers) {
        $t->_end if $t;
    }
    if (defined $planned && $planned != $ran) {
        $tb->ok(0, "planned $planned tests, ran $ran");
    }
    alarm 0;
}

# -------------------------------------------------------------- construction --

# new(%options):
#   binary => 'nginx' | path   another server on the same configuration
#   timeout => seconds for each read and wait (10)
#   prefix => a directory instead of a fresh one (kept)

sub new {
    my ($class, %o) = @_;
    my $self = bless {
        ports    => {},
        holds    => [],
        subst    => {},
        allowed  => [],
        problems => {},
        runs     => 0,
        timeout  => ($o{timeout} // 10) * $patience,
        name     => $o{name} // $o{binary} // 'veil',
        env      => {},
    }, $class;

    $self->{name} = File::Basename::basename($self->{name});
    $self->{binary} = _find_binary($o{binary});

    if (!defined $self->{binary}) {
        $self->_missing($o{binary}, "$o{binary} is not installed");
    }
    if (!-x $self->{binary}) {
        $tb->BAIL_OUT("no server to test: $self->{binary}");
    }

    # Told from what it says, so that TEST_VEIL_BINARY may name an nginx too.
    $self->{is_nginx} = _about($self->{binary}, '-v') =~ /^nginx version/;

    if ($o{prefix}) {
        $self->{dir} = $o{prefix};
    } else {
        $self->{dir} = File::Temp::tempdir(
            'veil-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 0);
        $self->{own_dir} = 1;
        # Workers may run as another user.
        chmod 01777, $self->{dir};
    }
    push @servers, $self;
    return $self;
}

sub _find_binary {
    my ($want) = @_;

    if (!defined $want) {
        my $b = $ENV{TEST_VEIL_BINARY} || "$root/objs/veil";
        return Cwd::abs_path($b) // $b;
    }
    return Cwd::abs_path($want) // $want if $want =~ m{/};
    if ($want eq 'nginx' && $ENV{TEST_NGINX_BINARY}) {
        return $ENV{TEST_NGINX_BINARY};
    }
    for my $dir (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin') {
        return "$dir/$want" if -x "$dir/$want";
    }
    return undef;
}

# has(@features): skips the whole file when one is not built; fails instead
# when VEIL_EXPECT_FEATURES lists it (separated by blanks or commas; "all",
# and "-name" is an exception).  A feature is the name of a module as "veil
# -m" or a --with option of "veil -V" has it, with or without http_ and
# _module; "tls" is a TLS library.

sub has {
    my ($self, @features) = @_;
    for my $f (@features) {
        next if $self->has_feature($f);
        $self->_missing($f, "$f is not built into $self->{binary}");
    }
    return $self;
}

sub _missing {
    my ($self, $feature, $why) = @_;
    my %expect = map { $_ => 1 }
        split /[\s,]+/, $ENV{VEIL_EXPECT_FEATURES} // '';

    if (!$expect{"-$feature"} && ($expect{all} || $expect{$feature})) {
        $tb->ok(0, "$why, but VEIL_EXPECT_FEATURES wants it");
        $finished = 1;
        $tb->done_testing;
        exit 1;
    }
    $self->skip_all($why);
}

my %about;

sub _about {
    my ($binary, $flag) = @_;
    return $about{"$binary $flag"} //= do {
        my $quoted = "'" . $binary =~ s/'/'\\''/gr . "'";
        `$quoted $flag 2>&1 </dev/null` // '';
    };
}

sub has_feature {
    my ($self, $feature) = @_;
    my $f = quotemeta $feature;
    my $v = _about($self->{binary}, '-V');
    my $mod = qr/(?:veil_|ngx_)?(?:http_|stream_|event_|core_)?$f(?:_module)?/;

    return $v =~ /^built with \S*SSL /m ? 1 : 0 if $feature eq 'tls';
    # Packages of Debian's, for Debian's python.
    my $import = { hpack => 'hpack', grpcio => 'grpc' }->{$feature};
    return system("/usr/bin/python3 -c 'import $import' 2>/dev/null") == 0
        ? 1 : 0 if $import;
    return 1 if $v =~ /--with-(?:$mod)(?![\w-])/;
    return 0 if $v =~ /--without-(?:$mod)(?![\w-])/;
    if ($self->{is_nginx}) {
        # Its standard modules are not listed anywhere: they are there
        # unless configured away.  Optional ones are listed.
        my %optional = map { $_ => 1 } qw/v2 v3 ssl realip addition dav flv
            mp4 gunzip gzip_static auth_request random_index secure_link
            slice stub_status sub image_filter geoip xslt perl debug/;
        return !$optional{$feature};
    }
    return 1 if _about($self->{binary}, '-m') =~ /(?<![\w-])$mod(?![\w-])/;
    return 0;
}

# is_debug: whether the server is a build that counts what is left at exit.

sub is_debug {
    my ($self) = @_;
    return 0 if $self->{is_nginx};
    return _about($self->{binary}, '-V') =~ /--with-(?:debug|asan)/ ? 1 : 0;
}

# is_nginx: whether this is an nginx, when TEST_VEIL_BINARY names one to see
# that a test describes what nginx does.
sub is_nginx { return $_[0]{is_nginx} }

# skip_all($why): nothing to test here.

sub skip_all {
    my ($self, $why) = @_;
    $finished = 1;
    $tb->plan(skip_all => $why);
}

# plan($n): the author's tests.

sub plan {
    my ($self, $n) = @_;
    $planned = ($planned // 0) + $n;
    return $self;
}

# allow_alerts(qr/x/, ...): lines that may be in the error log although they
# are alerts.  skip_exit_check($why): the main error log of this test cannot
# hold the line each worker ends with.  expect_exit($status): instead of 0.

sub allow_alerts {
    my ($self, @re) = @_;
    push @{ $self->{allowed} }, @re;
    return $self;
}

sub skip_exit_check {
    my ($self, $why) = @_;
    $self->{skip_exit} = $why || 'not checked';
    return $self;
}

# env(NAME => value): environment of the server.
sub env {
    my ($self, %e) = @_;
    $self->{env} = { %{ $self->{env} }, %e };
    return $self;
}

# ------------------------------------------------- directory, ports, config --

sub testdir { return $_[0]{dir} }

# write_file($name, $content), append_file: in the test's directory, with the
# directories on the way.  Returns the path.

sub _put {
    my ($self, $mode, $name, $content) = @_;
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    File::Path::make_path(File::Basename::dirname($path));
    open my $f, $mode, $path or die "cannot write $path: $!\n";
    binmode $f;
    print $f $content;
    close $f or die "cannot write $path: $!\n";
    return $path;
}

sub write_file  { return $_[0]->_put('>',  @_[ 1, 2 ]) }
sub append_file { return $_[0]->_put('>>', @_[ 1, 2 ]) }

# write_config($name, $text): a file to include, with %%X%% replaced.
sub write_config {
    my ($self, $name, $text) = @_;
    return $self->write_file($name, $self->expand($text));
}

# read_file($name): '' if it is not there.
sub read_file {
    my ($self, $name) = @_;
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    open my $f, '<', $path or return '';
    binmode $f;
    local $/;
    return scalar(<$f>) // '';
}

# log($name): a log, error.log if not named.
sub log {
    my ($self, $name) = @_;
    return $self->read_file($name // 'error.log');
}

# port($n): the number behind %%PORT_n%%, taken when first mentioned.  The
# port stays bound (not listening) to the end, so nobody else is given it.

sub port {
    my ($self, $n) = @_;
    return $self->{ports}{$n} if $self->{ports}{$n};

    for (1 .. 50) {
        my $s = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp',
            ReuseAddr => 1)
            or next;
        my $port = $s->sockport;
        # A QUIC listener needs the same number.
        my $u = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'udp')
            or next;
        close $u;
        push @{ $self->{holds} }, Test::Veil::Guard::private($s);
        return $self->{ports}{$n} = $port;
    }
    die "no free port: $!\n";
}

# upstream($name, %options): a backend (Test::Veil::Upstream->new) whose
# address replaces %%UPSTREAM_name%%, and whose port %%UPSTREAMPORT_name%%.

sub upstream {
    my ($self, $name, @o) = @_;
    my $u = @o == 1 ? $o[0] : Test::Veil::Upstream->new(@o);
    $self->{upstreams}{$name} = $u;
    return $u;
}

# set(NAME => text): replaces %%NAME%%.
sub set {
    my ($self, %s) = @_;
    $self->{subst} = { %{ $self->{subst} }, %s };
    return $self;
}

sub _use {
    my ($self) = @_;
    return 'epoll' if $self->{is_nginx};
    return $ENV{TEST_VEIL_USE} || 'auto';
}

sub expand {
    my ($self, $text) = @_;
    my %fixed = (
        TESTDIR           => $self->{dir},
        USE               => $self->_use,
        TEST_GLOBALS      => '',
        TEST_GLOBALS_HTTP => '',
        %{ $self->{subst} },
    );

    $text =~ s{%%([A-Za-z0-9_]+)%%}{
        my $name = $1;
        exists $fixed{$name} ? $fixed{$name}
        : $name =~ /^PORT_(\w+)$/ ? '127.0.0.1:' . $self->port($1)
        : $name =~ /^PORTNUM_(\w+)$/ ? $self->port($1)
        : $name =~ /^UPSTREAM_(\w+)$/ && $self->{upstreams}{$1}
            ? $self->{upstreams}{$1}->addr
        : $name =~ /^UPSTREAMPORT_(\w+)$/ && $self->{upstreams}{$1}
            ? $self->{upstreams}{$1}->port
        : die "unknown %%$name%% in a configuration\n";
    }ge;
    return $text;
}

# config($text): the configuration.  What every test needs and this one does
# not say is added: daemon off, pid, error_log, worker_processes 1, events
# with "use" of TEST_VEIL_USE, access_log.  bare => 1 adds nothing.

sub config {
    my ($self, $text, %o) = @_;
    my ($first) = $text =~ /\blisten\s+[^;]*?%%PORT(?:NUM)?_(\w+)%%/;
    $self->{default_port} = $first if defined $first;
    $text = $self->expand($text);

    my $use = $self->_use;
    $text = Test::Veil::Config::complete(
        $text,
        main => [
            [ daemon           => 'off' ],
            [ pid              => "$self->{dir}/veil.pid" ],
            [ error_log        => "$self->{dir}/error.log "
                    . ($ENV{TEST_VEIL_LOG} || 'info') ],
            [ worker_processes => 1 ],
        ],
        events => [
            [ worker_connections => 1024 ],
            ($use eq 'auto' ? () : [ use => $use ]),
        ],
        http => [
            ((grep { $self->has_feature($_) } qw/log access_log/)
                ? [ access_log => "$self->{dir}/access.log" ] : ()),
            $self->_temp_paths,
        ]) unless $o{bare};
    # In one piece: a server that reloads may be reading the one before.
    my $new = $self->write_file('veil.conf.new', $text);
    $self->{config} = "$self->{dir}/veil.conf";
    rename $new, $self->{config} or die "cannot rename $new: $!\n";
    return $self;
}

# A server that was configured with fixed places for temporary files must not
# write there in a test.

sub _temp_paths {
    my ($self) = @_;
    my $v = _about($self->{binary}, '-V');
    my @paths;
    for my $what (qw/client_body proxy fastcgi uwsgi scgi/) {
        next if $what eq 'proxy' && !$self->has_feature('proxy');
        my $opt = $what =~ /client/ ? 'client-body' : $what;
        push @paths, [ "${what}_temp_path", "$self->{dir}/${what}_temp" ]
            if $v =~ /--http-$opt-temp-path=/
            || (!$self->{is_nginx} && $what =~ /client|proxy/);
    }
    return @paths;
}

# -------------------------------------------------------------- the process --

sub _arguments {
    my ($self) = @_;
    return ('-p', "$self->{dir}/", '-c', $self->{config},
        '-e', "$self->{dir}/error.log");
}

sub _environment {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $san = sub {
        join ':', grep { defined && length } $ENV{ $_[0] }, $_[1];
    };
    return (
        TEST_VEIL_DIR => $dir,
        ASAN_OPTIONS  => $san->('ASAN_OPTIONS', "log_path=$dir/sanitizer"),
        UBSAN_OPTIONS => $san->('UBSAN_OPTIONS',
            "log_path=$dir/sanitizer:print_stacktrace=1"),
        TSAN_OPTIONS  => $san->('TSAN_OPTIONS', "log_path=$dir/sanitizer"),
        %{ $self->{env} },
    );
}

sub _spawn {
    my ($self, $out, $err, @args) = @_;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        Test::Veil::Guard::in_child();
        my %e = $self->_environment;
        $ENV{$_} = $e{$_} for keys %e;
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', $out or POSIX::_exit(126);
        open STDERR, '>>', $err or POSIX::_exit(126);
        { exec { $self->{binary} } $self->{binary}, @args };
        POSIX::_exit(127);
    }
    return $pid;
}

# command(@arguments): runs the server's binary with the test's -p, -c and -e
# before them, to its end.  Returns (exit status, what it printed); -1 if it
# had to be killed.  For -t, -T, -s.

sub command {
    my ($self, @args) = @_;
    $self->{commands}++;
    my $out = "$self->{dir}/command.$self->{commands}";
    my $pid = $self->_spawn($out, $out, $self->_arguments, @args);
    Test::Veil::Guard::add($pid);
    my $status = $self->_reap($pid, $self->{timeout});
    if (!defined $status) {
        kill 'KILL', -$pid;
        waitpid $pid, 0;
    }
    Test::Veil::Guard::remove($pid);
    return (defined $status ? $status >> 8 || $status & 127 : -1,
        $self->read_file($out));
}

sub _reap {
    my ($self, $pid, $seconds) = @_;
    my $deadline = time + $seconds;
    my $nap = 0.001;

    while (1) {
        # Looked at once more after the time is over: who looks may be slow.
        my $late = time > $deadline;
        my $got = waitpid $pid, POSIX::WNOHANG();
        return $? if $got == $pid;
        return undef if $late;
        sleep($nap);
        $nap = 0.02 if ($nap *= 1.5) > 0.02;
    }
}

# run(%options): starts the server; returns when it listens on everything.
# Dies with what it said if it does not start; may_fail => 1 returns false.

sub run {
    my ($self, %o) = @_;
    die "the server runs already\n" if $self->{group};
    die "no configuration\n" unless $self->{config};

    my $pidfile = $self->_pid_file;
    unlink $pidfile;
    my $err = "$self->{dir}/stderr.log";
    my $pid = $self->_spawn("$self->{dir}/stdout.log", $err,
        $self->_arguments, @{ $o{args} // [] });
    Test::Veil::Guard::add($pid);
    $self->{runs}++;
    $self->{group} = $pid;
    delete $self->{exit};

    my $deadline = time + ($o{timeout} // 20) * $patience;
    my $nap = 0.001;
    my $why;
    until ($self->read_file($pidfile) =~ /^\d+\s/) {
        if (waitpid($pid, POSIX::WNOHANG()) == $pid) {
            $self->{exit} = $?;
            $why = sprintf 'it ended with status %d, signal %d',
                $? >> 8, $? & 127;
            last;
        }
        if (time > $deadline) {
            $why = "no $pidfile in time";
            last;
        }
        sleep($nap);
        $nap = 0.02 if ($nap *= 1.5) > 0.02;
    }
    if (!defined $why) {
        $self->_wait_workers;
        return $self;
    }
    kill 'KILL', -$pid;
    waitpid $pid, 0 unless defined $self->{exit};
    Test::Veil::Guard::remove($pid);
    delete $self->{group};
    $self->{failed_start} = 1;
    return 0 if $o{may_fail};

    $self->_note_problems;
    my $said = join '', map { "    $_\n" }
        split /\n/, $self->read_file($err) || $self->log;
    die "cannot start $self->{binary}: $why\n$said";
}

# _value($name): what the configuration says on its top level.
sub _value {
    my ($self, $name) = @_;
    return Test::Veil::Config::value(
        $self->read_file($self->{config}), $name);
}

sub _single {
    my ($self) = @_;
    return ($self->_value('master_process') // 'on') eq 'off';
}

# The sockets listen already, so nothing needs this but a test that looks at
# the workers; and one that is stopped at once, before they are all there.

sub _wait_workers {
    my ($self) = @_;
    return if $self->_single;
    my $n = $self->_value('worker_processes') // 1;
    $n = 1 if $n !~ /^\d+\z/;
    $self->wait_for(
        sub { Test::Veil::Proc::named($self->{group}) >= $n });
}

sub _pid_file {
    my ($self) = @_;
    my $file = $self->_value('pid') // 'veil.pid';
    return $file =~ m{^/} ? $file : "$self->{dir}/$file";
}

# pid: of the master.  worker_pids: of the workers, of all generations.

sub pid { return $_[0]{group} }

sub _workers {
    my ($self) = @_;
    return () unless $self->{group};
    return Test::Veil::Proc::workers($self->{group});
}

sub worker_pids {
    my ($self) = @_;
    return map { $_->{pid} } $self->_workers;
}

sub _at_most {
    my ($self, $seconds) = @_;
    return $seconds < $self->{timeout} ? $seconds : $self->{timeout};
}

# signal('HUP'), signal('KILL', $pid).
sub signal {
    my ($self, $sig, $pid) = @_;
    return kill $sig, $pid // $self->{group};
}

# wait_for(sub { ... }, $seconds): until it is true; its value or ''.

sub wait_for {
    my ($self, $test, $seconds) = @_;
    my $deadline = time
        + (defined $seconds ? Test::Veil::HTTP1::patient($seconds)
            : $self->{timeout});
    my $nap = 0.002;

    while (1) {
        my $late = time > $deadline;
        my $got = $test->();
        return $got if $got;
        return '' if $late;
        sleep($nap);
        $nap = 0.02 if ($nap *= 1.5) > 0.02;
    }
}

# wait_for_log(qr/x/, %options): until the error log (log => name) has a line
# that matches after mark (from => what log_mark gave).  Returns the line.  One
# that is being written is none yet.

sub log_mark {
    my ($self, $name) = @_;
    return -s "$self->{dir}/" . ($name // 'error.log') // 0;
}

sub wait_for_log {
    my ($self, $re, %o) = @_;
    return $self->wait_for(sub {
        my $text = $self->log($o{log});
        substr($text, 0, $o{from}) = '' if $o{from};
        $text =~ s/[^\n]+\z//;
        my ($line) = grep { $_ =~ $re } split /\n/, $text;
        return $line;
    }, $o{timeout});
}

# reload: HUP, then waits until new workers serve and the old ones accept
# nothing any more, which their titles say.  False if the new configuration was
# refused, after the last line about that, or nothing happened in time.

sub reload {
    my ($self, %o) = @_;
    my %old = map { $_ => 1 } $self->worker_pids;
    my $mark = $self->log_mark;
    $self->signal('HUP');

    my $refused = 0;
    my $ok = $self->wait_for(sub {
        $refused = substr($self->log, $mark) =~ /\[emerg\]/ ? 1 : 0;
        return 1 if $refused;
        my @now = $self->_workers;
        return 0 unless grep { !$old{ $_->{pid} } } @now;
        return !grep { $old{ $_->{pid} } && !$_->{ending} } @now;
    }, $o{timeout});
    # A line of this one must not be taken for one of the next.
    $self->wait_for_log(qr/was not taken|generation \d+ failed/,
        from => $mark, timeout => 3) if $refused && !$self->{is_nginx};
    return $ok && !$refused ? 1 : 0;
}

# stop(%options): QUIT (signal => other), and waits for the end.  Returns the
# exit status as wait() has it, undef if the server had to be killed.

sub stop {
    my ($self, %o) = @_;
    my $pid = $self->{group} or return $self->{exit};
    my @tree = Test::Veil::Proc::group($pid);
    my @workers = $self->_single ? ($pid)
        : map { $_->{pid} } Test::Veil::Proc::named($pid);

    kill $o{signal} // 'QUIT', $pid;
    my $status = $self->_reap($pid, defined $o{timeout}
        ? Test::Veil::HTTP1::patient($o{timeout}) : $self->{timeout});

    if (!defined $status) {
        $self->_problem('exit', "$self->{name} did not end in time");
        kill 'TERM', $pid;
        if (!defined $self->_reap($pid, $self->_at_most(2))) {
            kill 'KILL', -$pid;
            waitpid $pid, 0;
        }
    } elsif ($status != ($o{status} // 0)) {
        $self->_problem('exit', sprintf
            '%s ended with status %d, signal %d', $self->{name},
            $status >> 8, $status & 127);
    }

    # The last workers may need a moment after their master.
    my @left;
    $self->wait_for(sub {
        @left = Test::Veil::Proc::left($pid, @tree);
        return !@left;
    }, $self->_at_most(5));
    $self->_problem('left', map {"process $_->{pid} ($_->{title})"} @left)
        if @left;
    kill 'KILL', map { $_->{pid} } @left;
    kill 'KILL', -$pid;

    Test::Veil::Guard::remove($pid);
    delete $self->{group};
    $self->{exit} = $status;
    $self->{last_workers} = \@workers;
    $self->_check_exit_lines(@workers) if defined $status;
    return $status;
}

# ------------------------------------------------------------------ at the end --

sub _problem {
    my ($self, $what, @text) = @_;
    push @{ $self->{problems}{$what} }, @text;
}

# Every worker of a debug build says what it still holds when it exits.

sub _check_exit_lines {
    my ($self, @workers) = @_;
    return if !$self->is_debug || $self->{skip_exit};
    my $log = $self->log;

    for my $pid (@workers) {
        next if $log =~ /\b$pid#\d+:[^\n]*\bexit: ops=\d+ /;
        $self->_problem('open', "worker $pid left without its last line");
    }
}

sub _note_problems {
    my ($self) = @_;
    my $stderr = $self->read_file('stderr.log');

    for my $log (glob "$self->{dir}/*.log") {
        next if $log =~ m{/(?:access|stdout)\.log\z};
        for my $line (split /\n/, $self->read_file($log)) {
            if ($line =~ /\[(?:alert|emerg)\]|\bpanic:|\bPANIC\b/) {
                next if grep { $line =~ $_ } @{ $self->{allowed} };
                next if $self->{failed_start} && $line =~ /\[emerg\]/;
                $self->_problem('alert', $line);
            }
            if ($line =~ /\bexit: ops=(\d+) pools=(\d+) fds=(\d+)/
                && ($1 || $2 || $3) && !$self->{skip_exit})
            {
                $self->_problem('open', $line);
            }
            if ($line =~ /(?:Address|Leak|Thread|Memory)Sanitizer[: ]
                |UndefinedBehaviorSanitizer|:\ runtime\ error:/x)
            {
                $self->_problem('sanitizer', $line);
            }
        }
    }
    for my $file (glob "$self->{dir}/sanitizer.*") {
        my $text = $self->read_file($file);
        # The leak checker's helper, whose process was killed while it looked.
        $text =~ s/^==\d+==Unable to get registers from thread \d+\.\n//mg;
        $self->_problem('sanitizer', (split /\n/, $text)[ 0 .. 29 ])
            if length $text;
    }
    $self->_problem('sanitizer', split /\n/, $stderr)
        if $stderr =~ /Assertion .* failed|stack smashing|double free/;
}

my @checks = (
    [ exit      => 'ends cleanly' ],
    [ alert     => 'no alert in the log' ],
    [ sanitizer => 'no sanitizer report' ],
    [ open      => 'nothing left open' ],
    [ left      => 'no process left over' ],
);

sub _end {
    my ($self) = @_;
    $self->stop if $self->{group};
    $self->_note_problems;

    if ($self->{runs}) {
        for my $check (@checks) {
            my ($what, $name) = @$check;
            my @bad = grep {defined} @{ $self->{problems}{$what} // [] };
            $tb->ok(!@bad, "$self->{name}: $name");
            $tb->diag($_) for @bad[ 0 .. ($#bad > 39 ? 39 : $#bad) ];
        }
    }
    $self->_show_log unless $tb->is_passing;
    Test::Veil::Guard::forget($_) for @{ $self->{holds} };
    $self->{holds} = [];

    if ($ENV{TEST_VEIL_LEAVE}) {
        $tb->diag("kept: $self->{dir}");
    } elsif ($self->{own_dir}) {
        File::Path::remove_tree($self->{dir}, { safe => 0, error => \my $e });
    }
}

sub _show_log {
    my ($self) = @_;
    my @lines = grep { !/\[debug\]/ } split /\n/, $self->log;
    splice @lines, 0, -25 if @lines > 25;
    $tb->diag("$self->{name}: the end of its error log:") if @lines;
    $tb->diag("    $_") for @lines;
    my @err = split /\n/, $self->read_file('stderr.log');
    splice @err, 0, -25 if @err > 25;
    $tb->diag("$self->{name} on its standard error:") if @err;
    $tb->diag("    $_") for @err;
}

# ------------------------------------------------------------------- asking --

# connect($port, %options): a Test::Veil::HTTP1.  $port is a key of
# %%PORT_n%% or a number; the first "listen" of the configuration if not
# given.  unix => path instead.

sub _number {
    my ($self, $port) = @_;
    $port //= $self->{default_port} // die "which port?\n";
    return $self->{ports}{$port} // $port;
}

sub connect {
    my ($self, $port, %o) = @_;
    return Test::Veil::HTTP1->new(
        timeout => $self->{timeout},
        (defined $o{unix} ? () : (port => $self->_number($port))), %o);
}

# request(%options): one request on a connection of its own ("Connection:
# close" unless keepalive => 1, and then the connection is closed at once).
# Options of Test::Veil::HTTP1::format_request, and port, unix, addr, local,
# timeout, bytewise.  A response always comes back: empty, status 0, with
# ->error, if there was none.

sub request {
    my ($self, %o) = @_;
    my %at = map { exists $o{$_} ? ($_ => delete $o{$_}) : () }
        qw/unix addr local rcvbuf timeout socket/;
    my $c = eval { $self->connect(delete $o{port}, %at) };

    if (!$c) {
        my $res = Test::Veil::HTTP1::Response->new;
        $res->{error} = $@ =~ s/\n\z//r;
        $tb->diag($res->{error});
        return $res;
    }
    $c->send_request(keepalive => 0, %o);
    my $res = $c->read_response;

    # What follows a last response is part of the evidence.
    if (!$o{keepalive} && $res->complete && $res->status != 101) {
        $res->{rest} = $c->read_all($at{timeout});
        $tb->diag('the server did not close the connection')
            unless $c->eof(0);
        $tb->diag('bytes after the response: '
            . substr($res->{rest}, 0, 200)) if length $res->{rest};
    }
    $tb->diag("response: $res->{error}") if length $res->{error}
        && !$o{quiet};
    $c->close;
    return $res;
}

sub get {
    my ($self, $path, %o) = @_;
    return $self->request(path => $path, %o);
}

sub head {
    my ($self, $path, %o) = @_;
    return $self->request(path => $path, method => 'HEAD', %o);
}

sub post {
    my ($self, $path, $body, %o) = @_;
    return $self->request(
        path => $path, method => 'POST', body => $body, %o);
}

# raw($bytes, %options): writes them, returns everything that comes back
# until the server closes.
#   read_until => qr/x/   or until this is there
#   shutdown => 1         half-close after writing
#   size => n, pause => s pieces of n bytes
#   port, unix, addr, timeout

sub raw {
    my ($self, $bytes, %o) = @_;
    my %at = map { exists $o{$_} ? ($_ => $o{$_}) : () }
        qw/unix addr local rcvbuf timeout/;
    my $c = $self->connect($o{port}, %at);

    if ($o{size}) {
        $c->write_slowly($bytes, $o{size}, $o{pause});
    } else {
        $c->write($bytes);
    }
    $c->shutdown if $o{shutdown};
    my $got = $o{read_until}
        ? $c->read_until($o{read_until}, $o{timeout})
        : $c->read_all($o{timeout});
    $c->close;
    return $got;
}

1;
