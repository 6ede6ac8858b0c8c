#!/usr/bin/perl

# Bodies over HTTP/2, with TLS and without: uploads and downloads of up to
# 100 MB arrive as they were, trailers go both ways and early hints one way, to
# and from backends of HTTP/1 and HTTP/2; a client that does not read one response gets others, and what is
# kept for it meanwhile is bounded.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw/sha256_hex/;
use Test::Veil;
use Test::Veil::TLS;

# It is nearly a gigabyte.
alarm 150 * Test::Veil::HTTP1::patience() if !$ENV{TEST_VEIL_TIMEOUT};
my $t = Test::Veil->new->has('v2', 'hpack', 'tls', 'v2_upstream');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
my $mega = join '', map { sprintf "%07d\n", $_ } 1 .. 131_072;
my %sum;
for my $n (1, 10, 100) {
    my $sha = Digest::SHA->new(256);
    $t->write_file("html/$n", '');
    for my $i (1 .. $n) {
        my $piece = substr($mega, 0, -4) . sprintf('%03d', $i) . "\n";
        $sha->add($piece);
        $t->append_file("html/$n", $piece);
    }
    $sum{$n} = $sha->hexdigest;
}
my $u = $t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    my %sent = map { lc $_->[0] => $_->[1] } @{ $req->{trailers} // [] };
    if ($req->{path} eq '/trailers') {
        $conn->reply(chunks => ['one', 'two'], headers => [Trailer => 'X-End'],
            trailers => ['X-End' => 'got ' . ($sent{'x-sum'} // 'none'),
                'X-More' => 'm']);
    } elsif ($req->{path} eq '/hints') {
        $conn->write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        $conn->wait('go');
        $conn->reply(body => 'hinted');
    } elsif ($req->{path} eq '/down') {
        $conn->reply(body => $mega x 30);
    } else {
        $conn->reply(body => sha256_hex($req->{body}));
    }
});
$t->config(<<'EOC');
http {
    http2 on;
    client_max_body_size 200m;
    proxy_pass_trailers on;
    early_hints 1;
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        server_name localhost;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location /html { alias %%TESTDIR%%/html; }
        location /buffered/ { proxy_pass http://%%UPSTREAM_a%%/; }
        location /straight/ {
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        location /memory/ {
            proxy_max_temp_file_size 0;
            proxy_pass http://%%UPSTREAM_a%%/;
        }
        # The same once more, and HTTP/2 in between.
        location /twice/ {
            proxy_h2c on;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_pass http://%%PORT_80%%/straight/;
        }
        location /twice-tls/ {
            proxy_http_version 2;
            proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
            proxy_ssl_name localhost;
            proxy_pass https://%%PORT_443%%/buffered/;
        }
    }
}
EOC
$t->run;

my ($dir, $p80, $p443) = ($t->testdir, $t->port(80), $t->port(443));
my %base = (
    h2c => ['--http2-prior-knowledge', "http://127.0.0.1:$p80"],
    h2  => ['--http2', '--cacert', "$dir/root.crt", '--resolve',
        "localhost:$p443:127.0.0.1", "https://localhost:$p443"],
);

sub curl {
    my ($how, $path, @more) = @_;
    my @args = @{ $base{$how} };
    my $url = pop(@args) . $path;
    open my $f, '-|', 'curl', '-sS', '--max-time',
        Test::Veil::HTTP1::patient(40), @args, @more, $url
        or die "curl: $!";
    local $/;
    my $out = <$f>;
    close $f;
    return $out;
}

sub up { my ($how, $path, $n) = @_;
    return curl($how, $path, '-T', "$dir/html/$n"); }

for my $how ('h2c', 'h2') {
    for my $path ('/buffered/', '/straight/') {
        is(up($how, "${path}x", $_), $sum{$_}, "$how: $_ MB to $path")
            for 1, 10;
        is(sha256_hex(curl($how, "${path}down")), sha256_hex($mega x 30),
            "$how: 30 MB from $path");
    }
    is(sha256_hex(curl($how, '/html/100')), $sum{100}, "$how: a large file");
}
is(up('h2c', '/buffered/x', 100), $sum{100}, 'h2c: 100 MB, buffered');
is(up('h2', '/straight/x', 100), $sum{100}, 'h2: 100 MB, not buffered');
for my $path ('/twice/', '/twice-tls/') {
    is(up('h2', "${path}x", 10), $sum{10}, "h2: 10 MB to $path");
    is(sha256_hex(curl('h2', "${path}down")), sha256_hex($mega x 30),
        "h2: 30 MB from $path");
}

# A sanitizer keeps what was freed.
my (undef, $built) = $t->command('-V');
my $most = $built =~ /--with-(asan|tsan|msan|ubsan|sanitize)/ ? 1 << 30
    : 12 * 1024;
my ($worker) = $t->worker_pids;
for my $how ('-', "$dir/root.crt") {
    open my $f, '-|', '/usr/bin/python3', 't/lib/h2_bodies.py', $how,
        $how eq '-' ? $p80 : $p443, $dir, $worker, $most
        or die "python3: $!";
    while (my $line = <$f>) {
        ok(!$1, $2) if $line =~ /^(not )?ok - (.*)/;
        $u->release('go', 1) if $line =~ /early hints/;
    }
    ok(close($f), 'the script came to its end');
}
done_testing();
