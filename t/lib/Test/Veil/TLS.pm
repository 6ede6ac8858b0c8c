package Test::Veil::TLS;

# Test::Veil::TLS -- certificates and TLS clients of a test.
#
#     my $t = Test::Veil->new->has('ssl');
#     my $tls = Test::Veil::TLS->new($t);
#     $tls->ca('root');
#     $tls->cert('site', ca => 'root', names => ['example.com']);
#     $t->config(... ssl_certificate %%TESTDIR%%/site.crt; ...)->run;
#
#     my $r = $tls->s_client(port => 443, ca => 'root', tls => '1.3');
#     is($r->protocol, 'TLSv1.3');
#     like($r->response, qr/ 200 /);
#
# Every client is a process of its own: the openssl command, curl, Python's
# ssl module, Chromium.  So no other TLS library gets into the test, and what
# is tested is what people use.  Certificates: Test::Veil::Certs.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use IO::Select;
use JSON::PP ();
use POSIX ();
use Socket qw/AF_UNIX SOCK_STREAM PF_UNSPEC/;
use Time::HiRes qw/time sleep/;

use Test::Veil::Certs;
use Test::Veil::Guard;
use Test::Veil::HTTP1;

our @ISA = ('Test::Veil::Certs');

our $lib = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

# new($t): for a server; files go to its directory, ports are its ports.

sub new {
    my ($class, $t) = @_;
    return bless {
        t       => $t,
        dir     => $t->testdir,
        issuer  => {},
        kept    => {},
        runs    => 0,
        timeout => $t->{timeout},
    }, $class;
}

sub _port {
    my ($self, $port) = @_;
    return $self->{t}->_number($port);
}

# ------------------------------------------------------------- processes --

sub _which {
    my ($name) = @_;
    return $name if $name =~ m{/} && -x $name;
    for my $dir (split(/:/, $ENV{PATH}), '/usr/bin') {
        return "$dir/$name" if -x "$dir/$name" && !-d _;
    }
    return undef;
}

# run_command([ program, @arguments ], %options): to its end, in the test's
# directory.  { status, out, err, timed_out }; a client that is still there
# at the deadline is killed, with what it said so far.
#   stdin      text for its standard input, which then stays open
#   timeout    seconds
#   until      qr/x/: it is ended when its output has this
#   env        { NAME => value }

sub run_command {
    my ($self, $command, %o) = @_;
    my $n = ++$self->{runs};
    my ($out, $err) = map {"$self->{dir}/client.$n.$_"} qw/out err/;
    pipe(my $in, my $feed) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        close $feed;
        open STDIN, '<&', $in or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDOUT, '>', $out or POSIX::_exit(126);
        open STDERR, '>', $err or POSIX::_exit(126);
        chdir $self->{dir};
        @ENV{ keys %{ $o{env} } } = values %{ $o{env} } if $o{env};
        { exec { $command->[0] } @$command };
        POSIX::_exit(127);
    }
    close $in;
    Test::Veil::Guard::add($pid);
    my $status = $self->_feed_and_wait($pid, $feed, $out, %o);
    Test::Veil::Guard::remove($pid);

    return {
        status => !defined $status ? -1 : $status >> 8 || $status & 127,
        timed_out => defined $status ? 0 : 1,
        out => $self->_slurp("client.$n.out"),
        err => $self->_slurp("client.$n.err"),
    };
}

sub _feed_and_wait {
    my ($self, $pid, $feed, $out, %o) = @_;
    my $deadline = time + (defined $o{timeout}
        ? Test::Veil::HTTP1::patient($o{timeout}) : $self->{timeout});
    my $text = $o{stdin} // '';
    my $nap = 0.001;
    local $SIG{PIPE} = 'IGNORE';

    $feed->blocking(0);
    close $feed unless defined $o{stdin};
    while (1) {
        if (length $text) {
            my $n = syswrite $feed, $text;
            $text = defined $n ? substr($text, $n) : $!{EAGAIN} ? $text : '';
        }
        return $? if waitpid($pid, POSIX::WNOHANG()) == $pid;
        my $done = $o{until}
            && $self->_slurp(File::Basename::basename($out)) =~ $o{until};
        if ($done || time > $deadline) {
            kill 'TERM', -$pid;
            sleep 0.005 for 1 .. 3;
            kill 'KILL', -$pid;
            waitpid $pid, 0;
            return $done ? 0 : undef;
        }
        sleep $nap;
        $nap = 0.01 if ($nap *= 1.5) > 0.01;
    }
}

# ------------------------------------------------------- openssl s_client --

# Options that all of the clients have, where they can:
#   port, host (127.0.0.1), name (the server's, for SNI; undef for none)
#   ca         name of an authority: verify against it
#   cert       name of a client's certificate
#   tls        '1.2' or '1.3' only
#   alpn       'h2,http/1.1'
#   ciphers    of TLS 1.2;  suites  of TLS 1.3;  groups;  sigalgs

sub _s_client_args {
    my ($self, %o) = @_;
    my @a = ('-connect',
        ($o{host} // '127.0.0.1') . ':' . $self->_port($o{port}));
    my $name = exists $o{name} ? $o{name} : 'localhost';

    push @a, defined $name ? ('-servername', $name) : '-noservername';
    push @a, '-CAfile', $self->_pem($o{ca}),
        ($o{keep_bad} ? () : '-verify_return_error') if defined $o{ca};
    push @a, '-verify_hostname', $o{verify_name} if defined $o{verify_name};
    push @a, '-cert', $self->_pem($o{cert}), '-key',
        $self->path("$o{cert}.key"), '-cert_chain', $self->_pem($o{cert})
        if defined $o{cert};
    push @a, '-tls' . $o{tls} =~ tr/./_/r =~ s/^1_0\z/1/r if defined $o{tls};
    push @a, '-alpn', $o{alpn} if defined $o{alpn};
    push @a, '-cipher', $o{ciphers} if defined $o{ciphers};
    push @a, '-ciphersuites', $o{suites} if defined $o{suites};
    push @a, '-groups', $o{groups} if defined $o{groups};
    push @a, '-sigalgs', $o{sigalgs} if defined $o{sigalgs};
    push @a, '-sess_out', $self->path($o{sess_out}) if defined $o{sess_out};
    push @a, '-sess_in', $self->path($o{sess_in}) if defined $o{sess_in};
    push @a, '-status' if $o{status};
    return (@a, @{ $o{args} // [] });
}

# A name of a certificate, or a path of any file.
sub _pem {
    my ($self, $name) = @_;
    return $name =~ m{[/.]} ? $name =~ m{^/} ? $name : $self->path($name)
        : $self->path("$name.crt");
}

sub _request_bytes {
    my ($self, %o) = @_;
    return $o{request} if defined $o{request};
    my %about = map { exists $o{$_} ? ($_ => $o{$_}) : () }
        qw/method path headers header body chunked version/;
    return Test::Veil::HTTP1->format_request(
        host => $o{http_host} // $o{name} // 'localhost',
        keepalive => $o{keepalive}, %about);
}

# s_client(%options): one handshake and one request; a
# Test::Veil::TLS::Result.  Further options:
#   request     bytes instead of a request made of method, path, headers,
#               body; '' sends nothing, and the client stays until the server
#               closes, the timeout, or `until`
#   sess_out, sess_in   files a session is written to and taken from
#   early       bytes of early data (with sess_in); what is sent after the
#               handshake is then nothing, unless request is given
#   status => 1 asks for a staple
#   keep_bad => 1 goes on when the certificate is wrong
#   until       qr/x/ ends the client when its output has this
#   timeout, args => [ more arguments ]

sub s_client {
    my ($self, %o) = @_;
    my @args = $self->_s_client_args(%o);
    my $request = $o{early} && !defined $o{request} ? ''
        : $self->_request_bytes(%o);

    if (defined $o{early}) {
        push @args, '-early_data', $self->_put('early.data', $o{early});
    }
    # What it says is buffered, what the server says is not: by lines, they
    # stay in order.
    my $r = $self->run_command(
        [ qw/stdbuf -oL openssl s_client -ign_eof/, @args ],
        stdin => $request, map { ($_ => $o{$_}) } grep { exists $o{$_} }
            qw/timeout until/);
    return Test::Veil::TLS::Result->from_s_client($r, $o{method});
}

# connect(%options): a Test::Veil::HTTP1 on a TLS connection, with all it
# can: keep-alive, pieces, half-close, early ends.  The process between does
# the TLS; it is ended by the connection's close().

sub connect {
    my ($self, %o) = @_;
    my $n = ++$self->{runs};
    socketpair(my $mine, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!\n";
    my @args = $self->_s_client_args(%o);
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        POSIX::setsid();
        open STDIN, '<&', $its or POSIX::_exit(126);
        open STDOUT, '>&', $its or POSIX::_exit(126);
        close $mine;
        Test::Veil::Guard::in_child();
        open STDERR, '>', "$self->{dir}/client.$n.err"
            or POSIX::_exit(126);
        # It ends with its input, and a "Q" in it is data.
        { exec 'openssl', 's_client', '-quiet', '-no_ign_eof',
            '-nocommands', @args };
        POSIX::_exit(127);
    }
    close $its;
    Test::Veil::Guard::add($pid);
    Test::Veil::Guard::private($mine);
    push @{ $self->{tunnels} }, $pid;
    return Test::Veil::HTTP1->new(
        socket => $mine, timeout => $self->{timeout});
}

# get($path, %options): the response of one request over TLS, as a
# Test::Veil::HTTP1::Response.

sub get {
    my ($self, $path, %o) = @_;
    return $self->s_client(path => $path, %o)->response;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $Test::Veil::Guard::owner;
    local ($?, $!);
    for my $pid (@{ $self->{tunnels} // [] }) {
        kill 'KILL', -$pid;
        waitpid $pid, 0;
        Test::Veil::Guard::remove($pid);
    }
}

# -------------------------------------------------------------------- curl --

# curl($path, %options): { status (of the command), out (headers and body),
# err, code, version ('1.1'), connects (0: the connection was used again) };
# further options:
#   args => [ more arguments ]     also URLs, which go before

sub curl {
    my ($self, $path, %o) = @_;
    my $name = $o{name} // 'localhost';
    my $port = $self->_port($o{port});
    my @a = ('--silent', '--show-error', '--include', '--noproxy', '*',
        '--max-time', int($self->{timeout}) + 1,
        '--resolve', "$name:$port:127.0.0.1",
        '--write-out', "%{stderr}facts %{http_code} %{http_version}"
            . " %{ssl_verify_result} %{num_connects}\n");

    push @a, defined $o{ca} ? ('--cacert', $self->_pem($o{ca})) : '-k';
    push @a, '--cert', $self->_pem($o{cert}), '--key',
        $self->path("$o{cert}.key") if defined $o{cert};
    push @a, "--tlsv$o{tls}", '--tls-max', $o{tls} if defined $o{tls};
    push @a, '--ciphers', $o{ciphers} if defined $o{ciphers};
    push @a, '--tls13-ciphers', $o{suites} if defined $o{suites};
    push @a, '--curves', $o{groups} if defined $o{groups};
    push @a, $o{alpn} =~ /h2/ ? '--http2' : '--http1.1' if defined $o{alpn};
    push @a, @{ $o{args} // [] };
    my $r = $self->run_command([ 'curl', @a, "https://$name:$port$path" ]);
    # A line for each URL; the last one counts.
    @$r{qw/code version verify connects/} = ($1, $2, $3, $4)
        while $r->{err} =~ s/^facts (\d+) ([\d.]+) (-?\d+) (\d+)\n//m;
    return $r;
}

# ------------------------------------------------------------------ Python --

# python(%options): what tls_client.py says about one or several handshakes:
# a list of { version, cipher, reused, alpn, response, error, ... }.  Further
# options:
#   times      handshakes (1), each resuming the session of the one before
#   requests   for each connection ([ one GET of path ])
#   tls12_resumption, ... see the script

sub python {
    my ($self, %o) = @_;
    my %ask = (
        host => $o{host} // '127.0.0.1',
        port => $self->_port($o{port}) + 0,
        name => exists $o{name} ? $o{name} : 'localhost',
        times => ($o{times} // 1) + 0,
        timeout => $self->{timeout} + 0,
        requests => $o{requests}
            // [ $self->_request_bytes(keepalive => 1, %o) ],
    );
    $ask{ca} = $self->_pem($o{ca}) if defined $o{ca};
    if (defined $o{cert}) {
        $ask{cert} = $self->_pem($o{cert});
        $ask{key} = $self->path("$o{cert}.key");
    }
    for my $k (qw/tls ciphers alpn check_name/) {
        $ask{$k} = $o{$k} if defined $o{$k};
    }
    my $file = $self->_put('python.json', JSON::PP::encode_json(\%ask));
    my $r = $self->run_command([ 'python3', "$lib/tls_client.py", $file ]);
    my $got = eval { JSON::PP::decode_json($r->{out}) };
    return $got ? @$got : ({ error => "$r->{err}$r->{out}" });
}

# ---------------------------------------------------------------- Chromium --

# chromium($path, %options): loads a page in headless Chromium.  { out: the
# document, err, netlog: text, timed_out }; undef if there is no Chromium.
#   cert       name of the server's certificate, whose key it will accept
#   name, port
#   args => [ more arguments ]
#   real_time => 1: the document is written when the page is loaded; else when
#     it has come to rest, of which streams know nothing

sub has_chromium { return defined _which('chromium') }

sub chromium {
    my ($self, $path, %o) = @_;
    my $program = _which('chromium') // return undef;
    my $name = $o{name} // 'localhost';
    my $port = $self->_port($o{port});
    my $home = $self->path('chromium-' . ++$self->{runs});
    File::Path::make_path($home);

    my $r = $self->run_command([
        $program, qw/--headless=new --no-sandbox --disable-gpu
            --disable-dev-shm-usage --no-first-run --disable-extensions
            --disable-background-networking --disable-sync
            --disable-component-update --no-default-browser-check/,
        $o{real_time} ? () : '--virtual-time-budget=5000',
        "--user-data-dir=$home",
        '--ignore-certificate-errors-spki-list=' . $self->spki($o{cert}),
        "--host-resolver-rules=MAP $name 127.0.0.1, MAP * ~NOTFOUND ,"
            . ' EXCLUDE 127.0.0.1',
        "--log-net-log=$home/net.json", '--net-log-capture-mode=Everything',
        @{ $o{args} // [] }, '--dump-dom', "https://$name:$port$path",
    ], timeout => $o{timeout} // 30, env => {
        HOME => $home, XDG_CONFIG_HOME => $home, XDG_CACHE_HOME => $home,
        DBUS_SESSION_BUS_ADDRESS => 'disabled:' });
    # It misses a desktop, at length.
    $r->{err} = join '', grep { !/dbus/ } split /^/, $r->{err};
    $r->{netlog} = '';
    if (open my $f, '<', "$home/net.json") {
        local $/;
        $r->{netlog} = <$f> // '';
    }
    File::Path::remove_tree($home, { error => \my $e });
    return $r;
}

# ------------------------------------------------------------- raw records --

# record($type, $bytes, $version): one record; of the types 20 change cipher,
# 21 alert, 22 handshake, 23 data.

sub record {
    my ($self, $type, $bytes, $version) = @_;
    return pack 'Cnn/a*', $type, $version // 0x0303, $bytes;
}

# client_hello(%options): the handshake message (no record around it) of a
# client of TLS 1.2 and 1.3 whose secret nobody knows: enough for a server to
# answer, and to stop there.
#   name       SNI ('localhost'; undef: none)
#   versions   [ 0x0304, 0x0303 ]
#   legacy     version field (0x0303)
#   ciphers    [ numbers ]
#   alpn       [ names ]
#   ext        more bytes of extensions
#   pad        bytes of padding

sub client_hello {
    my ($self, %o) = @_;
    my $name = exists $o{name} ? $o{name} : 'localhost';
    my $ext = sub { pack 'nn/a*', @_ };
    my $random = sub { join '', map { chr int rand 256 } 1 .. $_[0] };
    my @ciphers = @{ $o{ciphers}
        // [ 0x1301, 0x1303, 0xc02b, 0xc02f, 0xc030, 0xc02c ] };
    my $versions = $o{versions} // [ 0x0304, 0x0303 ];

    my $e = '';
    $e .= $ext->(0, pack 'n/a*', pack 'Cn/a*', 0, $name) if defined $name;
    $e .= $ext->(10, pack 'n/a*', pack 'n*', 29, 23);
    $e .= $ext->(11, "\1\0");
    $e .= $ext->(13, pack 'n/a*',
        pack 'n*', 0x0403, 0x0804, 0x0401, 0x0503, 0x0805);
    $e .= $ext->(16, pack 'n/a*', join '', map { pack 'C/a*', $_ }
        @{ $o{alpn} }) if $o{alpn};
    if (@$versions) {
        $e .= $ext->(43, pack 'C/a*', pack 'n*', @$versions);
        $e .= $ext->(45, "\1\1");
        $e .= $ext->(51, pack 'n/a*', pack 'nn/a*', 29, $random->(32));
    }
    $e .= $ext->(21, "\0" x $o{pad}) if $o{pad};
    $e .= $o{ext} // '';

    my $body = pack('n', $o{legacy} // 0x0303) . $random->(32)
        . pack('C/a*', $random->(32))
        . pack('n/a*', pack 'n*', @ciphers) . "\1\0" . pack('n/a*', $e);
    return "\1" . substr(pack('N', length $body), 1) . $body;
}

package Test::Veil::TLS::Result;

# What s_client said: the facts of the session, and the response among them.

sub _fact {
    my ($text, $re) = @_;
    return $text =~ $re ? $1 : '';
}

sub from_s_client {
    my ($class, $r, $method) = @_;
    my $out = $r->{out};
    my $self = bless { %$r }, $class;

    # TLS 1.3 tickets come when they come, between the bytes of the server.
    my @tickets;
    push @tickets, $1 while $out =~ s/(?:^|(?<=\n))---\n
        (Post-Handshake\ New\ Session\ Ticket\ arrived:\n.*?\n)---\n
        read\ R\ BLOCK\n//xs;
    $self->{tickets} = \@tickets;

    my $data = '';
    if ($out =~ m{^(?=HTTP/1\.)}m) {
        $data = substr $out, $+[0];
        $out = substr $out, 0, $+[0];
        # Its last word, after the data of the server.
        $data =~ s/(?:closed|read:errno=\d+)\n\z//;
    }
    $self->{data} = $data;
    $self->{facts} = $out;

    ($self->{reused}, $self->{protocol}, $self->{cipher})
        = ($1 eq 'Reused' ? 1 : 0, $2, $3)
        if $out =~ /^(New|Reused), (\S+), Cipher is (\S+)/m;
    $self->{protocol} = $1 if $out =~ /^ *Protocol *: (\S+)/m;
    $self->{cipher} = '' if ($self->{cipher} // '') eq '(NONE)';
    $self->{connected} = length($self->{cipher} // '') ? 1 : 0;
    $self->{verify_code} = _fact($out, qr/^ *Verify return code: (\d+)/m);
    $self->{verify} = _fact($out, qr/^ *Verify return code: \d+ \((.*)\)/m);
    $self->{alpn} = _fact($out, qr/^ALPN protocol: (.*)/m);
    $self->{group} = _fact($out,
        qr/^(?:Server Temp Key|Peer Temp Key): (?:ECDH, )?([\w-]+)/m)
        || _fact($out, qr/^Negotiated TLS1.3 group: (\S+)/m);
    $self->{early} = _fact($out, qr/^Early data was (.*)/m);
    $self->{ocsp} = $out =~ /^OCSP response: no response sent/m ? 'none'
        : _fact($out, qr/^ *Cert Status: (\S+)/m)
        || _fact($out, qr/^ *OCSP Response Status: (\S+)/m);
    $self->{subject} = _fact($out, qr/^subject=(.*)/m);
    $self->{issuer} = _fact($out, qr/^issuer=(.*)/m);
    $self->{depth} = () = $out =~ /^ ?\d+ s:/mg;
    $self->{ticket_hint} = _fact($out . join('', @tickets),
        qr/TLS session ticket lifetime hint: (\d+)/);
    $self->{alert} = _fact($r->{err}, qr/alert ([a-z ]+?)(?: *:|\n)/)
        =~ s/ number \d+.*//r;
    my $names = _fact($out,
        qr/^Acceptable\ client\ certificate\ CA\ names\n((?:\S.*\n)*?)
            (?=Requested|Client\ Certificate|Shared|---)/mx);
    $self->{ca_names} = [ split /\n/, $names ];

    # A Test::Veil::HTTP1 that has read everything already.
    my $c = bless { buf => $data, eof => 1, timeout => 1,
        methods => [ $method // 'GET' ] }, 'Test::Veil::HTTP1';
    $self->{response} = $c->read_response;
    $self->{response}{rest} = $c->buffered;
    return $self;
}

# protocol 'TLSv1.3', cipher, reused, connected, verify_code 0, verify 'ok',
# alpn, group, early ('accepted', 'rejected', 'not sent'), ocsp ('none',
# 'good', 'revoked'), subject, issuer, depth (certificates sent), alert (text
# of the server's, as OpenSSL has it), ca_names, tickets, ticket_hint,
# response, data (all bytes of the server), out and err, status, timed_out.

for my $name (qw/protocol cipher reused connected verify_code verify alpn
    group early ocsp subject issuer depth alert ca_names tickets ticket_hint
    response data facts out err status timed_out/)
{
    no strict 'refs';
    *$name = sub { return $_[0]{$name} // '' };
}

1;
