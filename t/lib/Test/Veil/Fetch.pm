package Test::Veil::Fetch;

# Test::Veil::Fetch -- veil-fetch as a client of a test.
#
#     my $t = Test::Veil->new->has('fetch');
#     my $fetch = Test::Veil::Fetch->new($t);
#     my $r = $fetch->run('-X', 'PUT', '-d', '@file', $url);
#     is($r->{status}, 0);
#     like($r->{out}, qr/^HTTP\/1.1 201 /);
#     like($r->{err}, qr/Using kTLS/);
#
# The program is the one beside the server that is tested, and it runs in the
# test's directory.  It uses the back end of the test (TEST_VEIL_USE).

use strict;
use warnings;

use File::Basename qw/dirname/;

use Test::Veil::TLS;

# new($t, $tls): $tls is a Test::Veil::TLS that is there already.

sub new {
    my ($class, $t, $tls) = @_;
    my $program = dirname($t->{binary}) . '/veil-fetch';
    die "there is no $program\n" unless -x $program;
    return bless { tls => $tls // Test::Veil::TLS->new($t), t => $t,
        program => $program }, $class;
}

# uses_epoll: whether run() asks for epoll.

sub uses_epoll { return ($ENV{TEST_VEIL_USE} // '') eq 'epoll' }

# run(@arguments): { status, out, err, timed_out }; a hash reference as the
# first argument has the options of Test::Veil::TLS->run_command, and
#   input      what comes through a pipe, to its end, as standard input

sub run {
    my ($self, @args) = @_;
    my %o = ref $args[0] ? %{ shift @args } : ();
    unshift @args, '--epoll' if $self->uses_epoll;
    my @command = ($self->{program}, @args);
    if (defined(my $input = delete $o{input})) {
        $self->{t}->write_file('fetch.input', $input);
        unshift @command, 'sh', '-c', 'cat fetch.input | "$0" "$@"';
    }
    return $self->{tls}->run_command([ @command ], %o);
}

# body(@arguments): the body of one response, without its head.

sub body {
    my ($self, @args) = @_;
    my $r = $self->run(@args);
    return "exit $r->{status}: $r->{err}" if $r->{status} != 0;
    return $r->{out} =~ s/\A.*?\n\n//sr;
}

1;
