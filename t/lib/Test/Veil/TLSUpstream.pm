package Test::Veil::TLSUpstream;

# Test::Veil::TLSUpstream -- backends that speak TLS.
#
#     my $tls = Test::Veil::TLS->new($t);
#     $tls->ca('root');
#     $tls->cert('a.test', ca => 'root');
#     my $u = $t->upstream('a', handler => ...);      # what answers
#     my $s = Test::Veil::TLSUpstream->new($tls, backend => $u,
#         cert => 'a.test');
#     $t->set(TLS_a => $s->addr);
#     ... proxy_pass https://%%TLS_a%%;
#     is($s->hello(1)->{name}, 'a.test');
#
# A process of Python's ssl module (t/lib/tls_server.py) stands in front of a
# plain backend; so a test asks the backend about requests, and this about
# handshakes.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw/time sleep/;

use Test::Veil::Guard;
use Test::Veil::HTTP1;

my $lib = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

# new($tls, %options):
#   backend  a Test::Veil::Upstream
#   cert     name of the certificate; certs => { name => cert }: for SNI, too
#   ca       authority of clients, which then need a certificate
#   tls      '1.2' or '1.3' only;  ciphers  of TLS 1.2
#   alpn     [ names ] that it knows
#   close    'cut': ends without close_notify
#   mode     'silent': never answers; 'hangup': closes after the first bytes;
#            'garbage': answers in plain text
#   chop     [ n, ... ]: breaks each connection after so many bytes
#   unix     path;  addr (127.0.0.1);  port (a free one)

sub new {
    my ($class, $tls, %o) = @_;
    my $self = bless { pending => '', conns => 0, hello => [], end => [],
        timeout => $tls->{timeout} }, $class;
    my %pair = map { ($_ => [ $tls->path("$o{certs}{$_}.crt"),
        $tls->path("$o{certs}{$_}.key") ]) } keys %{ $o{certs} // {} };
    my $cert = $o{cert} // die "no cert\n";
    my %ask = (certs => { %pair,
        '' => [ $tls->path("$cert.crt"), $tls->path("$cert.key") ] });

    $ask{backend} = [ '127.0.0.1', $o{backend}->port + 0 ] if $o{backend};
    $ask{ca} = $tls->path("$o{ca}.crt") if defined $o{ca};
    for my $k (qw/tls ciphers alpn close mode chop unix addr port/) {
        $ask{$k} = $o{$k} if defined $o{$k};
    }
    $self->{unix} = $o{unix};
    $self->{host} = $o{addr} // '127.0.0.1';
    if (!defined $o{unix}) {
        # Bound and held without listening, so that it stays ours while
        # nobody listens there.
        $self->{hold} = IO::Socket::INET->new(LocalAddr => $self->{host},
            LocalPort => $o{port} // 0, ReuseAddr => 1, Proto => 'tcp')
            or die "cannot bind a port: $!\n";
        Test::Veil::Guard::private($self->{hold});
        $ask{port} = $self->{hold}->sockport;
    }
    $self->_start($tls, \%ask);
    return $self;
}

sub _start {
    my ($self, $tls, $ask) = @_;
    my $n = ++$tls->{runs};
    my $file = $tls->_put("server.$n.json", JSON::PP::encode_json($ask));
    pipe(my $report, my $say) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        close $report;
        open STDOUT, '>&', $say or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>', $tls->path("server.$n.err") or POSIX::_exit(126);
        { exec 'python3', "$lib/tls_server.py", $file };
        POSIX::_exit(127);
    }
    Test::Veil::Guard::add($pid);
    close $say;
    $report->blocking(0);
    $self->{report} = Test::Veil::Guard::private($report);
    $self->{pid} = $pid;
    $self->_until(sub { defined $self->{port} })
        or die "tls_server.py does not start: "
            . $tls->_slurp("server.$n.err") . "\n";
}

sub _drain {
    my ($self) = @_;

    while ($self->{report}) {
        my $n = sysread $self->{report}, $self->{pending}, 65536,
            length $self->{pending};
        last unless $n;
    }
    while ($self->{pending} =~ s/^(\w+) (\d+) ([^\n]*)\n//) {
        my ($what, $number, $text) = ($1, $2, $3);
        my $facts = $text eq 'null' ? {} : JSON::PP::decode_json($text);
        $self->{port} = $number if $what eq 'port';
        $self->{conns}++ if $what eq 'conn';
        $self->{hello}[ $number - 1 ] = $facts if $what eq 'hello';
        $self->{end}[ $number - 1 ] = $facts if $what eq 'end';
    }
}

sub _until {
    my ($self, $test) = @_;
    my $deadline = time + Test::Veil::HTTP1::patient(10);
    while (1) {
        my $late = time > $deadline;
        $self->_drain;
        return 1 if $test->();
        return 0 if $late;
        sleep 0.005;
    }
}

sub port { return $_[0]{port} }

# addr: as proxy_pass and server want it, behind https://.

sub addr {
    my ($self) = @_;
    return "unix:$self->{unix}" if defined $self->{unix};
    return $self->{host} . ":$self->{port}";
}

# connections: how many so far.

sub connections { $_[0]->_drain; return $_[0]{conns} }

# hello($n): what became of the handshake of connection $n, from 1: { error,
# name (SNI), version, cipher, reused, peer (name of the client's
# certificate) }; waits for it.  undef if it does not come.

sub hello {
    my ($self, $n) = @_;
    $self->_until(sub { defined $self->{hello}[ $n - 1 ] });
    return $self->{hello}[ $n - 1 ];
}

# wait_end($n): connection $n is over: { closed: the peer said close_notify }.

sub wait_end {
    my ($self, $n) = @_;
    $self->_until(sub { defined $self->{end}[ $n - 1 ] });
    return $self->{end}[ $n - 1 ];
}

# hellos: those so far.

sub hellos { $_[0]->_drain; return grep { defined } @{ $_[0]{hello} } }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    Test::Veil::Guard::remove($pid);
    $self->_drain;
    my $report = delete $self->{report};
    Test::Veil::Guard::forget($report);
    close $report;
    unlink $self->{unix} if defined $self->{unix};
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $Test::Veil::Guard::owner;
    local ($?, $!, $@);
    $self->stop;
    Test::Veil::Guard::forget($self->{hold}) if $self->{hold};
}

1;
