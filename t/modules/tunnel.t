#!/usr/bin/perl

# tunnel_pass: CONNECT over HTTP/1.1 and HTTP/2, to what clients name or to an
# address; what is no tunnel, and what must not look like one.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha1_base64 sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('tunnel', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 600_000;
my $echo = $t->upstream(echo => raw => sub {
    my ($conn) = @_;
    while (length(my $got = $conn->read_some)) {
        $conn->write($got);
    }
    $conn->note('end');
    $conn->write(': over');
    $conn->close;
});
$t->upstream(web => handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => length $req->{body} ? sha256_hex($req->{body})
        : $req->{path} eq '/big' ? $big : 'web');
});
# It speaks first, and ends first.
my $first = $t->upstream(first => raw => sub {
    my ($conn) = @_;
    $conn->write('first');
    $conn->shutdown;
    while (length(my $got = $conn->read_some)) {
        $conn->note("got $got");
    }
    $conn->note('end of the client');
});
# So do these, and tell what came then.  They take their time to read it.
my $all = sub {
    my ($conn) = @_;
    $conn->write('first');
    $conn->shutdown;
    select undef, undef, undef, 0.05;
    my $got = '';
    while (length(my $more = $conn->read_some)) {
        $got .= $more;
    }
    $conn->note('all ' . length($got) . ' ' . sha256_hex($got));
};
my $late = $t->upstream(late => raw => $all);
my $socket = $t->upstream(socket => raw => sub {
    my ($conn) = @_;
    my ($key) = $conn->read_until(qr/\r\n\r\n/) =~ /^sec-websocket-key: (\S+)/mi;
    $conn->write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        . "Connection: upgrade\r\nSec-WebSocket-Accept: "
        . sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
        . "=\r\n\r\n");
    $all->($conn);
});
# This one ends first, and then hears no more of it.
$t->upstream(quits => raw => sub {
    my ($conn) = @_;
    $conn->write('first');
    $conn->shutdown;
    $conn->read_some;
    $conn->reset;
});
$t->upstream(silent => raw => sub { $_[0]->wait_peer_close });
$t->config(<<'EOC');
http {
    log_format t '$request_method $request_uri $status $upstream_addr $server_protocol';
    access_log %%TESTDIR%%/t.log t;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        http2 on;
        server_name localhost;
        allow 127.0.0.1;
        deny all;
        tunnel_connect_timeout 30s;
        tunnel_pass;
        location /socket {
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://%%UPSTREAM_socket%%;
        }
        location /h2socket { proxy_pass http://%%UPSTREAM_socket%%; }
    }
    server {
        listen %%PORT_81%%;
        location / { tunnel_pass %%UPSTREAM_echo%%; }
    }
    server {
        listen %%PORT_82%%;
        location / { return 200 ok; }
    }
    server {
        listen %%PORT_83%%;
        return 200 ok;
    }
    server {
        listen %%PORT_84%%;
        location / { proxy_pass http://%%UPSTREAM_web%%; }
    }
    server {
        listen %%PORT_85%%;
        set $to %%UPSTREAM_echo%%;
        location / {
            deny 127.0.0.1;
            tunnel_pass $to;
        }
    }
    server {
        listen %%PORT_86%%;
        location / {
            tunnel_read_timeout 300ms;
            tunnel_pass %%UPSTREAM_silent%%;
        }
    }
    upstream two {
        server 127.0.0.1:%%PORTNUM_99%%;
        server %%UPSTREAM_echo%%;
    }
    server {
        listen %%PORT_87%%;
        tunnel_next_upstream_tries 2;
        location / { tunnel_pass two; }
    }
    server {
        listen %%PORT_89%%;
        location / {
            if ($request_uri = %%UPSTREAM_echo%%) {
                tunnel_pass %%UPSTREAM_echo%%;
            }
            proxy_pass http://%%UPSTREAM_web%%;
        }
    }
    server {
        listen %%PORT_88%%;
        error_page 405 /error;
        location = /error { return 200 error; }
        location / { root %%TESTDIR%%; }
    }
}
EOC
$t->run;

my %at = map { $_ => $t->expand("%%UPSTREAM_$_%%") } qw(echo web first late quits silent);
my $nobody = '127.0.0.1:' . $t->port(99);

# The head of the answer to CONNECT, and the connection.
sub ask {
    my ($port, $target, $more) = @_;
    my $c = $t->connect($port);
    $c->write("CONNECT $target HTTP/1.1\r\nHost: $target\r\n\r\n"
        . ($more // ''));
    my $head = $c->read_until(qr/\r\n\r\n/) // '';
    return ($head, $c);
}

my ($head, $c) = ask(80, $at{echo}, 'early ');
like($head, qr{^HTTP/1.1 200 }, 'a tunnel');
unlike($head, qr/^(content-length|transfer-encoding|connection):/mi,
    'its head has no body');
$c->write('bird');
is($c->read_bytes(10), 'early bird', 'bytes both ways, those with the head');
$c->shutdown;
is($c->read_all, ': over', 'the end of one side passes, the other goes on');
ok($echo->wait_note(qr/end/), 'and was seen');

($head, $c) = ask(80, $at{first});
is($c->read_bytes(5), 'first', 'the other side speaks first');
ok($c->eof, 'and ends first');
$c->write('still here');
ok($first->wait_note(qr/got still here/), 'the client goes on');
$c->close;
ok($first->wait_note(qr/end of the client/), 'to its own end');

# What the client sends with its end, when the other side has ended before.
sub arrives {
    my ($upstream, $sent) = @_;
    return $upstream->wait_note('all ' . length($sent) . ' '
        . sha256_hex($sent));
}
my $socket_head = "GET /socket HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
for my $how ('a tunnel', 'a WebSocket') {
    my $lost = 0;
    for my $size (200_001 .. 200_020, length $big) {
        if ($how eq 'a tunnel') {
            ($head, $c) = ask(80, $at{late});
        } else {
            $c = $t->connect(80);
            $c->write($socket_head);
            $head = $c->read_until(qr/\r\n\r\n/) // '';
        }
        $lost++ unless $head =~ / (200|101) / && $c->read_bytes(5) eq 'first'
            && $c->eof;
        my $sent = substr $big, -$size;
        $c->write($sent);
        $c->shutdown;
        $lost++ unless arrives($how eq 'a tunnel' ? $late : $socket, $sent);
    }
    is($lost, 0, "$how: the last words after the other side's end");
}

($head, $c) = ask(80, $at{quits});
is($c->read_bytes(5), 'first', 'the other side ends, and breaks then');
ok($t->wait_for(sub {
    $c->write('x');
    return $t->read_file('t.log') =~ /CONNECT \Q$at{quits}\E 200/;
}), 'the client need not end for it to be over');

# curl through it: a large answer, a large request, TLS within.
my $p80 = $t->port(80);
my @curl = ('curl', '-sS', '--max-time', '90', '-p', '-x');
sub curl {
    my (@args) = @_;
    open my $f, '-|', @curl, @args or die "curl: $!";
    local $/;
    my $out = <$f>;
    close $f;
    return $out;
}
$t->write_file('big', $big);
is(curl("http://127.0.0.1:$p80", "http://$at{web}/"), 'web', 'curl');
is(sha256_hex(curl("http://127.0.0.1:$p80", "http://$at{web}/big")),
    sha256_hex($big), '5 MB');
is(curl("http://127.0.0.1:$p80", '-H', 'Expect:', '--data-binary',
    '@' . $t->testdir . '/big', "http://$at{web}/"), sha256_hex($big),
    'the other way');
my $p443 = $t->port(443);
my $root = $t->testdir . '/root.crt';
is(curl("http://127.0.0.1:$p80", '--http1.1', '--cacert', $root, '--resolve',
    "localhost:$p443:127.0.0.1", '-o', '/dev/null', '-w', '%{http_code}',
    "https://localhost:$p443/"), '405', 'TLS within');
is(curl("https://localhost:$p443", '--proxy-cacert', $root, '--resolve',
    "localhost:$p443:127.0.0.1", "http://$at{web}/"), 'web',
    'and a tunnel within TLS');

# Others.
like((ask(81, 'example.com:443', 'x'))[0], qr/ 200 /, 'tunnel_pass address');
like((ask(80, $nobody))[0], qr/ 502 /, 'nobody is there');
like((ask(87, 'a.test:1'))[0], qr/ 200 /, 'tunnel_next_upstream') for 1, 2;
like((ask(85, 'a.test:1'))[0], qr/ 403 /, 'deny');
($head, $c) = ask(89, $at{echo}, 'in an if');
like($head, qr/ 200 /, 'tunnel_pass in "if"');
is($c->read_bytes(8), 'in an if', 'is one');
$c->close;
like((ask(89, $at{web}))[0], qr/ 405 /, 'and not outside of it');
($head, $c) = ask(86, 'a.test:1');
like($head, qr/ 200 /, 'tunnel_read_timeout:');
ok($t->wait_for_log(qr/upstream timed out.*upgraded connection/), 'it ends');
ok($c->eof, 'for the client, too');

# What is no tunnel.
for (82 .. 84) {
    ($head) = ask($_, $at{web});
    like($head, qr/ 405 /, "405 elsewhere ($_)");
}
($head, $c) = ask(88, $at{web});
like($head, qr/ 405 /, 'with an error page');
like($t->get('/', port => 80)->status, qr/405/, 'GET where tunnels are');
for (["127.0.0.1", '', 400, 'no port'], ['127.0.0.1:0', '', 400, 'port 0'],
    [$at{echo}, "Content-Length: 5\r\n", 400, 'Content-Length'],
    [$at{echo}, "Content-Length: 0\r\n", 400, 'Content-Length: 0'],
    [$at{echo}, "Transfer-Encoding: chunked\r\n", 400, 'chunked'])
{
    my ($target, $field, $status, $name) = @$_;
    my $r = $t->raw("CONNECT $target HTTP/1.1\r\nHost: a\r\n$field\r\nhello");
    like($r, qr{^HTTP/1.1 $status }, $name);
}
like($t->raw("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), qr/^HTTP\/1.1 400 /,
    'a path');

my (undef, $said) = $t->command('-t');
unlike($said, qr/open proxy/, 'who is allowed is said');
$t->write_config('open.conf', <<"EOC");
events { }
http { server { listen 127.0.0.1:$p80; tunnel_pass; } }
EOC
(undef, $said) = $t->command('-t', '-c', $t->testdir . '/open.conf');
like($said, qr/open proxy/, 'or else there is a warning');

SKIP: {
    skip 'no HTTP/2', 1 if !$t->has_feature('v2') || !$t->has_feature('hpack');
    for my $how ('-', $root) {
        open my $f, '-|', '/usr/bin/python3', 't/lib/h2_tunnel.py', $how,
            $how eq '-' ? $p80 : $p443, $at{echo} =~ s/.*://r, $t->port(99),
            $at{late} =~ s/.*://r, $at{quits} =~ s/.*://r or die "python3: $!";
        while (my $line = <$f>) {
            ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
        }
        ok(close($f), 'the script came to its end');
        my $name = $how eq '-' ? 'h2c' : 'h2';
        my $lines = join '', map { sprintf "%08d\n", $_ } 0 .. 30_000;
        for my $to ([$late, 't'], [$socket, 's']) {
            my @lost = grep { !arrives($to->[0],
                "$name$to->[1]" . substr $lines, 0, 200_000 + $_) } 0 .. 20;
            is("@lost", '', "$name: the last words arrived ($to->[1])");
        }
    }
    ok($t->wait_for(sub { $t->read_file('t.log')
        =~ m{^CONNECT \Q$at{echo}\E 200 \Q$at{echo}\E HTTP/2.0$}m }),
        'and the log has them');
}
like($t->read_file('t.log'),
    qr{^CONNECT \Q$at{echo}\E 200 \Q$at{echo}\E HTTP/1.1$}m, 'the log');
done_testing();
