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

# The socket of a master that was killed is there until another one has its
# own.

sub _connect_to {
    my ($t) = @_;
    my $end = time + Test::Veil::HTTP1::patient(5);
    while (1) {
        my $path = socket_path($t) // '';
        my $s = IO::Socket::UNIX->new(Peer => $path);
        return $s if $s || time > $end;
        sleep 0.01;
    }
}

# socket_path($t): where a server of Test::Veil has it: beside its pid file.

sub socket_path {
    my ($t) = @_;
    my ($path) = glob($t->testdir . '/*.sock ' . $t->testdir . '/*/*.sock');
    return $path;
}

sub new {
    my ($class, @what) = @_;
    my %o = @what == 1 ? (t => $what[0]) : @what;
    my $s = defined $o{path} ? IO::Socket::UNIX->new(Peer => $o{path})
        : _connect_to($o{t});
    return if !$s;
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

# next: the next line, decoded; undef at the end or after the time.

sub next {
    my ($self, $patience) = @_;
    my $end = time + ($patience // $self->{patience});
    until ($self->{buf} =~ /\n/) {
        my $left = $end - time;
        my $in = '';
        vec($in, fileno $self->{socket}, 1) = 1;
        return if $left <= 0 || !select $in, undef, undef, $left;
        return if !sysread $self->{socket}, $self->{buf}, 65536,
            length $self->{buf};
    }
    $self->{buf} =~ s/\A([^\n]*)\n//;
    $self->{raw} = $1;
    return $json->decode($1);
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

sub eof {
    my ($self, $patience) = @_;
    return !defined $self->next(Test::Veil::HTTP1::patient($patience // 5))
        && $self->{buf} eq '';
}

sub close { return $_[0]{socket}->close }

1;
