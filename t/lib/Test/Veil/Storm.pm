package Test::Veil::Storm;

# Test::Veil::Storm -- clients that do not stop coming (t/lib/storm_clients.py).
#
#     my $storm = Test::Veil::Storm->new($t, $python, 80, 443, 81, 'site.crt');
#     ok($storm->start, 'clients come');
#     ... $storm->seen(50) ...            # waits for so many answers more
#     my $said = $storm->stop;            # { requests, connections, failed }
#     $storm->all_served('reloads');      # the same, and a test of it
#
# The ports are those of HTTP/1.1, of TLS (with HTTP/2) and of HTTP/2 without.

use strict;
use warnings;
use IPC::Open2;
use JSON::PP ();
use Test::More ();
use Test::Veil::Guard;
use Test::Veil::HTTP1;
use Time::HiRes qw/time sleep/;

sub new {
    my ($class, $t, $python, $h1, $tls, $h2c, $ca) = @_;
    return bless { t => $t, python => $python, ports => [ $h1, $tls, $h2c ],
        ca => $ca }, $class;
}

# start: true when they are being served.

sub start {
    my ($self, $answers) = @_;
    my $t = $self->{t};
    $self->{pid} = open2($self->{from}, $self->{to}, $self->{python}{program},
        't/lib/storm_clients.py', (map { $t->port($_) } @{ $self->{ports} }),
        $t->testdir . "/$self->{ca}");
    Test::Veil::Guard::add($self->{pid});
    return $self->seen($answers // 50);
}

sub requests {
    my ($self) = @_;
    print { $self->{to} } "mark\n";
    my $line = readline $self->{from};
    return $line // 0;
}

sub seen {
    my ($self, $n) = @_;
    my $end = time + Test::Veil::HTTP1::patient(30);
    my $mark = $self->requests;
    sleep 0.01 while $self->requests < $mark + $n && time < $end;
    return time < $end;
}

sub stop {
    my ($self) = @_;
    close $self->{to};
    my $said = readline $self->{from};
    waitpid $self->{pid}, 0;
    return $said ? JSON::PP::decode_json($said)
        : { requests => 0, connections => 0,
            failed => [ [ 'clients', 0, 'said nothing', 0 ] ] };
}

sub all_served {
    my ($self, $name) = @_;
    my $said = $self->stop;
    my @failed = @{ $said->{failed} };
    Test::More::is(scalar @failed, 0,
        "$name: $said->{requests} requests on $said->{connections} connections");
    Test::More::diag("$_->[0]: $_->[2]")
        for @failed[ 0 .. ($#failed < 9 ? $#failed : 9) ];
    Test::More::cmp_ok($said->{requests}, '>', 50, '  there were some');
    return;
}

1;
