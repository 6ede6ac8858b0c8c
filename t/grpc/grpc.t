#!/usr/bin/perl

# Calls of gRPC through veil: a client and a server that others have written
# (python3-grpcio), over h2c and TLS on either side.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::GRPC;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new(timeout => 60)->has('v2')->has('v2_upstream')->has('grpc')
    ->has('grpcio');
my $g = Test::Veil::GRPC->new($t);
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$tls->cert('server', ca => 'root', names => ['localhost']);

my $ca = "$dir/root.crt";
my ($server, $plain, $secure) = $g->server('server.log', $t->port('plain'),
    "$dir/server.key", "$dir/server.crt");
my ($second, $second_plain) = $g->server('second.log', 0);
my ($peer, $peer_port) = $g->program('t/lib/h2_server.py',
    "$dir/peer.log");
my $no_alpn = Test::Veil::TLSUpstream->new($tls,
    backend => $t->upstream(old => handler => sub { $_[0]->reply }),
    cert => 'server');
my $silent = $t->upstream(silent => raw => sub {
    my ($conn) = @_;
    1 while length($conn->read_some // '');
});
$t->upstream(no_alpn => $no_alpn);
$t->set(PLAIN => "127.0.0.1:$plain", SECURE => "127.0.0.1:$secure",
    SECOND => "127.0.0.1:$second_plain", PEER => "127.0.0.1:$peer_port");
$t->set(WEB => $t->has_feature('grpc_web') ? <<"EOC" : '');
        location /web/ {
            grpc_web on;
            rewrite ^/web(/.*) \$1 break;
            grpc_pass 127.0.0.1:$plain;
            location /web/gone/ { grpc_pass 127.0.0.1:@{[ $t->port(81) ]}; }
            location /web/half-code/ {
                rewrite ^/web(/.*) \$1 break;
                grpc_pass 127.0.0.1:$peer_port;
            }
        }
EOC
my $config = <<'EOC';
http {
    log_format calls '$uri $status $grpc_status "$grpc_internal_trailers"';
    access_log %%TESTDIR%%/calls.log calls;
    client_max_body_size 64m;
    http2 on;
    grpc_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    grpc_ssl_name localhost;
    upstream both {
        server %%PORT_81%%;
        server %%PLAIN%% backup;
    }
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        server_name localhost;
        location / {
            grpc_pass grpc://%%PLAIN%%;
            grpc_set_header Set-By "the proxy";
        }
        location /gone/ { grpc_pass %%PORT_81%%; }
        location /returned/ {
            grpc_pass %%PLAIN%%;
            if ($request_method = POST) { return 429; }
        }
        location /denied/ {
            deny all;
            grpc_pass %%PLAIN%%;
        }
        location /paged/ {
            error_page 502 = /page;
            grpc_pass %%PORT_81%%;
        }
        location /peer/ {
            rewrite ^/peer(/.*) $1 break;
            grpc_pass %%PEER%%;
        }
        location /silent/ { grpc_pass %%UPSTREAM_silent%%; }
        location /limited/ {
            grpc_max_timeout 200ms;
            rewrite ^/limited(/.*) $1 break;
            grpc_pass %%PEER%%;
        }
        location /limited-longer/ {
            grpc_max_timeout 5s;
            rewrite ^/limited-longer(/.*) $1 break;
            grpc_pass %%PEER%%;
        }
        location /caught/ {
            grpc_intercept_errors on;
            error_page 404 = /page;
            rewrite ^/caught(/.*) $1 break;
            grpc_pass %%PEER%%;
        }
        location /uncaught/ {
            error_page 404 = /page;
            rewrite ^/uncaught(/.*) $1 break;
            grpc_pass %%PEER%%;
        }
        %%WEB%%
        location /too-large/ {
            client_max_body_size 5;
            grpc_pass %%PLAIN%%;
        }
        location /no-alpn/ { grpc_pass grpcs://%%UPSTREAM_no_alpn%%; }
        location /variable/ {
            set $there %%PLAIN%%;
            rewrite ^/variable(/.*) $1 break;
            grpc_pass grpc://$there;
        }
        location /bad-variable/ {
            set $there %%PLAIN%%/uri;
            grpc_pass $there;
        }
        location = /page {
            default_type application/grpc;
            add_header grpc-status 5 always;
            add_header grpc-message "from the page" always;
            return 204;
        }
    }
    server {
        listen %%PORT_82%%;
        listen %%PORT_444%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location / {
            grpc_pass grpcs://%%SECURE%%;
            grpc_set_header Set-By "the proxy";
        }
    }
    server {
        listen %%PORT_83%%;
        location / {
            grpc_max_timeout 2s;
            grpc_pass %%SECOND%%;
        }
    }
    server {
        listen %%PORT_84%%;
        location / { grpc_pass both; }
    }
    server {
        listen %%PORT_85%%;
        keepalive_requests 10;
        location / { grpc_pass %%SECOND%%; }
    }
    server {
        listen %%PORT_86%%;
        location / { grpc_pass %%SECOND%%; grpc_read_timeout 2s; }
    }
    server {
        listen %%PORT_87%%;
        grpc_max_timeout 100s;
        route /test.Test { grpc_pass %%PLAIN%%; }
    }
}
EOC
$t->config($config)->run;

$g->group('h2c to h2c', 80, '-', 'basic');
$g->group('TLS to h2c', 443, $ca, 'basic');
$g->group('h2c to TLS', 82, '-', 'basic');
$g->group('TLS to TLS', 444, $ca, 'basic');

$g->group('metadata', 80, '-', 'metadata');
$g->group('metadata over TLS', 444, $ca, 'metadata');
$g->group('statuses', 80, '-', 'statuses');
$g->group('big messages', 80, '-', 'big');
$g->group('big messages over TLS', 444, $ca, 'big');
$g->group('many', 80, '-', 'many');
$g->group('many over TLS', 444, $ca, 'many');
$g->group('deadline', 80, '-', 'deadline');
$g->group('deadlines that pass', 83, '-', 'expire');
ok($t->wait_for(sub { $t->read_file('second.log') =~ /hang has ended/ }),
    'a call past its deadline is cancelled at the server');
ok($t->wait_for(sub { $t->read_file('second.log') =~ /stream has ended/ }),
    'so is a stream');
$g->group('a body of which nothing was sent', 84, '-', 'basic');


# Cancelled by the client: the server hears of it.

my $c = $g->client(80, '-', 'cancel', '/peer/hang/');
$g->checks($c, 'cancel', 'called');
ok($t->wait_for(sub { $t->read_file('server.log') =~ /^unary waits/m }),
    'cancel: a call waits');
$g->go_on($c);
$g->checks($c, 'cancel', 'called');
ok($t->wait_for(sub { $t->read_file('server.log') =~ /^unary has ended/m }),
    'cancel: it is told');
ok($t->wait_for(
    sub { $t->read_file('server.log') =~ /^streaming waits/m }),
    'cancel: a stream waits');
$g->go_on($c);
$g->checks($c, 'cancel', 'called');
ok($t->wait_for(
    sub { $t->read_file('server.log') =~ /^streaming has ended/m }),
    'cancel: it is told');
ok($t->wait_for(sub { $t->read_file('server.log') =~ /^swallow first/m }),
    'cancel: messages are under way');
$g->go_on($c);
$g->checks($c, 'cancel', 'called');
ok($t->wait_for(sub { $t->read_file('peer.log') =~ /POST \/hang\/x/ }),
    'cancel: a call has no answer');
$g->go_on($c);
$g->checks($c, 'cancel');
ok($t->wait_for(sub { $t->read_file('peer.log') =~ /reset \d+ 8$/m }),
    'cancel: the code is CANCEL');

# On a busy machine it may pass before the server has been asked.
my $told;
for my $path ('/limited/hang/', '/limited-longer/hang/') {
    $g->group('a deadline that passes', 80, '-', 'code',
        '4 Deadline Exceeded', 'x', $path);
    $told = $t->wait_for(sub { 2 == (() = $t->read_file('peer.log')
        =~ /reset \d+ 8$/mg) }, 3) and last;
}
ok($told, 'the server gets CANCEL');
$g->group('a bounded deadline', 87, '-', 'capped');

# Errors of our own.

my $x = 'Echo';
$g->group('no server', 80, '-', 'code', '14 Bad Gateway', $x, '/gone/');
$g->group('return', 80, '-', 'code', '14 Too Many Requests', $x, '/returned/');
$g->group('deny', 80, '-', 'code', '7 Forbidden', $x, '/denied/');
$g->group('error_page', 80, '-', 'code', '5 from the page', $x, '/paged/');
$g->group('too large', 80, '-', 'code', '2 Request Entity Too Large', $x,
    '/too-large/');
$g->group('grpc_intercept_errors', 80, '-', 'code', '5 from the page', $x,
    '/caught/missing/');
$g->group('an error of the server', 80, '-', 'code',
    '12 Received http2 header with status: 404', $x, '/uncaught/missing/');
$g->group('no h2 by ALPN', 80, '-', 'code', '14 Bad Gateway', $x, '/no-alpn/');
ok($t->wait_for_log(qr/did not choose "h2" by ALPN.*upstream: "grpcs:/),
    'which is logged');
$g->group('a URI in a variable', 80, '-', 'code', '2 Internal Server Error', $x,
    '/bad-variable/');
ok($t->wait_for_log(qr/a URI, which is the request's, in "[\d.:]+\/uri"/),
    'which is logged, too');
$g->group('variables', 80, '-', 'code', '0 b\'x\'', $x, '/variable/test.Test/');

# Resets by the server.

$g->group('CANCEL', 80, '-', 'code', '1 Bad Gateway', 8, '/peer/code/');
$g->group('ENHANCE_YOUR_CALM', 80, '-', 'code', '8 Bad Gateway', 11,
    '/peer/code/');
$g->group('INTERNAL_ERROR', 80, '-', 'code', '13 Bad Gateway', 2, '/peer/code/');
$g->group('CANCEL later', 80, '-', 'stream_code', '1 the server reset the call',
    8, '/peer/half-code/');
$g->group('INTERNAL_ERROR later', 80, '-', 'stream_code',
    '13 the server reset the call', 2, '/peer/half-code/');
like($t->read_file('peer.log'), qr/^\d+ \d+ POST \/code\/8 \S+ - trailers$/m,
    'te is passed on');

# Calls that the server says it has not looked at.

$g->group('REFUSED_STREAM', 80, '-', 'again', '/peer/refuse-call/');
$g->group('GOAWAY', 80, '-', 'again', '/peer/goaway-call/');

# Idle for too long.

$c = $g->client(86, '-', 'held', '14 the response broke off');
$g->checks($c, 'grpc_read_timeout', 'held');
$g->checks($c, 'grpc_read_timeout');

# What is logged.

my %logged;
$t->wait_for(sub {
    %logged = $t->read_file('calls.log') =~ /^(\S+) (.*)\n/mg;
    return $logged{'/half-code/8'};
});
is($logged{'/test.Test/Echo'}, '200 0 "trailers"', 'a call is logged');
is($logged{'/gone/Echo'}, '200 14 "trailers"', 'an error of ours');
is($logged{'/half-code/8'}, '200 1 "trailers"', 'a response that broke off');

# A client of HTTP/1.1.

sub message { pack 'CN/a', 0, $_[0] }
sub http1 {
    my ($path, $body, @headers) = @_;
    return $t->request(method => 'POST', path => $path, version => '1.1',
        headers => [ 'Content-Type' => 'application/grpc', @headers ],
        body => $body, chunked => 1);
}
my $conn = $t->connect;
$conn->write("POST /test.Test/Chat HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Type: application/grpc\r\nTE: trailers\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n");
for my $n (1 .. 3) {
    $conn->write(sprintf "%x\r\n%s\r\n", 6, message($n));
    like($conn->read_until(qr/re: $n/), qr/re: $n/,
        "HTTP/1.1: message $n is answered at once");
}
$conn->write("0\r\n\r\n");
like($conn->read_until(qr/grpc-status: \d+\r\n/),
    qr/bye.*\r\n0\r\n.*grpc-status: 0/s, 'HTTP/1.1: and the end');
$conn->close;

my $r = http1('/test.Test/Echo', message('hello'), TE => 'trailers');
is($r->status, 200, 'HTTP/1.1: the status');
is($r->body, message('hello'), 'HTTP/1.1: the message');
is($r->trailer('grpc-status'), 0, 'HTTP/1.1: the trailers');
$t->request(method => 'POST', path => '/peer/ok/length', body => 'x' x 10,
    headers => [ 'Content-Type' => 'application/grpc' ]);
like($t->read_file('peer.log'), qr/POST \/ok\/length \S+ 10 -$/m,
    'HTTP/1.1: its Content-Length, and no te');
$r = http1('/gone/x', message('hello'));
is($r->header('grpc-status'), 14, 'HTTP/1.1: an error of ours');
is($r->header('Content-Length'), 0, 'HTTP/1.1: which has no body');
$r = http1('/peer/half-code/8', message('x'), TE => 'trailers');
is($r->trailer('grpc-status'), 1, 'HTTP/1.1: broken off, with trailers');
ok($r->complete, 'HTTP/1.1: which is complete');
$r = http1('/peer/half-code/8', message('x'));
ok(!$r->complete, 'HTTP/1.1: broken off, without them');
$r = $t->request(method => 'POST', path => '/gone/x', body => 'x');
is($r->status, 502, 'other clients get errors of HTTP');
$r = $t->request(method => 'POST', path => '/gone/x', body => 'x',
    headers => [ 'Content-Type' => 'application/grpc-web' ]);
is($r->status, 502, 'those of gRPC-Web, too');

# One that waits for a connection which another call makes: either leaves
# first.

for my $first (0, 1) {
    my @waiting = map {
        my $waits = $t->connect;
        $waits->write("POST /silent/$_ HTTP/1.1\r\nHost: localhost\r\n"
            . "Content-Type: application/grpc\r\nContent-Length: 0\r\n\r\n");
        $t->get('/page'); # by the same worker, and later
        $waits;
    } 1, 2;
    ok($silent->wait_connections($first + 1), 'a server that is silent');
    $waiting[$first]->close;
    $t->get('/page');
    $waiting[!$first]->close;
    ok($silent->wait_closed(0), 'is left when its clients have left');
    is($silent->connections, $first + 1, 'it had one connection');
}

# From a browser.

SKIP: {
    skip('no gRPC-Web', 3) unless $t->has_feature('grpc_web');
    my $web = sub {
        return $t->request(method => 'POST', path => $_[0],
            headers => [ 'Content-Type' => 'application/grpc-web' ],
            body => message('hello'));
    };
    like($web->('/web/test.Test/Echo')->body,
        qr/^\Q@{[ message('hello') ]}\E\x80.{4}grpc-status: ?0\r\n/s,
        'gRPC-Web: a call');
    is($web->('/web/gone/')->header('grpc-status'), 14,
        'gRPC-Web: an error of ours');
    like($web->('/web/half-code/8')->body,
        qr/^\0\0\0\0\x03one\x80.{4}grpc-status: ?1\r\n/s,
        'gRPC-Web: a response that breaks off');
}

# One channel over many connections, and over a reload.

$c = $g->client(85, '-', 'long');
$g->checks($c, 'long', 'running');
my $mark = $t->log_mark;
$t->reload;
ok($t->wait_for_log(qr/generation 2 serves/, from => $mark), 'reloaded');
$g->go_on($c);
ok($g->checks($c, 'keepalive_requests and a reload'), 'the channel has ended');

# A server that is killed, and comes back.

$c = $g->client(80, '-', 'held', '14 the response broke off');
$g->checks($c, 'killed', 'held');
$g->kill_server($server);
ok($g->checks($c, 'killed'), 'the client was told');
$g->group('while it is away', 80, '-', 'code', '14 Bad Gateway', $x);
($server) = $g->server('server.log', $plain);
$g->group('when it is back', 80, '-', 'wait');

done_testing();
