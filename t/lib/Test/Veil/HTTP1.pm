package Test::Veil::HTTP1;

# Test::Veil::HTTP1 -- an HTTP/1 client that hides nothing.
#
# One object is one connection.  What is written is written as it stands, in
# the pieces the test asks for; what comes back is parsed strictly, and a
# response that is not well formed says so in its "error" instead of being
# repaired.  Every read has a deadline.  No module outside the Perl core.
#
#     my $c = Test::Veil::HTTP1->new(port => 8080);
#     $c->write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
#     my $r = $c->read_response;          # a Test::Veil::HTTP1::Response
#     like($r, qr/ 200 /);                # it prints as the bytes received
#     is($r->header('Content-Type'), 'text/plain');

use strict;
use warnings;

use IO::Socket::IP;
use IO::Socket::UNIX;
use Scalar::Util qw/weaken/;
use Socket qw/IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER SO_RCVBUF
    SHUT_WR SOCK_STREAM/;
use Time::HiRes qw/time sleep/;

# Open connections, so that the harness can close what a test left open.

my %open;

# patience: the factor of everything that is waited for, as a machine that is
# busy is no fault.  Waits of less than 0.3 s are there to find that nothing
# happens, and stay.

sub patience { return $ENV{TEST_VEIL_PATIENCE} || 2 }

sub patient {
    my ($seconds) = @_;
    return $seconds < 0.3 ? $seconds : $seconds * patience();
}

sub _seconds {
    my ($self, $seconds) = @_;
    return defined $seconds ? patient($seconds) : $self->{timeout};
}

# new(%options): connects at once; dies if it cannot.
#   addr, port   where to (127.0.0.1)
#   unix         path of a unix socket instead
#   local        local address to connect from
#   timeout      seconds a read or write may take in all (10)
#   rcvbuf       size of the receive buffer, for slow readers
#   socket       an object with sysread, syswrite and fileno, already open

sub new {
    my ($class, %o) = @_;
    my $self = bless {
        buf     => '',
        timeout => $o{timeout} // 10 * patience(),
        eof     => 0,
        reset   => 0,
        scheme  => 'http',
    }, $class;

    local $@;
    my $s = $o{socket};

    if (!$s && defined $o{unix}) {
        $s = IO::Socket::UNIX->new(
            Type => SOCK_STREAM, Peer => $o{unix})
            or die "cannot connect to unix:$o{unix}: $!\n";

    } elsif (!$s) {
        my $addr = $o{addr} // '127.0.0.1';
        my @opts;
        push @opts, [ SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} ] if $o{rcvbuf};
        $s = IO::Socket::IP->new(
            PeerHost => $addr, PeerPort => $o{port},
            Type => SOCK_STREAM, Timeout => $self->{timeout},
            ($o{local} ? (LocalHost => $o{local}) : ()),
            (@opts ? (Sockopts => \@opts) : ()))
            or die "cannot connect to $addr:$o{port}: "
                . ($@ || $!) . "\n";
        setsockopt($s, IPPROTO_TCP, TCP_NODELAY, 1);
    }

    $s->blocking(0);
    $self->{sock} = $s;
    $open{0 + $self} = $self;
    weaken($open{0 + $self});
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    delete $open{0 + $self};
}

sub close_all {
    for my $c (values %open) {
        $c->close if $c;
    }
}

sub socket { return $_[0]{sock} }

# Bytes received and not yet taken by anybody.
sub buffered { return $_[0]{buf} }

sub local_port { return $_[0]{sock}->sockport }

# True once the peer has reset the connection.
sub was_reset { return $_[0]{reset} }

# ---------------------------------------------------------------- writing --

# write($bytes): all of it, within the timeout.  Returns the number of bytes
# that went out: fewer if the peer closed or stopped reading.

sub write {
    my ($self, $bytes, $timeout) = @_;
    my $deadline = time + $self->_seconds($timeout);
    my $sent = 0;
    local $SIG{PIPE} = 'IGNORE';

    while ($sent < length $bytes) {
        last unless $self->{sock};
        my $n = syswrite($self->{sock}, $bytes, length($bytes) - $sent,
            $sent);

        if (defined $n) {
            $sent += $n;
            next;
        }
        if (!$!{EAGAIN} && !$!{EINTR}) {
            $self->{reset} = 1 if $!{ECONNRESET};
            last;
        }
        last unless $self->_wait('w', $deadline);
    }
    return $sent;
}

# write_slowly($bytes, $size, $pause): in pieces of $size (1) bytes, each in
# a segment of its own as far as TCP allows.

sub write_slowly {
    my ($self, $bytes, $size, $pause) = @_;
    $size ||= 1;
    my $sent = 0;

    while ($sent < length $bytes) {
        my $piece = substr($bytes, $sent, $size);
        my $n = $self->write($piece);
        $sent += $n;
        last if $n < length $piece;
        sleep($pause) if $pause;
    }
    return $sent;
}

sub write_bytewise { return write_slowly($_[0], $_[1], 1, $_[2]) }

# format_request(%options): the bytes of a request.
#   method (GET), path (/), version (1.1), host (localhost; undef: none)
#   headers => [ name => value, ... ], header => "Name: value" or a list of
#   body => text, chunked => 1 | [ pieces ], trailers => [ name => value ]
#   keepalive => 1: no "Connection: close"

sub format_request {
    my (undef, %o) = @_;
    my $version = $o{version} // '1.1';
    my @pairs = ref $o{headers} eq 'HASH' ? %{ $o{headers} }
        : @{ $o{headers} // [] };
    my @lines = ref $o{header} ? @{ $o{header} }
        : defined $o{header} ? split(/\r?\n/, $o{header}) : ();

    while (@pairs) {
        my ($name, $value) = splice(@pairs, 0, 2);
        push @lines, "$name: $value";
    }

    my $given = join("\n", '', @lines);
    my $has = sub { $given =~ /\n\Q$_[0]\E[ \t]*:/i };
    my @head;
    push @head, 'Host: ' . ($o{host} // 'localhost')
        if !$has->('Host') && (!exists $o{host} || defined $o{host});
    push @head, 'Connection: close'
        if !$o{keepalive} && $version ne '1.0' && !$has->('Connection');
    push @head, 'Connection: keep-alive'
        if $o{keepalive} && $version eq '1.0' && !$has->('Connection');
    push @head, @lines;

    my $body = '';

    if ($o{chunked}) {
        push @head, 'Transfer-Encoding: chunked'
            unless $has->('Transfer-Encoding');
        my @pieces = ref $o{chunked} ? @{ $o{chunked} }
            : length($o{body} // '') ? ($o{body}) : ();
        $body .= sprintf("%x\r\n%s\r\n", length, $_) for @pieces;
        $body .= "0\r\n";
        my @t = @{ $o{trailers} // [] };
        while (@t) {
            my ($name, $value) = splice(@t, 0, 2);
            $body .= "$name: $value\r\n";
        }
        $body .= "\r\n";

    } elsif (defined $o{body}) {
        push @head, 'Content-Length: ' . length $o{body}
            unless $has->('Content-Length');
        $body = $o{body};
    }

    my $line = join(' ', $o{method} // 'GET', $o{path} // '/',
        "HTTP/$version");
    return join("\r\n", $line, @head, '', '') . $body;
}

sub send_request {
    my ($self, %o) = @_;
    my $bytes = $self->format_request(keepalive => 1, %o);
    push @{ $self->{methods} }, $o{method} // 'GET';
    return $o{bytewise} ? $self->write_bytewise($bytes)
        : $self->write($bytes);
}

# request(%options): sends one request (keep-alive unless keepalive => 0)
# and reads its response.

sub request {
    my ($self, %o) = @_;
    $self->send_request(%o);
    return $self->read_response(
        (defined $o{timeout} ? (timeout => $o{timeout}) : ()));
}

sub get {
    my ($self, $path, %o) = @_;
    return $self->request(path => $path, %o);
}

# ---------------------------------------------------------------- reading --

sub _wait {
    my ($self, $how, $deadline) = @_;

    while ($self->{sock}) {
        # Looked at once more after the time is over: who looks may be slow.
        my $left = $deadline - time;
        $left = 0 if $left < 0;
        my $bits = '';
        vec($bits, fileno($self->{sock}), 1) = 1;
        my ($r, $w) = $how eq 'r' ? ($bits, undef) : (undef, $bits);
        my $n = select($r, $w, undef, $left);
        return 1 if $n > 0;
        return 0 if !$left;
    }
    return 0;
}

# _fill($deadline): reads once into the buffer.  The number of bytes, 0 at
# the end, undef if the deadline passed.

sub _fill {
    my ($self, $deadline) = @_;
    return 0 if $self->{eof} || !$self->{sock};

    while (1) {
        my $n = sysread($self->{sock}, $self->{buf}, 65536,
            length $self->{buf});

        if (defined $n) {
            $self->{eof} = 1 if $n == 0;
            return $n;
        }
        if (!$!{EAGAIN} && !$!{EINTR}) {
            $self->{eof} = 1;
            $self->{reset} = 1 if $!{ECONNRESET} || $!{EPIPE};
            return 0;
        }
        $self->_wait('r', $deadline) or return undef;
    }
}

# read_some($timeout): whatever comes first; '' at the end or the deadline.

sub read_some {
    my ($self, $timeout) = @_;
    $self->_fill(time + $self->_seconds($timeout))
        if $self->{buf} eq '';
    my $got = $self->{buf};
    $self->{buf} = '';
    return $got;
}

# read_bytes($n): exactly so many, or fewer at the end or the deadline.

sub read_bytes {
    my ($self, $n, $timeout) = @_;
    my $deadline = time + $self->_seconds($timeout);
    while (length $self->{buf} < $n) {
        $self->_fill($deadline) or last;
    }
    return substr($self->{buf}, 0, $n, '');
}

# read_until(qr/x/): up to and with the first match; everything that came if
# there is none before the end or the deadline.

sub read_until {
    my ($self, $re, $timeout) = @_;
    my $deadline = time + $self->_seconds($timeout);

    while (1) {
        if ($self->{buf} =~ $re) {
            return substr($self->{buf}, 0, $+[0], '');
        }
        $self->_fill($deadline) or last;
    }
    my $got = $self->{buf};
    $self->{buf} = '';
    return $got;
}

# read_all: to the end of the stream.

sub read_all {
    my ($self, $timeout) = @_;
    my $deadline = time + $self->_seconds($timeout);
    1 while $self->_fill($deadline);
    my $got = $self->{buf};
    $self->{buf} = '';
    return $got;
}

# eof($timeout): true if the peer closes (or resets) within the timeout and
# sends nothing before; what it sends stays in the buffer.

sub eof {
    my ($self, $timeout) = @_;
    return 0 if length $self->{buf};
    return 1 if $self->{eof};
    my $n = $self->_fill(time + $self->_seconds($timeout));
    return defined $n && $n == 0 ? 1 : 0;
}

# silent($seconds): true if nothing comes and the peer does not close.

sub silent {
    my ($self, $seconds) = @_;
    return 0 if length $self->{buf} || $self->{eof};
    return !defined $self->_fill(time + ($seconds // 0.2));
}

sub _line {
    my ($self, $deadline, $res) = @_;
    my $from = 0;

    while (1) {
        my $i = index($self->{buf}, "\n", $from);
        if ($i >= 0) {
            my $line = substr($self->{buf}, 0, $i + 1, '');
            $res->{raw} .= $line;
            $line =~ s/\r\n\z//
                or $res->_bad("a line ends in a bare LF: $line");
            return $line;
        }
        $from = length $self->{buf};
        my $n = $self->_fill($deadline);
        if (!$n) {
            $res->_bad(defined $n ? 'the connection ended too early'
                : 'timed out');
            $res->{raw} .= $self->{buf};
            $self->{buf} = '';
            return undef;
        }
    }
}

sub _fields {
    my ($self, $deadline, $res, $list) = @_;

    while (1) {
        my $line = $self->_line($deadline, $res);
        return 0 unless defined $line;
        return 1 if $line eq '';
        if ($line =~ /^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\z/s)
        {
            push @$list, [ $1, $2 ];
        } else {
            $res->_bad("malformed header line: $line");
        }
    }
}

# _body_bytes: $n bytes of body (undef: to the end).

sub _body_bytes {
    my ($self, $deadline, $res, $n) = @_;

    while (!defined $n || length $self->{buf} < $n) {
        my $got = $self->_fill($deadline);
        next if $got;
        $res->_bad('timed out in the body') unless defined $got;
        $res->_bad('the connection ended in the body')
            if defined $got && defined $n;
        last;
    }
    my $take = defined $n && $n < length $self->{buf} ? $n
        : length $self->{buf};
    my $piece = substr($self->{buf}, 0, $take, '');
    $res->{raw} .= $piece;
    $res->{body} .= $piece;
    return !defined $n || $take == $n;
}

sub _chunked {
    my ($self, $deadline, $res) = @_;

    while (1) {
        my $line = $self->_line($deadline, $res);
        return unless defined $line;
        if ($line !~ /^([0-9a-f]{1,15})[ \t]*(;.*)?\z/i) {
            return $res->_bad("malformed chunk size: $line");
        }
        my $size = hex $1;
        last if $size == 0;
        push @{ $res->{chunks} }, $size;
        $self->_body_bytes($deadline, $res, $size) or return;
        $line = $self->_line($deadline, $res);
        return unless defined $line;
        return $res->_bad('no CRLF after a chunk') if $line ne '';
    }
    $self->_fields($deadline, $res, $res->{trailer_list}) or return;
    $res->{complete} = 1;
}

# read_response(%options): the next final response; 1xx ones before it are
# kept in ->informational (interim => 1 returns each of them instead).
#   method   what the request was (a HEAD has no body); known for requests
#            sent with send_request
#   head     => 1: stop after the header, leave the body in the stream
#   timeout

sub read_response {
    my ($self, %o) = @_;
    my $deadline = time + $self->_seconds($o{timeout});
    my @interim;
    my $method = $o{method} // shift @{ $self->{methods} // [] } // 'GET';

    while (1) {
        my $res = Test::Veil::HTTP1::Response->new;
        $res->{interim} = [@interim];
        my $line = $self->_line($deadline, $res);
        return $res unless defined $line;

        if ($line =~ m{^HTTP/(\d\.\d) (\d{3})(?: (.*))?\z}) {
            @$res{qw/version status reason/} = ($1, $2, $3 // '');
        } else {
            $res->_bad("malformed status line: $line");
            $self->_body_bytes($deadline, $res, undef);
            return $res;
        }
        $self->_fields($deadline, $res, $res->{header_list})
            or return $res;

        my $status = $res->{status};
        if ($status < 200 && $status != 101) {
            $res->{complete} = 1;
            push @interim, $res;
            if ($o{interim}) {
                unshift @{ $self->{methods} }, $method;
                return $res;
            }
            next;
        }
        return $res if $o{head};
        $self->_read_body($deadline, $res, $method);
        return $res;
    }
}

sub _read_body {
    my ($self, $deadline, $res, $method) = @_;
    my $status = $res->{status};

    if ($method eq 'HEAD' || $status == 101 || $status == 204
        || $status == 304 || ($method eq 'CONNECT' && $status < 300))
    {
        $res->{complete} = 1;
        return;
    }

    my @te = $res->headers_all('Transfer-Encoding');
    my @cl = $res->headers_all('Content-Length');
    $res->_bad('both Content-Length and Transfer-Encoding') if @te && @cl;
    $res->_bad('more than one Content-Length') if @cl > 1;

    if (@te) {
        if (lc $te[0] ne 'chunked' || @te > 1) {
            return $res->_bad("unknown transfer coding: @te");
        }
        return $self->_chunked($deadline, $res);
    }
    if (@cl) {
        return $res->_bad("malformed Content-Length: $cl[0]")
            if $cl[0] !~ /^\d+\z/;
        $res->{complete} = 1
            if $self->_body_bytes($deadline, $res, $cl[0]);
        return;
    }
    $self->_body_bytes($deadline, $res, undef);
    $res->{complete} = 1 if $self->{eof} && !$self->{reset};
    $res->_bad('the connection was reset in the body') if $self->{reset};
}

# ---------------------------------------------------------------- closing --

sub shutdown {
    my ($self) = @_;
    CORE::shutdown($self->{sock}, SHUT_WR) if $self->{sock};
}

# abort: closes with a reset.

sub abort {
    my ($self) = @_;
    setsockopt($self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0))
        if $self->{sock};
    $self->close;
}

sub close {
    my ($self) = @_;
    my $s = delete $self->{sock} or return;
    CORE::close($s);
    $self->{eof} = 1;
}

package Test::Veil::HTTP1::Response;

# A response prints as the bytes that came, so that like($r, qr/ 200 /) and
# like($r, qr/^X-A: b\r$/m) read well.

use overload '""' => sub { $_[0]{raw} }, 'bool' => sub { 1 },
    fallback => 1;

sub new {
    my ($class) = @_;
    return bless {
        raw          => '',
        version      => '',
        status       => 0,
        reason       => '',
        body         => '',
        header_list  => [],
        trailer_list => [],
        interim      => [],
        chunks       => [],
        complete     => 0,
        error        => '',
        rest         => '',
    }, $class;
}

sub _bad {
    my ($self, $why) = @_;
    $self->{error} = $why unless length $self->{error};
    return;
}

sub raw      { return $_[0]{raw} }
sub version  { return $_[0]{version} }
sub status   { return $_[0]{status} }
sub reason   { return $_[0]{reason} }
sub body     { return $_[0]{body} }

# True if the response arrived whole and well framed.
sub complete { return $_[0]{complete} && $_[0]{error} eq '' ? 1 : 0 }

# What was wrong, or ''.
sub error { return $_[0]{error} }

# Bytes that followed the response before the connection closed.
sub rest { return $_[0]{rest} }

# Sizes of the chunks received.
sub chunks { return @{ $_[0]{chunks} } }

# The 1xx responses that came before.
sub informational { return @{ $_[0]{interim} } }

sub _all {
    my ($list, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @$list;
}

# All values of a header, in order.
sub headers_all { return _all($_[0]{header_list}, $_[1]) }

# A header's value, several joined by ", "; undef without any.
sub header {
    my @v = _all($_[0]{header_list}, $_[1]);
    return @v ? join(', ', @v) : undef;
}

# Names of the headers in order, as sent.
sub header_names { return map { $_->[0] } @{ $_[0]{header_list} } }

# The trailer fields: { name in lower case => value }.
sub trailers {
    my ($self) = @_;
    return { map { (lc $_->[0], $_->[1]) } @{ $self->{trailer_list} } };
}

sub trailer {
    my @v = _all($_[0]{trailer_list}, $_[1]);
    return @v ? join(', ', @v) : undef;
}

1;
