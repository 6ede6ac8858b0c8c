package Test::Veil::Ctl;

# Test::Veil::Ctl -- veilctl as a client of a test, and a server that says
# what the test wants it to.
#
#     my $ctl = Test::Veil::Ctl->new;           # or new($t): of its server
#     my $r = $ctl->run('ping');                # { status, out, err }
#     my $mock = $ctl->mock(ping => [ [ 1 ] ]); # data of answers by verb
#     $ctl->run('ping');                        # asks the mock from now on
#     $mock->requests;                          # what it was asked, decoded
#     my $screen = $ctl->terminal(80, 24, 'top');
#
# The program is the one beside TEST_VEIL_BINARY.  Nothing of the environment
# that means something to it is passed on.

use strict;
use warnings;

use Cwd qw/abs_path/;
use Errno ();
use File::Basename qw/dirname/;
use File::Temp qw/tempdir/;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw/time sleep/;

use Test::Veil::Guard;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub new {
    my ($class, $t) = @_;
    my $program = dirname(abs_path($ENV{TEST_VEIL_BINARY} || 'objs/veil'))
        . '/veilctl';
    die "there is no $program\n" unless -x $program;
    my $self = bless { program => $program, n => 0,
        dir => tempdir(CLEANUP => 1), patience =>
            20 * ($ENV{TEST_VEIL_PATIENCE} || 2) }, $class;
    if ($t) {
        require Test::Veil::Control;
        $self->{socket} = Test::Veil::Control::socket_path($t);
    }
    return $self;
}

sub dir { return $_[0]{dir} }

# run([{options},] @arguments): { status, out, err, timed_out }.  Options:
#   env     { NAME => value }
#   socket  undef: without -s
#   in      the directory to run in
#   start   1: do not wait, and return what finish() takes

sub _command {
    my ($self, $o, @args) = @_;
    my $socket = exists $o->{socket} ? $o->{socket} : $self->{socket};
    return ($self->{program}, defined $socket ? ('-s', $socket) : (), @args);
}

sub _exec {
    my ($self, $o, @command) = @_;
    delete @ENV{qw/VEIL_CONTROL NO_COLOR COLUMNS LINES LC_ALL LC_CTYPE/};
    $ENV{TZ} = 'UTC';
    $ENV{LANG} = 'C.UTF-8';
    @ENV{ keys %{ $o->{env} } } = values %{ $o->{env} } if $o->{env};
    chdir($o->{in} // $self->{dir});
    { exec { $command[0] } @command };
    POSIX::_exit(127);
}

sub run {
    my ($self, @args) = @_;
    my $o = ref $args[0] eq 'HASH' ? shift @args : {};
    my $n = ++$self->{n};
    my ($out, $err) = map { "$self->{dir}/$n.$_" } qw/out err/;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>', $o->{out} // $out or POSIX::_exit(126);
        open STDERR, '>', $err or POSIX::_exit(126);
        $self->_exec($o, $self->_command($o, @args));
    }
    Test::Veil::Guard::add($pid);
    my $run = { pid => $pid, out => $out, err => $err };
    return $o->{start} ? $run : $self->finish($run);
}

sub _slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar(<$f>) // '';
}

# output($run): what it has said until now.

sub output { return _slurp($_[1]{out}) }

sub finish {
    my ($self, $run) = @_;
    my $end = time + $self->{patience};
    my $status;

    while (!defined $status) {
        $status = $? if waitpid($run->{pid}, POSIX::WNOHANG()) == $run->{pid};
        last if defined $status;
        if (time > $end) {
            kill 'KILL', $run->{pid};
            waitpid $run->{pid}, 0;
            last;
        }
        sleep 0.005;
    }
    Test::Veil::Guard::remove($run->{pid});
    return {
        status => !defined $status ? -1 : $status >> 8 || $status & 127,
        timed_out => defined $status ? 0 : 1,
        out => _slurp($run->{out}),
        err => _slurp($run->{err}),
    };
}

# until_status($status, @arguments): runs that give the answer little time,
# "-t" and longer each time, until one ends so: the last one.  What shall be
# late must not be so because all is slow.

sub until_status {
    my ($self, $status, @args) = @_;
    my $r;
    for my $time (qw/300ms 1s 3s 10s/) {
        $r = $self->run('-t', $time, @args);
        last if $r->{status} == $status;
    }
    return $r;
}

# wait_for(sub { }): until it is true; false if it never is.

sub wait_for {
    my ($self, $true) = @_;
    my $end = time + $self->{patience};
    until ($true->()) {
        return 0 if time > $end;
        sleep 0.01;
    }
    return 1;
}

# --- a terminal ---

# terminal($columns, $rows, [{options},] @arguments): an object with
#   output            what was written to the terminal
#   wait_for(qr//)    until it was; then what came up to there is forgotten
#   put($keys), resize($columns, $rows), signal($name)
#   finish            the exit status
# options: as those of run.

sub terminal {
    my ($self, $columns, $rows, @args) = @_;
    my $o = ref $args[0] eq 'HASH' ? shift @args : {};
    my $number = pack 'i', 0;

    # ioctl_tty(2), ioctl_tty(2) and again; the numbers are those of x86, ARM
    # and RISC-V.
    open my $pty, '+<', '/dev/ptmx' or die "/dev/ptmx: $!\n";
    my $unlock = pack 'i', 0;
    my $size = pack 'S4', $rows, $columns, 0, 0;
    ioctl($pty, 0x40045431, $unlock) or die "TIOCSPTLCK: $!\n";
    ioctl($pty, 0x80045430, $number) or die "TIOCGPTN: $!\n";
    ioctl($pty, 0x5414, $size) or die "TIOCSWINSZ: $!\n";
    my $path = '/dev/pts/' . unpack 'i', $number;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        Test::Veil::Guard::in_child();
        open my $tty, '+<', $path or POSIX::_exit(126);
        ioctl $tty, 0x540e, 0;
        open STDIN, '<&', $tty or POSIX::_exit(126);
        open STDOUT, '>&', $tty or POSIX::_exit(126);
        open STDERR, '>&', $tty or POSIX::_exit(126);
        close $pty;
        $ENV{TERM} = 'xterm-256color';
        $self->_exec($o, $self->_command($o, @args));
    }
    Test::Veil::Guard::add($pid);
    return bless { pty => $pty, pid => $pid, text => '',
        patience => $self->{patience} }, 'Test::Veil::Ctl::Terminal';
}

# --- a server ---

# mock(verb => answer, ...): an answer is
#   a reference to an array       [ data ]: that, and ok
#   a reference to a hash         an answer's members
#   a text                        these bytes
#   a sub                         called with (socket, request): it may write,
#                                 and returns one of the above, or nothing
# Each connection is a process: state is that of one connection.

sub mock {
    my ($self, %answers) = @_;
    my $n = ++$self->{n};
    my $path = "$self->{dir}/mock.$n";
    my $log = "$self->{dir}/requests.$n";
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 16)
        or die "$path: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        Test::Veil::Guard::in_child();
        $SIG{CHLD} = 'IGNORE';
        while (1) {
            my $s = $listen->accept or next;
            my $child = fork // next;
            if ($child == 0) {
                _serve($s, $log, \%answers);
                POSIX::_exit(0);
            }
        }
    }
    close $listen;
    Test::Veil::Guard::add($pid);
    $self->{socket} = $path;
    my $mock = bless { pid => $pid, path => $path, log => $log },
        'Test::Veil::Ctl::Mock';
    push @{ $self->{mocks} }, $mock;
    return $mock;
}

sub _serve {
    my ($s, $log, $answers) = @_;
    local $SIG{PIPE} = 'IGNORE';

    while (my $line = <$s>) {
        open my $f, '>>', $log or return;
        syswrite $f, $line;
        close $f;
        my $request = eval { $json->decode($line) } // {};
        my $answer = $answers->{ $request->{verb} // '' } // { ok => \0,
            err => { code => 'E_VERB', msg => 'the mock has no such verb' } };
        $answer = $answer->($s, $request) if ref $answer eq 'CODE';
        return unless defined $answer;
        $answer = { ok => \1, gen => 1, data => $answer->[0] }
            if ref $answer eq 'ARRAY';
        $answer = $json->encode({ id => $request->{id}, %$answer }) . "\n"
            if ref $answer eq 'HASH';
        while (length $answer) {
            my $wrote = syswrite $s, $answer or return;
            substr($answer, 0, $wrote) = '';
        }
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    return if $$ != $Test::Veil::Guard::owner;
    $_ && $_->stop for @{ $self->{mocks} || [] };
    return;
}

package Test::Veil::Ctl::Mock;

sub requests {
    my ($self) = @_;
    return map { JSON::PP::decode_json($_) }
        split /\n/, Test::Veil::Ctl::_slurp($self->{log});
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    Test::Veil::Guard::remove($pid);
    return;
}

package Test::Veil::Ctl::Terminal;

sub _read {
    my ($self, $wait) = @_;
    my $in = '';
    vec($in, fileno $self->{pty}, 1) = 1;
    select($in, undef, undef, $wait) > 0 or return 1;
    # EIO: the other end is closed.
    return sysread($self->{pty}, $self->{text}, 65536, length $self->{text})
        ? 1 : 0;
}

sub _ready {
    my ($self) = @_;
    my $in = '';
    vec($in, fileno $self->{pty}, 1) = 1;
    return select($in, undef, undef, 0) > 0;
}

sub output { return $_[0]{text} }

sub wait_for {
    my ($self, $what) = @_;
    my $end = Time::HiRes::time() + $self->{patience};
    while (1) {
        if ($self->{text} =~ /$what/) {
            return substr $self->{text}, 0, $+[0], '';
        }
        return if Time::HiRes::time() > $end || !$self->_read(0.05);
    }
}

sub put { return syswrite $_[0]{pty}, $_[1] }

sub resize {
    my ($self, $columns, $rows) = @_;
    my $size = pack 'S4', $rows, $columns, 0, 0;
    return ioctl $self->{pty}, 0x5414, $size;
}

sub signal { return kill $_[1], $_[0]{pid} }

sub finish {
    my ($self) = @_;
    my $end = Time::HiRes::time() + $self->{patience};
    my $status;
    while (Time::HiRes::time() < $end && !defined $status) {
        $self->_read(0.01);
        $status = $? >> 8 || $? & 127
            if waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
    }
    if (!defined $status) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
        $status = -1;
    }
    1 while $self->_ready && $self->_read(0);
    Test::Veil::Guard::remove($self->{pid});
    return $status;
}

1;
