package Test::Veil::Guard;

# Test::Veil::Guard -- no process outlives its test.
#
# A small process waits at the end of a pipe whose other end only the test
# holds.  The test tells it which process groups it has started; if the test
# goes away without taking them back, however it died, the guard kills them.

use strict;
use warnings;

use POSIX ();

our $owner = $$;

# Handles that a forked child must close, so that their ends are seen.
my (%private, $pipe);

sub private {
    my ($handle) = @_;
    $private{ fileno $handle } = $handle;
    return $handle;
}

sub forget {
    my ($handle) = @_;
    delete $private{ fileno $handle } if defined fileno $handle;
}

# in_child: to be called first in every forked child.

sub in_child {
    close $_ for values %private;
    %private = ();
    $SIG{ALRM} = $SIG{INT} = $SIG{TERM} = $SIG{HUP} = 'DEFAULT';
    alarm 0;
}

sub _start {
    pipe(my $read, my $write) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        close $write;
        POSIX::setsid();
        $SIG{$_} = 'IGNORE' for qw/INT TERM HUP QUIT/;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        in_child();
        $SIG{$_} = 'IGNORE' for qw/INT TERM HUP QUIT/;

        # Whatever the test has open must not stay open here.
        my $keep = fileno $read;
        $_ != $keep && POSIX::close($_) for 3 .. 255;

        my %groups;
        while (my $line = <$read>) {
            $line =~ /^([+-])(\d+)$/ or next;
            $1 eq '+' ? $groups{$2} = 1 : delete $groups{$2};
        }
        kill 'KILL', -$_ for keys %groups;
        POSIX::_exit(0);
    }
    close $read;
    select((select($write), $| = 1)[0]);
    $pipe = private($write);
}

# add($pid), remove($pid): a process group by its leader.

sub add {
    _start() unless $pipe;
    print $pipe "+$_[0]\n";
}

sub remove {
    return unless $pipe && $$ == $owner;
    print $pipe "-$_[0]\n";
}

# child(sub): runs it in a process, a group of its own; returns its pid.  Its
# value is the exit status.  reap($pid): when it has ended, that status.

sub child {
    my ($code) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgrp 0, 0;
        in_child();
        POSIX::_exit($code->() ? 1 : 0);
    }
    setpgrp $pid, $pid;
    add($pid);
    return $pid;
}

sub reap {
    my ($pid) = @_;
    waitpid $pid, 0;
    my $status = $?;
    remove($pid);
    return $status;
}

1;
