package Test::Veil::Control;

# Test::Veil::Control -- a client of the control socket.
#
#     my $c = Test::Veil::Control->new($t);           # or (path => ...)
#     my $answer = $c->ask('ping');                   # the whole reply
#     my $data = $c->data('status', workers => JSON::PP::true);
#     my $n = $c->metric('veil_http_requests_total', protocol => 'http/1.1');
#     $c->send({ verb => 'events' });  my $line = $c->next;
#
# Lines with "progress" or "line" are kept in $c->{lines} by ask().

use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP ();
use Test::Veil::HTTP1;
use Time::HiRes qw/time sleep/;

my $json = JSON::PP->new->canonical->allow_nonref;

# The file is there a moment before somebody listens; and that of a master that
# was killed until another one has its own.

sub _connect {
    my ($t, $path) = @_;
    my $end = time + Test::Veil::HTTP1::patient(5);
    while (1) {
        my $s = IO::Socket::UNIX->new(Peer => $path // socket_path($t) // '');
        return $s if $s || time > $end || (defined $path && !-S $path);
        sleep 0.01;
    }
}

# socket_path($t): where a server of Test::Veil has it: beside its pid file.

sub socket_path {
    my ($t) = @_;
    my ($path) = glob($t->testdir . '/*.sock ' . $t->testdir . '/*/*.sock');
    return $path;
}

# new($t), new(t => $t, patience => seconds), new(path => $path): undef when
# nobody listens.

sub new {
    my ($class, @what) = @_;
    my %o = @what == 1 ? (t => $what[0]) : @what;
    my $s = _connect(@o{qw/t path/}) or return;
    my $self = { socket => $s, buf => '', id => 0, lines => [],
        patience => Test::Veil::HTTP1::patient($o{patience} // 20) };
    return bless $self, $class;
}

# put($bytes): as they are.

sub put {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    return $self->{socket}->syswrite($bytes);
}

sub send {
    my ($self, $request) = @_;
    return $self->put($json->encode($request) . "\n");
}

# JSON::PP takes seconds for some megabytes.  A text that is so long, and the
# last thing in its line, is taken out before.

my %escaped = (n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");

sub _decode {
    my ($line) = @_;
    my $from = length $line < 1_000_000 ? -1 : index $line, '"text":"';
    my $to = rindex $line, '"';
    return $json->decode($line)
        if $from < 0 || substr($line, $to) !~ /\A"\}\}\z/;
    $from += length '"text":"';
    my $text = substr $line, $from, $to - $from, '';
    my $reply = $json->decode($line);
    $text =~ s{\\(?:u([0-9a-fA-F]{4})|(.))}
        {defined $1 ? chr hex $1 : $escaped{$2} // $2}ge;
    $reply->{data}{text} = $text;
    return $reply;
}

# next: the next line, decoded; undef at the end or after the time.  A time
# that is given is as long on any machine: it is to see that nothing comes.

sub next {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // $self->{patience});
    until ($self->{buf} =~ /\n/) {
        my $left = $end - time;
        my $in = '';
        vec($in, fileno $self->{socket}, 1) = 1;
        return if $left <= 0 || !select $in, undef, undef, $left;
        if (!sysread $self->{socket}, $self->{buf}, 65536,
            length $self->{buf}) {
            $self->{ended} = 1;
            return;
        }
    }
    $self->{buf} =~ s/\A([^\n]*)\n//;
    $self->{raw} = $1;
    return _decode($1);
}

# ask($verb, [{members},] arg => value, ...): the reply.

sub ask {
    my ($self, $verb, @args) = @_;
    my $members = ref $args[0] ? shift @args : {};
    my $id = ++$self->{id};
    $self->send({ id => $id, verb => $verb, args => {@args}, %$members });
    while (defined(my $reply = $self->next)) {
        next if ref $reply ne 'HASH';
        next if defined $reply->{id} && $reply->{id} ne $id;
        return $reply if exists $reply->{ok};
        push @{$self->{lines}}, $reply;
    }
    return { ok => undef, err => { code => 'NONE', msg => 'no reply' } };
}

# data(...): of the reply; dies with the error if there is one.

sub data {
    my ($self, $verb, @args) = @_;
    my $reply = $self->ask($verb, @args);
    return $reply->{data} if $reply->{ok};
    die "$verb: $reply->{err}{code}: $reply->{err}{msg}\n";
}

# code(...): of the error; "" when there is none.

sub code {
    my ($self, $verb, @args) = @_;
    my $reply = $self->ask($verb, @args);
    return $reply->{ok} ? '' : $reply->{err}{code} // '?';
}

# metric($name, label => value, ...): the first that has these labels; a
# histogram as a whole.

sub metric {
    my ($self, $name, %labels) = @_;
    my $m = $self->data('metrics', match => $name);
    for my $v (@{ $m->{$name}{values} }) {
        return $v->{value} // $v unless grep {
            ($v->{labels}{$_} // '') ne $labels{$_} } keys %labels;
    }
    return;
}

# within($is, $verb, [{members},] arg => value, ...): the reply to a call whose
# time will be up, as a process that is asked does not answer.  It is given more
# time, and then more, until $is->($reply): until all others have answered.  How
# much it was and how long it took is in {timeout} and {took}, in seconds.

sub within {
    my ($self, $is, $verb, @args) = @_;
    my $members = ref $args[0] ? shift @args : {};
    my $reply;
    for my $seconds (0.4, 2, 10) {
        my $begun = time;
        $self->{timeout} = $seconds;
        $reply = $self->ask($verb, { %$members, timeout => $seconds }, @args);
        $self->{took} = time - $begun;
        last if $is->($reply);
    }
    return $reply;
}

# eof: the server ends the connection, without another word.

sub eof {
    my ($self) = @_;
    return 0 if defined $self->next;
    return $self->{ended} && $self->{buf} eq '' ? 1 : 0;
}

sub close { return $_[0]{socket}->close }

1;
