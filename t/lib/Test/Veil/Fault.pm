package Test::Veil::Fault;

# Test::Veil::Fault -- a process of the server dies at a point in its code.
#
#     my $fault = Test::Veil::Fault->new($t);    # before $t->run
#     $fault->arm('slab.push', pass => 3);       # the third one there dies
#     ... requests ...
#     my $pid = $fault->wait;                    # who it was; 0: nobody
#
# Options: role => 'worker' (the default), 'keeper', 'master' or 'any';
# action => 'kill' (the default) or 'stop'; pass => 1.  'slab.*' means all
# points that begin with 'slab.'.  Needs a debug build; see src/core/fault.h.

use strict;
use warnings;

use Test::Veil::Proc;

my $FORMAT = 'a48 a1 a1 x2 L L x4';

sub new {
    my ($class, $t) = @_;
    $t->skip_all('fault points are in debug builds only') unless $t->is_debug;
    my $self = bless { t => $t, path => $t->testdir . '/fault' }, $class;
    $t->write_file('fault', pack $FORMAT, '', "\0", 'k', 0, 0);
    $t->env(VEIL_FAULT => $self->{path});
    return $self;
}

sub _write {
    my ($self, $at, $bytes) = @_;
    open my $f, '+<', $self->{path} or die "$self->{path}: $!\n";
    binmode $f;
    sysseek $f, $at, 0;
    syswrite $f, $bytes;
    close $f;
    return;
}

sub _plan {
    my ($self) = @_;
    open my $f, '<', $self->{path} or die "$self->{path}: $!\n";
    binmode $f;
    sysread $f, my $bytes, 64;
    close $f;
    my %p;
    @p{qw/point role action left pid/} = unpack $FORMAT, $bytes;
    return \%p;
}

# arm($point, %options)

sub arm {
    my ($self, $point, %o) = @_;
    my $role = $o{role} // 'worker';
    my $action = $o{action} // 'kill';
    my $left = $o{pass} // 1;

    $self->disarm;
    $self->_write(0, pack 'a48 a1 a1 x2', $point,
        $role eq 'any' ? "\0" : substr($role, 0, 1), substr $action, 0, 1);
    $self->_write(52, pack 'L', $left);
    return $self;
}

sub disarm {
    my ($self) = @_;
    $self->_write(52, pack 'L L', 0, 0);
    return $self;
}

# pid: to whom it happened; 0: to nobody yet.

sub pid { return $_[0]->_plan->{pid} }

# wait($seconds): the same, when it has happened: it says that it is to be
# killed or stopped, and is so a moment later.

sub wait {
    my ($self, $seconds) = @_;
    my $pid = $self->{t}->wait_for(sub { $self->pid }, $seconds // ())
        or return 0;
    my $is = $self->_plan->{action} eq 's' ? qr/[Tt]/ : qr/[ZX]/;
    $self->{t}->wait_for(sub {
        my $state = Test::Veil::Proc::state($pid);
        return !defined $state || $state =~ $is;
    });
    return $pid;
}

1;
