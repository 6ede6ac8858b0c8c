package Test::Veil::Upstream;

# Test::Veil::Upstream -- backend servers that do what a test tells them.
#
# A backend is a forked process on a free loopback port (or a unix socket)
# that forks again for each connection, so a handler may block.  A handler is
# called for each request; what it does is up to it:
#
#     my $u = Test::Veil::Upstream->new(handler => sub {
#         my ($conn, $req) = @_;
#         $conn->reply(status => 200, body => "hello $req->{uri}\n");
#     });
#     ... proxy_pass http://$addr; with $addr = $u->addr
#     is($u->requests, 1);
#
# or a canned behaviour, by path:
#
#     Test::Veil::Upstream->new(routes => {
#         '/slow'  => Test::Veil::Upstream::gated('go'),
#         '/reset' => Test::Veil::Upstream::reset_now(),
#     });                                   # everything else is echoed
#
# Nothing is timed: a handler that shall wait waits for a gate
# ($conn->wait('go')), and the test opens it ($u->release('go')).  What a
# handler notes ($conn->note('text')) and what it served is sent to the test
# through a pipe and counted there.

use strict;
use warnings;

use Digest::SHA qw/sha1_base64/;
use POSIX ();
use Scalar::Util ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw/IPPROTO_TCP TCP_NODELAY SOCK_STREAM SOMAXCONN/;
use Time::HiRes qw/time sleep/;

use Test::Veil::Guard;
use Test::Veil::Proc;

my @all;

# new(%options):
#   handler  => sub { my ($conn, $req) = @_ }   for each request (echo)
#   routes   => { path => handler }  by path without query, before handler
#   raw      => sub { my ($conn) = @_ }  gets the connection unread instead
#   port     a port to bind (a free one);  unix => path
#   addr     address to bind (127.0.0.1)
#   gates    => [ names ] besides "go"
#   accept   => 0: listens, never accepts
#   backlog  of listen
#   quiet    => 1: tells the test nothing.  For storms that do not ask: a
#            pipe that nobody reads is full some time, and the backend stands
#   start    => 0: bound, not listening: connections are refused

sub new {
    my ($class, %o) = @_;
    my $self = bless {
        %o,
        conns    => 0,
        reqs     => [],
        notes    => [],
        closed   => 0,
        pending  => '',
        gatefd   => {},
    }, $class;

    $self->_bind;
    $self->start unless exists $o{start} && !$o{start};
    push @all, $self;
    Scalar::Util::weaken($all[-1]);
    return $self;
}

sub _bind {
    my ($self) = @_;

    if (defined $self->{unix}) {
        unlink $self->{unix};
        $self->{listener} = IO::Socket::UNIX->new(
            Type => SOCK_STREAM, Local => $self->{unix},
            ($self->{start} // 1) ? (Listen => $self->{backlog} // 128) : ())
            or die "cannot bind unix:$self->{unix}: $!\n";
        chmod 0666, $self->{unix};
        return;
    }

    # Bound and held without listening: the port stays ours while stopped,
    # and start() binds a second socket beside it.
    $self->{hold} = IO::Socket::INET->new(
        LocalAddr => $self->{addr} // '127.0.0.1',
        LocalPort => $self->{port} // 0, ReuseAddr => 1, Proto => 'tcp')
        or die 'cannot bind port ' . ($self->{port} // 0) . ": $!\n";
    $self->{port} = $self->{hold}->sockport;
    Test::Veil::Guard::private($self->{hold});
}

sub port { return $_[0]{port} }

# addr: as proxy_pass and server want it, "127.0.0.1:port" or "unix:/path".

sub addr {
    my ($self) = @_;
    return "unix:$self->{unix}" if defined $self->{unix};
    return ($self->{addr} // '127.0.0.1') . ":$self->{port}";
}

# start: listens (again).  After a stop the counters go on.

sub start {
    my ($self) = @_;
    return $self if $self->{pid};

    if (!defined $self->{unix}) {
        $self->{listener} = IO::Socket::INET->new(
            LocalAddr => $self->{addr} // '127.0.0.1',
            LocalPort => $self->{port}, ReuseAddr => 1, Proto => 'tcp',
            Listen => $self->{backlog} // 128)
            or die "cannot listen on port $self->{port}: $!\n";
    } elsif (!$self->{listener}) {
        $self->{start} = 1;
        $self->_bind;
    }

    pipe(my $report, my $say) or die "pipe: $!\n";
    my %wait;
    for my $name ('go', @{ $self->{gates} // [] }) {
        next if $wait{$name};
        pipe($wait{$name}, $self->{gatefd}{$name}) or die "pipe: $!\n";
        Test::Veil::Guard::private($self->{gatefd}{$name});
    }

    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        close $report;
        setpgrp(0, 0);
        Test::Veil::Guard::in_child();
        eval {
            $self->_serve($say, \%wait);
            1;
        } or print STDERR "upstream: $@";
        POSIX::_exit(0);
    }

    setpgrp($pid, $pid);
    Test::Veil::Guard::add($pid);
    close $say;
    close $_ for values %wait;
    close delete $self->{listener} unless defined $self->{unix};
    delete $self->{listener};
    $report->blocking(0);
    $self->{report} = Test::Veil::Guard::private($report);
    $self->{pid} = $pid;
    return $self;
}

# stop: kills the backend with its connections; its port refuses then.  Those
# that serve the connections are children of another, so they are looked for;
# at the end of the test nobody needs to know (at_end => 1).

sub stop {
    my ($self, %o) = @_;
    my $pid = delete $self->{pid} or return $self;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    $self->_until(sub { !Test::Veil::Proc::group($pid) }) unless $o{at_end};
    Test::Veil::Guard::remove($pid);
    $self->_drain;
    my $report = delete $self->{report};
    Test::Veil::Guard::forget($report);
    close $report;
    for my $g (values %{ $self->{gatefd} }) {
        Test::Veil::Guard::forget($g);
        close $g;
    }
    $self->{gatefd} = {};
    unlink $self->{unix} if defined $self->{unix};
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $Test::Veil::Guard::owner;
    local ($?, $!, $@);
    $self->stop(at_end => 1);
    Test::Veil::Guard::forget($self->{hold}) if $self->{hold};
}

sub stop_all {
    $_ && $_->stop(at_end => 1) for @all;
}

# release($gate): opens a gate for good; release($gate, $n): lets $n pass.

sub release {
    my ($self, $gate, $n) = @_;
    $gate //= 'go';
    my $fd = $self->{gatefd}{$gate} or die "no gate \"$gate\"\n";

    if (defined $n) {
        syswrite $fd, 'x' x $n;
        return;
    }
    Test::Veil::Guard::forget($fd);
    delete $self->{gatefd}{$gate};
    close $fd;
}

# ---------------------------------------------------------------- counting --

sub _drain {
    my ($self) = @_;

    while ($self->{report}) {
        my $n = sysread $self->{report}, $self->{pending}, 65536,
            length $self->{pending};
        last unless $n;
    }
    while ($self->{pending} =~ s/^(\w+) (\d+) ?([^\n]*)\n//) {
        my ($what, $conn, $text) = ($1, $2, $3);
        $self->{conns}++ if $what eq 'conn';
        $self->{closed}++ if $what eq 'end';
        push @{ $self->{reqs} }, [ $conn, $text ] if $what eq 'req';
        push @{ $self->{notes} }, $text if $what eq 'note';
    }
}

# connections, requests: how many so far.

sub connections { $_[0]->_drain; return $_[0]{conns} }
sub requests    { $_[0]->_drain; return scalar @{ $_[0]{reqs} } }

# open_connections: those not ended yet.
sub open_connections {
    my ($self) = @_;
    $self->_drain;
    return $self->{conns} - $self->{closed};
}

# request_lines: "GET /uri HTTP/1.1" of each request, in order of arrival;
# request_connections: the number of the connection that each came on.
sub request_lines {
    my ($self) = @_;
    $self->_drain;
    return map { $_->[1] } @{ $self->{reqs} };
}

sub request_connections {
    my ($self) = @_;
    $self->_drain;
    return map { $_->[0] } @{ $self->{reqs} };
}

# notes: texts given to $conn->note.
sub notes { $_[0]->_drain; return @{ $_[0]{notes} } }

sub _until {
    my ($self, $test, $timeout) = @_;
    my $deadline = time + Test::Veil::HTTP1::patient($timeout // 10);
    while (1) {
        my $late = time > $deadline;
        return 1 if $test->();
        return 0 if $late;
        sleep(0.005);
    }
}

# wait_requests($n), wait_connections($n), wait_closed: true when there are
# so many, false if that takes too long (10 s).

sub wait_requests {
    my ($self, $n, $timeout) = @_;
    return $self->_until(sub { $self->requests >= $n }, $timeout);
}

sub wait_connections {
    my ($self, $n, $timeout) = @_;
    return $self->_until(sub { $self->connections >= $n }, $timeout);
}

# wait_closed($n): at most $n (0) connections are left.
sub wait_closed {
    my ($self, $n, $timeout) = @_;
    return $self->_until(
        sub { $self->open_connections <= ($n // 0) }, $timeout);
}

# wait_note(qr/x/): the first note that matches, undef if none comes.
sub wait_note {
    my ($self, $re, $timeout) = @_;
    my $found;
    $self->_until(
        sub { ($found) = grep { /$re/ } $self->notes; defined $found },
        $timeout);
    return $found;
}

# ------------------------------------------------------------- the process --

sub _serve {
    my ($self, $say, $gates) = @_;
    my $listener = $self->{listener};
    my $number = 0;
    if ($self->{quiet}) {
        open $say, '>', '/dev/null' or die "/dev/null: $!\n";
    }
    local $SIG{CHLD} = 'IGNORE';
    local $SIG{PIPE} = 'IGNORE';

    if (exists $self->{accept} && !$self->{accept}) {
        sleep 3600 while 1;
    }
    while (1) {
        my $sock = $listener->accept or next;
        $number++;
        syswrite $say, "conn $number\n";
        my $pid = fork // die "fork: $!\n";
        if ($pid) {
            close $sock;
            next;
        }
        close $listener;
        my $conn = Test::Veil::Upstream::Conn->new(
            $sock, $number, $say, $gates);
        eval {
            $self->{raw} ? $self->{raw}->($conn) : $self->_requests($conn);
            1;
        } or print STDERR "upstream: $@";
        $conn->close;
        POSIX::_exit(0);
    }
}

sub _requests {
    my ($self, $conn) = @_;

    while (my $req = $conn->read_request) {
        my $handler = $self->{routes}{ $req->{path} }
            // $self->{handler} // echo();
        $handler->($conn, $req);
        last if !$conn->is_open || $conn->{ended};
        last if !$req->{keepalive};
    }
}

# -------------------------------------------------------- canned behaviours --
# Each returns a handler.

# echo: answers with the request as text: its line, its headers, an empty
# line, its body.

sub echo {
    return sub {
        my ($conn, $req) = @_;
        my $text = join("\n", $req->{line},
            (map {"$_->[0]: $_->[1]"} @{ $req->{headers} }), '',
            $req->{body});
        $conn->reply(
            headers => [ 'Content-Type' => 'text/plain' ], body => $text);
    };
}

# reply(%options): the same answer each time, see $conn->reply.
sub reply {
    my @o = @_;
    return sub { $_[0]->reply(@o) };
}

# gated($gate, $then): waits for the gate, then does $then (echo).
sub gated {
    my ($gate, $then) = @_;
    $then //= echo();
    return sub {
        my ($conn, $req) = @_;
        $conn->note("waiting $req->{uri}");
        $conn->wait($gate);
        $then->($conn, $req);
    };
}

# bytes($raw): these, well formed or not, then the end of the connection.
sub bytes {
    my ($raw) = @_;
    return sub { $_[0]->write($raw); $_[0]->close };
}

# keep_bytes($raw): these, and the connection stays.
sub keep_bytes {
    my ($raw) = @_;
    return sub { $_[0]->write($raw) };
}

# reset_now($raw): resets the connection, after $raw if given.
sub reset_now {
    my ($raw) = @_;
    return sub {
        my ($conn) = @_;
        if (defined $raw) {
            $conn->write($raw);
            $conn->flush;
        }
        $conn->reset;
    };
}

# close_now: ends the connection without a byte.
sub close_now { return sub { $_[0]->close } }

# never: answers nothing until the peer gives up.
sub never {
    return sub {
        my ($conn, $req) = @_;
        $conn->note("silent $req->{uri}");
        $conn->wait_peer_close;
    };
}

# chunked(\@pieces, \@trailers, %more): a chunked answer.
sub chunked {
    my ($pieces, $trailers, %more) = @_;
    return sub {
        $_[0]->reply(%more, chunks => $pieces, trailers => $trailers);
    };
}

# interim($status, \@headers, $then): a 1xx answer, then $then (echo).
sub interim {
    my ($status, $headers, $then) = @_;
    $then //= echo();
    return sub {
        my ($conn, $req) = @_;
        $conn->write(_head($status, $headers));
        $then->($conn, $req);
    };
}

# drip($raw, $size, $pause): these bytes, $size (1) at a time.
sub drip {
    my ($raw, $size, $pause) = @_;
    return sub {
        my ($conn) = @_;
        $conn->write_slowly($raw, $size // 1, $pause // 0.001);
    };
}

# websocket: 101 with the right accept key, then every byte comes back until
# the peer is done.

sub websocket {
    my (%o) = @_;
    return sub {
        my ($conn, $req) = @_;
        my $key = $conn->header($req, 'Sec-WebSocket-Key') // '';
        my $accept = sha1_base64(
            $key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

        $conn->write(_head(101, [ Upgrade => 'websocket',
            Connection => 'upgrade', 'Sec-WebSocket-Accept' => $accept ])
            . ($o{greeting} // ''));
        while (length(my $got = $conn->read_some)) {
            $conn->write($got);
        }
        $conn->note("tunnel ended $req->{uri}");
        $conn->close;
    };
}

my %reason = (
    100 => 'Continue', 101 => 'Switching Protocols', 103 => 'Early Hints',
    200 => 'OK', 204 => 'No Content', 206 => 'Partial Content',
    301 => 'Moved Permanently', 302 => 'Found', 304 => 'Not Modified',
    403 => 'Forbidden', 404 => 'Not Found', 500 => 'Internal Server Error',
    502 => 'Bad Gateway', 503 => 'Service Unavailable',
);

sub _head {
    my ($status, $headers) = @_;
    my $head = "HTTP/1.1 $status " . ($reason{$status} // 'Status') . "\r\n";
    my @h = @{ $headers // [] };
    while (@h) {
        my ($name, $value) = splice(@h, 0, 2);
        $head .= "$name: $value\r\n";
    }
    return "$head\r\n";
}

package Test::Veil::Upstream::Conn;

# One connection of a backend, as a handler sees it.

use strict;
use warnings;

use Socket qw/SOL_SOCKET SO_LINGER SHUT_WR IPPROTO_TCP TCP_NODELAY/;
use Time::HiRes qw/sleep/;

sub new {
    my ($class, $sock, $number, $say, $gates) = @_;
    setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1)
        if $sock->isa('IO::Socket::INET');
    return bless {
        sock => $sock, number => $number, say => $say, gates => $gates,
        buf => '', served => 0,
    }, $class;
}

# number: which connection of the backend this is, from 1.
sub number { return $_[0]{number} }

# served: requests read on this connection so far.
sub served { return $_[0]{served} }

sub is_open { return defined $_[0]{sock} }

sub socket { return $_[0]{sock} }

# note($text): tells the test.
sub note {
    my ($self, $text) = @_;
    $text =~ s/[\r\n]/ /g;
    syswrite $self->{say}, "note $self->{number} "
        . substr($text, 0, 3000) . "\n";
}

# wait($gate): until the test opens it.
sub wait {
    my ($self, $gate) = @_;
    $gate //= 'go';
    my $fd = $self->{gates}{$gate} or die "no gate \"$gate\"\n";
    sysread $fd, my $byte, 1;
}

# wait_peer_close: reads and drops until the peer closes or resets.
sub wait_peer_close {
    my ($self) = @_;
    1 while length $self->read_some;
    $self->{ended} = 1;
}

sub _fill {
    my ($self) = @_;
    return 0 unless $self->{sock};
    my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
    $self->{ended} = 1 if !$n;
    return $n // 0;
}

# read_some: what comes next, '' at the end.
sub read_some {
    my ($self) = @_;
    $self->_fill if $self->{buf} eq '';
    my $got = $self->{buf};
    $self->{buf} = '';
    return $got;
}

# read_until(qr/x/): up to and with a match; undef at the end.
sub read_until {
    my ($self, $re) = @_;
    while (1) {
        return substr($self->{buf}, 0, $+[0], '') if $self->{buf} =~ $re;
        $self->_fill or return undef;
    }
}

sub read_bytes {
    my ($self, $n) = @_;
    while (length $self->{buf} < $n) {
        $self->_fill or return undef;
    }
    return substr($self->{buf}, 0, $n, '');
}

# header($req, $name): the first value, or undef.
sub header {
    my (undef, $req, $name) = @_;
    my ($h) = grep { lc $_->[0] eq lc $name } @{ $req->{headers} };
    return $h ? $h->[1] : undef;
}

# read_head: the next request without its body, or undef at the end:
# { raw line method uri path query version headers => [[name, value]] }.

sub read_head {
    my ($self) = @_;
    my $raw = $self->read_until(qr/\r?\n\r?\n/) // return undef;
    my @lines = split /\r?\n/, $raw;
    my %req = (raw => $raw, line => shift @lines, body => '',
        trailers => []);
    @req{qw/method uri version/} = split / /, $req{line}, 3;
    $req{uri} //= '';
    @req{qw/path query/} = split /\?/, $req{uri}, 2;
    $req{path} //= '';
    $req{headers} = [ map { /^([^:]+):\s*(.*)$/ ? [ $1, $2 ] : [ $_, '' ] }
            @lines ];

    my $c = lc($self->header(\%req, 'Connection') // '');
    $req{keepalive} = ($req{version} // '') eq 'HTTP/1.0'
        ? $c =~ /keep-alive/ : $c !~ /\bclose\b/;
    $self->{served}++;
    syswrite $self->{say}, "req $self->{number} "
        . substr($req{line}, 0, 3000) . "\n";
    return \%req;
}

# read_body($req): reads the body into $req->{body}.  False if it was cut.

sub read_body {
    my ($self, $req) = @_;
    my $te = $self->header($req, 'Transfer-Encoding');
    my $cl = $self->header($req, 'Content-Length');

    if (defined $te) {
        while (1) {
            my $line = $self->read_until(qr/\r\n/) // return 0;
            my $size = hex(($line =~ /^([0-9a-f]+)/i)[0] // return 0);
            if ($size == 0) {
                while (1) {
                    my $t = $self->read_until(qr/\r\n/) // return 0;
                    last if $t eq "\r\n";
                    push @{ $req->{trailers} }, [ $1, $2 ]
                        if $t =~ /^([^:]+):\s*(.*)\r\n/;
                }
                return 1;
            }
            $req->{body} .= $self->read_bytes($size) // return 0;
            $self->read_bytes(2) // return 0;
        }
    }
    if ($cl) {
        $req->{body} = $self->read_bytes($cl) // return 0;
    }
    return 1;
}

sub read_request {
    my ($self) = @_;
    my $req = $self->read_head or return undef;

    if (lc($self->header($req, 'Expect') // '') eq '100-continue') {
        $self->write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (!$self->read_body($req)) {
        $self->note("body cut after " . length($req->{body}));
        return undef;
    }
    return $req;
}

# write($bytes): false if the peer is gone.
sub write {
    my ($self, $bytes) = @_;
    my $sent = 0;

    while ($self->{sock} && $sent < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, length($bytes) - $sent,
            $sent;
        return 0 unless $n;
        $sent += $n;
    }
    return $self->{sock} ? 1 : 0;
}

sub write_slowly {
    my ($self, $bytes, $size, $pause) = @_;
    for (my $i = 0; $i < length $bytes; $i += $size) {
        $self->write(substr $bytes, $i, $size) or return 0;
        sleep($pause) if $pause;
    }
    return 1;
}

# flush: until the peer has acknowledged what was written (SIOCOUTQ is 0),
# so that a reset that follows does not overtake it.

sub flush {
    my ($self) = @_;
    for (1 .. 4000) {
        my $left = pack 'i', 0;
        ioctl $self->{sock}, 0x5411, $left or return;
        return if unpack('i', $left) == 0;
        sleep(0.005);
    }
}

# reply(status => 200, headers => [name => value], body => text): with a
# Content-Length;  chunks => [pieces], trailers => [name => value]: chunked;
# close => 1: without a length, ended by the end of the connection.

sub reply {
    my ($self, %o) = @_;
    my @h = @{ $o{headers} // [] };
    my $body = $o{body} // '';

    if ($o{chunks}) {
        push @h, 'Transfer-Encoding' => 'chunked';
        $body = join '',
            map { sprintf "%x\r\n%s\r\n", length, $_ } @{ $o{chunks} };
        $body .= "0\r\n";
        my @t = @{ $o{trailers} // [] };
        while (@t) {
            my ($name, $value) = splice(@t, 0, 2);
            $body .= "$name: $value\r\n";
        }
        $body .= "\r\n";
    } elsif ($o{close}) {
        push @h, Connection => 'close';
    } else {
        push @h, 'Content-Length' => length $body;
    }

    my $ok = $self->write(
        Test::Veil::Upstream::_head($o{status} // 200, \@h) . $body);
    $self->close if $o{close};
    return $ok;
}

sub shutdown {
    my ($self) = @_;
    CORE::shutdown($self->{sock}, SHUT_WR) if $self->{sock};
}

# reset: closes with a reset.
sub reset {
    my ($self) = @_;
    setsockopt($self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0))
        if $self->{sock};
    $self->close;
}

sub close {
    my ($self) = @_;
    my $sock = delete $self->{sock} or return;
    CORE::close($sock);
    syswrite $self->{say}, "end $self->{number}\n";
}

1;
