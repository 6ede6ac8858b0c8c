package Test::Veil::GRPC;

# Test::Veil::GRPC -- clients and servers of gRPC that others have written.
#
#     my $g = Test::Veil::GRPC->new($t);        # after has('grpcio')
#     my ($pid, $port, $tls_port) = $g->server('server.log', 0, $key, $crt);
#     $g->group('unary calls', 80, '-', 'basic');
#
# Both are python3-grpcio (t/lib/grpc_server.py, t/lib/grpc_client.py).  What
# a client checks is a test here, by the name of its group.

use strict;
use warnings;

use Exporter qw/import/;
use IPC::Open2;
use Test::More ();

use Test::Veil::Guard;
use Test::Veil::Python;

our @EXPORT_OK = qw/frame frames/;

# frame($message[, $flag]): a message as it is sent.

sub frame {
    my ($message, $flag) = @_;
    return pack 'CNa*', $flag // 0, length $message, $message;
}

# frames($data): those of a body, "flag:message|...", and what is left.

sub frames {
    my ($data) = @_;
    my @out;
    while (length $data >= 5) {
        my ($flag, $n) = unpack 'CN', $data;
        push @out, "$flag:" . substr $data, 5, $n;
        $data = length $data >= 5 + $n ? substr $data, 5 + $n : '';
    }
    push @out, "rest:$data" if length $data;
    return join '|', @out;
}

sub new {
    my ($class, $t) = @_;
    my $python = Test::Veil::Python->new($t, 'grpc', 'h2');
    return bless { t => $t, python => $python }, $class;
}

# A program on Python: its process, and the words of what it prints first.

sub program {
    my ($self, @command) = @_;
    my ($pid, $from) = $self->{python}->start(@command);
    return ($pid, split ' ', readline($from) // '');
}

# server($log, $port, $key, $certificate): its process and its ports.

sub server {
    my ($self, $log, $port, @tls) = @_;
    return $self->program('t/lib/grpc_server.py',
        $self->{t}->testdir . "/$log", $port, @tls);
}

sub kill_server {
    my ($self, $pid) = @_;
    kill KILL => $pid;
    waitpid $pid, 0;
    Test::Veil::Guard::remove($pid);
}

# client($port, $ca, $group, @words): one that is under way.

sub client {
    my ($self, $port, $ca, @words) = @_;
    my $pid = open2(my $out, my $in, $self->{python}{program},
        't/lib/grpc_client.py', $self->{t}->port($port), $ca, @words);
    Test::Veil::Guard::add($pid);
    return { pid => $pid, in => $in, out => $out };
}

# checks($client, $name, $until): its checks, all or up to the line it tells;
# returns how many there were.

sub checks {
    my ($self, $client, $name, $until) = @_;
    my $n = 0;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    while (defined(my $line = readline $client->{out})) {
        chomp $line;
        return $n if defined $until && $line eq "!$until";
        my ($what, $result) = split /\t/, $line, 2;
        Test::More::is($result, 'ok', "$name: $what");
        $n++;
    }
    waitpid $client->{pid}, 0;
    Test::Veil::Guard::remove($client->{pid});
    Test::More::fail("$name: told \"$until\"") if defined $until;
    return $n;
}

# The client waits for this.

sub go_on {
    my ($self, $client) = @_;
    syswrite $client->{in}, "\n";
}

# group($name, $port, $ca, $group, @words): a client from its start to its
# end.

sub group {
    my ($self, $name, @rest) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok($self->checks($self->client(@rest), $name),
        "$name: there were checks");
}

1;
