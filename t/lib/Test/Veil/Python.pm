package Test::Veil::Python;

# Test::Veil::Python -- peers that are scripts in Python.
#
#     my $python = Test::Veil::Python->new($t, 'h2');   # skips without it
#     my $python = Test::Veil::Python->find($t, 'h2');  # undef without it
#     my $port = $python->server('t/lib/server.py', @arguments);
#     my ($pid, $from) = $python->start('t/lib/server.py', @arguments);
#     my @checks = $python->checks('t/lib/client.py', @arguments);
#
# A server prints its port, and serves until the test ends; what start()
# starts may print more, which is read from the handle.  A client prints
# "ok - name" or "not ok - name", as h2_raw.py does with check().

use strict;
use warnings;

use POSIX ();
use Test::More ();
use Test::Veil::Guard;

# Any Python that has these modules: a machine may have several.
sub find {
    my ($class, $t, @modules) = @_;
    my $import = join ', ', @modules;
    my ($program) = grep { system("$_ -c 'import $import' 2> /dev/null") == 0 }
        qw(python3 /usr/bin/python3);
    return defined $program ? bless { t => $t, program => $program }, $class
        : undef;
}

sub new {
    my ($class, $t, @modules) = @_;
    return $class->find($t, @modules)
        // $t->skip_all("no python3 with @modules");
}

sub start {
    my ($self, $script, @arguments) = @_;
    my ($name) = $script =~ m{([^/]+)\.py$};
    my $err = $self->{t}->testdir . "/$name.err";
    pipe(my $from, my $to) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        close $from;
        open STDOUT, '>&', $to or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>>', $err or POSIX::_exit(126);
        { exec $self->{program}, $script, @arguments };
        POSIX::_exit(127);
    }
    Test::Veil::Guard::add($pid);
    close $to;
    return ($pid, $from);
}

sub server {
    my ($self, $script, @arguments) = @_;
    my (undef, $from) = $self->start($script, @arguments);
    my $port = readline($from) // die "$script does not say its port\n";
    chomp $port;
    return $port;
}

sub checks {
    my ($self, $script, @arguments) = @_;
    open my $f, '-|', $self->{program}, $script, @arguments
        or die "$script: $!";
    while (my $line = <$f>) {
        Test::More::ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
        Test::More::diag($line) if $line =~ /^(not |#)/;
    }
    Test::More::ok(close $f, "$script came to its end");
    return;
}

1;
