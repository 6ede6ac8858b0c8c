package Test::Veil::HTTP2;

# Test::Veil::HTTP2 -- a client of HTTP/2 that sends frames as it is told.
#
#     use Test::Veil::HTTP2 qw/:all/;
#     my $c = Test::Veil::HTTP2->connect($t->port(80));
#     $c->put(get(1, '/'));                  # a head on stream 1
#     $c->drain(5, sub { $c->count(DATA) });
#     is($c->goaway, 'none', 'all is well');
#
# It follows no rule of the protocol by itself: no window is opened, nothing
# is acknowledged after the first SETTINGS.  For tests of what a client must
# not do; lib/h2_raw.py is one that behaves, and decodes what it gets.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Select;
use IO::Socket::INET;
use Test::Veil::HTTP1;
use Time::HiRes qw/time/;

use constant { DATA => 0, HEADERS => 1, PRIORITY => 2, RST => 3,
    SETTINGS => 4, PING => 6, GOAWAY => 7, WINDOW => 8, CONT => 9,
    ALTSVC => 10, ORIGIN => 12, PRIORITY_UPDATE => 16 };

our @EXPORT_OK = qw/DATA HEADERS PRIORITY RST SETTINGS PING GOAWAY WINDOW CONT
    ALTSVC ORIGIN PRIORITY_UPDATE frame str field head get post/;
our %EXPORT_TAGS = (all => \@EXPORT_OK);

# --- frames

sub frame {
    my ($type, $flags, $id, $payload) = @_;
    $payload //= '';
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload;
}

# HPACK: literal without indexing, a new name.
sub str {
    my ($s) = @_;
    my $n = length $s;
    return chr($n) . $s if $n < 127;
    my $out = chr 127;
    $n -= 127;
    while ($n >= 128) {
        $out .= chr($n % 128 + 128);
        $n = int($n / 128);
    }
    return $out . chr($n) . $s;
}

sub field { return "\0" . str($_[0]) . str($_[1]) }

sub head {
    my ($path, %o) = @_;
    return field(':method', $o{method} // 'GET') . field(':scheme', 'http')
        . field(':path', $path) . field(':authority', 'a');
}

sub get { return frame(HEADERS, 5, $_[0], head($_[1] // '/small')) }

sub post { return frame(HEADERS, 4, $_[0],
    head($_[1] // '/small', method => 'POST')) }

# --- a connection

# %o: settings => bytes, ack => 0 sends no acknowledgment of SETTINGS,
# first => bytes that go with the preface.
sub connect {
    my ($class, $port, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!";
    $s->blocking(0);
    my $c = bless { s => $s, in => '', frames => [], eof => 0 }, $class;
    $c->put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, $o{settings})
        . ($o{ack} // 1 ? frame(SETTINGS, 1, 0) : '') . ($o{first} // ''));
    return $c;
}

sub take {
    my ($c) = @_;
    my $n = sysread $c->{s}, my $buf, 65536;
    $c->{eof} = 1 if defined $n ? $n == 0 : !$!{EAGAIN};
    $c->{in} .= $buf if $n;
    while (length $c->{in} >= 9) {
        my ($len, $type, $flags, $id) =
            unpack 'NCCN', "\0" . substr $c->{in}, 0, 9;
        last if length $c->{in} < 9 + $len;
        push @{$c->{frames}}, [$type, $flags, $id,
            substr $c->{in}, 9, $len];
        substr($c->{in}, 0, 9 + $len) = '';
    }
    return;
}

# Sends; reads meanwhile unless it is not to. False when the other end is
# gone, or nothing moves any more.
sub put {
    my ($c, $bytes, $deaf) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sel = IO::Select->new($c->{s});
    while (length $bytes && !$c->{eof}) {
        my ($r, $w) = IO::Select->select($deaf ? undef : $sel, $sel, undef,
            Test::Veil::HTTP1::patient(5));
        return 0 if !@{$w // []} && !@{$r // []};
        $c->take if @{$r // []};
        next if !@{$w // []};
        my $n = syswrite $c->{s}, $bytes;
        return 0 if !defined $n && !$!{EAGAIN};
        substr($bytes, 0, $n // 0) = '';
    }
    return !$c->{eof};
}

# Reads for so many seconds, or until what is waited for is there, which may
# take longer on a busy machine.
sub drain {
    my ($c, $seconds, $until) = @_;
    my $end = time
        + ($until ? Test::Veil::HTTP1::patient($seconds) : $seconds);
    my $sel = IO::Select->new($c->{s});
    while (!$c->{eof} && time < $end) {
        $c->take if $sel->can_read(0.05);
        return 1 if $until && $until->();
    }
    return 0;
}

# The error of its latest GOAWAY, or "none".
sub goaway {
    my ($c) = @_;
    my ($f) = grep { $_->[0] == GOAWAY } reverse @{$c->{frames}};
    return $f ? (unpack 'NN', $f->[3])[1] : 'none';
}

# Frames of a type that have come, of one stream or of all.
sub count {
    my ($c, $type, $id) = @_;
    return scalar grep { $_->[0] == $type && (!defined $id || $_->[2] == $id) }
        @{$c->{frames}};
}

sub close { my ($c) = @_; return close $c->{s} }

1;
