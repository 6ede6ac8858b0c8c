package Test::Veil::Masters;

# Test::Veil::Masters -- the masters of a server that is upgraded.
#
#     my $m = Test::Veil::Masters->new($t);
#     $m->masters                     pids, the oldest first
#     $m->children($pid), $m->workers_of($master)
#     $m->census($pid)                what its descriptors are
#     $m->first_census                of a server that has just been started
#     $m->pid_file('veil.pid')
#     my $stop = $m->load([ port => 80 ], ...); ... $stop->()
#     $m->ends                        QUIT to all, and wait
#
# The test's own server ($t->pid) is the first master; those that follow are
# in its session and found by that.

use strict;
use warnings;
use POSIX ();
use Test::Veil::Proc;

sub new {
    my ($class, $t) = @_;
    return bless { t => $t, leader => undef }, $class;
}

sub processes { return Test::Veil::Proc::group($_[0]{t}->pid) }

sub masters {
    my ($self) = @_;
    return map { $_->{pid} } sort { $a->{start} <=> $b->{start} }
        grep { $_->{title} =~ /master process/ } $self->processes;
}

sub children {
    my ($self, $pid) = @_;
    return grep { $_->{ppid} == $pid } $self->processes;
}

sub workers_of {
    my ($self, $master) = @_;
    my @all = $self->processes;
    my %keeper = map { $_->{pid} => 1 }
        grep { $_->{ppid} == $master && $_->{title} =~ /keeper/ } @all;
    return map { $_->{pid} } grep { $keeper{ $_->{ppid} } } @all;
}

# Descriptors without their numbers, one a line, sorted.

sub census {
    my ($self, $pid) = @_;
    opendir my $d, "/proc/$pid/fd" or return 'gone';
    my @all = map { readlink "/proc/$pid/fd/$_" } grep {/\d/} readdir $d;
    return join "\n", sort map { ($_ // '?') =~ s/\[\d+\]//r } @all;
}

# Its pid file is there before it has done all that belongs to a start.

sub first_census {
    my ($self) = @_;
    my $pid = $self->{t}->pid;
    $self->{t}->wait_for_log(qr/ $pid#\d+: \S+ has started, built by/)
        or die "the server does not say that it has started\n";
    return $self->census($pid);
}

sub pid_file {
    my ($self, $name) = @_;
    return $self->{t}->read_file($name) =~ s/\n//r;
}

# load(@places): asks without a pause, on a connection for each request and on
# kept ones, until the function that is returned is called, which says how
# many requests failed: "0 of 100 failed".  The server is to give idle
# connections a long "keepalive_drain_grace": who is slow to ask again may find
# one closed otherwise.

sub load {
    my ($self, @places) = @_;
    my $t = $self->{t};
    pipe(my $in, my $out) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        close $in;
        my ($n, $bad, $over) = (0, 0, 0);
        my %kept;
        local $SIG{TERM} = sub { $over = 1 };
        syswrite $out, '.';
        while (!$over) {
            for my $at (@places) {
                my $r = $t->request(path => '/', quiet => 1, @$at);
                $n++;
                $bad++ if $r->body !~ /^\d+$/;

                # One that the server has ended while it was idle is none.
                my $c = delete $kept{"@$at"};
                $c = undef if $c && $c->eof(0);
                $c //= eval { $t->connect($at->[0] eq 'port'
                    ? $at->[1] : (undef, @$at)) } or next;
                $r = $c->get('/');
                $n++;
                $bad++ if $r->body !~ /^\d+$/;
                $kept{"@$at"} = $c
                    if lc($r->header('Connection') // '') ne 'close';
            }
        }
        syswrite $out, "$bad of $n failed";
        POSIX::_exit(0);
    }
    close $out;
    sysread $in, my $begun, 1;
    return sub {
        kill 'TERM', $pid;
        waitpid $pid, 0;
        sysread $in, my $text, 100;
        return $text;
    };
}

# ends: QUIT to all masters, the last first; the status of the first.

sub ends {
    my ($self) = @_;
    my $t = $self->{t};
    for my $pid (reverse $self->masters) {
        kill 'QUIT', $pid;
        $t->wait_for(sub { !grep { $_ == $pid } $self->masters });
    }
    return $t->stop(signal => 0);
}

1;
