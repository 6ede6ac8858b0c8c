package Test::Veil::Proc;

# Test::Veil::Proc -- which processes belong to a server, from /proc.
#
# A server is started as the leader of a session of its own, so whatever it
# forks stays recognisable by session and process group even after its parent
# is gone.

use strict;
use warnings;
use Time::HiRes qw/time sleep/;

# _all: every process: { pid ppid group session state start title ending }.

sub _all {
    my @all;
    opendir my $d, '/proc' or die "cannot read /proc: $!\n";

    for my $pid (grep {/^\d+\z/} readdir $d) {
        open my $f, '<', "/proc/$pid/stat" or next;
        my $stat = <$f> // next;
        my ($comm, $rest) = $stat =~ /^\d+ \((.*)\) (.*)/s or next;
        my @v = split / /, $rest;
        my $title = '';
        if (open my $c, '<', "/proc/$pid/cmdline") {
            local $/;
            $title = <$c> // '';
            $title =~ s/\0+/ /g;
            $title =~ s/ \z//;
        }
        push @all, {
            pid     => $pid,
            state   => $v[0],
            ppid    => $v[1],
            group   => $v[2],
            session => $v[3],
            start   => $v[19],
            title   => length $title ? $title : $comm,
            ending  => $title =~ /shutting down|draining/ ? 1 : 0,
        };
    }
    return @all;
}

sub _member {
    my ($p, $leader) = @_;
    return $p->{group} == $leader || $p->{session} == $leader;
}

# group($leader): the server's processes.

sub group {
    my ($leader) = @_;
    return grep { _member($_, $leader) && $_->{state} ne 'Z' } _all();
}

# workers($leader): those that serve.  The processes that call themselves
# worker (named); if none does, those without children.

# _own($leader): the server's processes without helpers of the leak checker,
# which are forks of a process that ends and still have its title.

sub _own {
    my ($leader) = @_;
    my @all = group($leader);
    my %title = map { $_->{pid} => $_->{title} } @all;
    return grep { ($title{ $_->{ppid} } // '') ne $_->{title} } @all;
}

sub named {
    my ($leader) = @_;
    return grep { $_->{title} =~ /worker process/ } _own($leader);
}

sub workers {
    my ($leader) = @_;
    my @named = named($leader);
    return @named if @named;
    my @all = _own($leader);
    my %parent = map { $_->{ppid} => 1 } @all;
    # Of veil's, master and keeper may be the last that are left.
    return grep { !$parent{ $_->{pid} }
            && $_->{title} !~ /(?:master|keeper) process/ } @all;
}

# state($pid): as in /proc, "T" when it is stopped; undef when it is gone.

sub state {
    my ($pid) = @_;
    open my $f, '<', "/proc/$pid/stat" or return undef;
    my ($state) = (<$f> // '') =~ /\) (\S)/;
    return $state;
}

# stop(@pids): SIGSTOP; they have stopped when it returns.

sub stop {
    my (@pids) = @_;
    my $end = time + 30;
    kill 'STOP', @pids;
    for my $pid (@pids) {
        sleep 0.001 while (state($pid) // 'X') !~ /[TZX]/ && time < $end;
    }
    return;
}

# left($leader, @before): those still there, of the group or of @before.

sub left {
    my ($leader, @before) = @_;
    my %was = map { ("$_->{pid} $_->{start}" => 1) } @before;
    return grep {
        $_->{state} ne 'Z'
            && (_member($_, $leader) || $was{"$_->{pid} $_->{start}"})
    } _all();
}

1;
