#!/usr/bin/perl

# Backends that refuse, reset, stall or talk nonsense: the right status, in
# time, and the next server where that is allowed.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $silent = Test::Veil::Upstream::never();

sub bytes { return Test::Veil::Upstream::bytes(@_) }

my $u = $t->upstream(bad => routes => {
    '/reset'       => Test::Veil::Upstream::reset_now(),
    '/close'       => Test::Veil::Upstream::close_now(),
    '/never'       => $silent,
    '/half'        => bytes("HTTP/1.1 200 OK\r\nX-Half: "),
    '/nonsense'    => bytes("\x00\x01\x02 no http\r\n\r\n"),
    '/status'      => bytes("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"),
    '/large'       => bytes("HTTP/1.1 200 OK\r\nX-Large: " . 'x' x 20_000
            . "\r\n\r\n"),
    '/length'      => bytes("HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na"),
    '/twice'       => bytes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
            . "Content-Length: 2\r\n\r\nab"),
    '/cut'         => bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
            . "only this"),
    '/cutchunk'    => bytes("HTTP/1.1 200 OK\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    '/badchunk'    => bytes("HTTP/1.1 200 OK\r\n"
            . "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"),
    '/resetbody'   => Test::Veil::Upstream::reset_now(
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
    '/stall'       => sub {
        my ($conn, $req) = @_;
        $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart");
        $conn->wait_peer_close;
    },
    '/500'         => Test::Veil::Upstream::reply(
        status => 500, body => 'five hundred'),
    '/404'         => Test::Veil::Upstream::reply(
        status => 404, body => 'not here'),
});
my $good = $t->upstream(good =>
        handler => Test::Veil::Upstream::reply(body => 'good'));
my $refused = $t->upstream(refused => start => 0);
my $spare = $t->upstream(spare =>
        handler => Test::Veil::Upstream::reply(body => 'spare'));

# What has to be answered in time here has to be tried with more of it on a
# machine that is busy.
my @patience = (300, 2000, 10_000);
my $timeouts = join '', map { <<"EOL" } @patience;
        location /timeout$_/ {
            proxy_pass http://%%UPSTREAM_bad%%/;
            proxy_read_timeout ${_}ms;
        }
        location /late$_/ {
            proxy_pass http://two/;
            proxy_read_timeout ${_}ms;
        }
EOL

$t->config(<<'EOC' =~ s/ +TIMEOUTS\n/$timeouts/r);
http {
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 4k;
    proxy_buffers 4 4k;
    proxy_read_timeout 30s;

    upstream two {
        server %%UPSTREAM_bad%% max_fails=0;
        server %%UPSTREAM_good%% max_fails=0 backup;
    }
    upstream first {
        server %%UPSTREAM_refused%% max_fails=1 fail_timeout=1h;
        server %%UPSTREAM_good%%;
    }
    upstream none {
        server %%UPSTREAM_refused%% fail_timeout=1s;
        server %%UPSTREAM_spare%% down;
    }
    upstream lastly {
        server %%UPSTREAM_refused%% max_fails=1 fail_timeout=1h;
        server %%UPSTREAM_spare%% backup;
    }

    server {
        listen %%PORT_80%%;

        location /bad/ { proxy_pass http://%%UPSTREAM_bad%%/; }
        TIMEOUTS
        location /refused/ { proxy_pass http://%%UPSTREAM_refused%%/; }
        location /two/ { proxy_pass http://two/; }
        location /more/ {
            proxy_pass http://two/;
            proxy_next_upstream error timeout invalid_header http_500
                non_idempotent;
        }
        location /off/ {
            proxy_pass http://two/;
            proxy_next_upstream off;
        }
        location /tries/ {
            proxy_pass http://two/;
            proxy_next_upstream_tries 1;
        }
        location /first/ { proxy_pass http://first/; }
        location /none/ { proxy_pass http://none/; }
        location /lastly/ { proxy_pass http://lastly/; }
        location /page/ {
            proxy_pass http://%%UPSTREAM_bad%%/;
            error_page 502 /sorry;
        }
        location = /sorry { return 200 "sorry\n"; }
    }
}
EOC
$t->run;

# No answer, or none that can be understood.

for my $path (qw{reset close half large}) {
    is($t->get("/bad/$path")->status, 502, "$path: 502");
}

# Debian's nginx takes these for HTTP/0.9 or believes the first value.

my $strict = !$t->is_nginx;
if ($strict) {
    for my $path (qw{nonsense status length twice}) {
        is($t->get("/bad/$path")->status, 502, "$path: 502");
    }
    is($t->get('/two/nonsense')->status, 502, 'nonsense: not by default');
    is($t->get('/more/nonsense')->body, 'good', 'nonsense: when asked for');
}
is($t->get('/refused/')->status, 502, 'refused: 502');
is($t->get('/timeout300/never')->status, 504, 'silent: 504');
is($t->get('/page/reset')->body, "sorry\n", 'error_page');
is($t->get('/bad/404')->body, 'not here', 'its own errors are passed on');
like($t->log, qr/\[error\].*127\.0\.0\.1:\d+\/reset/,
    'the error log names the backend and its URI');

# An answer that ends too early must not look complete.

for my $path (qw{cut cutchunk resetbody}) {
    my $r = $t->get("/bad/$path", quiet => 1);
    is($r->status, 200, "$path: the status was sent already");
    is($r->complete, 0, "$path: but the client sees that it is cut");
}
my $r = $t->get('/bad/badchunk', quiet => 1);
ok(!$r->complete || $r->status == 502, 'badchunk: nor must a wrong one');
for my $ms (@patience) {
    $r = $t->get("/timeout$ms/stall", quiet => 1);
    last if $r->status != 504;
}
is($r->status, 200, 'stall: the status was sent already');
is($r->complete, 0, 'stall: but the client sees that it is cut');

# The next server.

for my $path (qw{reset close}) {
    is($t->get("/two/$path")->body, 'good', "$path: next server");
}
for my $ms (@patience) {
    $r = $t->get("/late$ms/never", quiet => 1);
    last if $r->status != 504;
}
is($r->body, 'good', 'never: next server');
is($t->get('/two/500')->body, 'five hundred', '500: not by default');
is($t->get('/more/500')->body, 'good', '500: when asked for');
is($t->get('/more/404')->body, 'not here', '404: not asked for');
is($t->get('/off/reset')->status, 502, 'proxy_next_upstream off');
is($t->get('/tries/reset')->status, 502, 'proxy_next_upstream_tries');
is($t->get('/two/cut', quiet => 1)->status, 200,
    'never after the answer has begun');

# A request that is not idempotent is not sent twice.

my $before = $good->requests;
is($t->post('/two/reset', 'x')->status, 502, 'POST: not repeated');
is($good->requests, $before, 'indeed not');
is($t->post('/more/reset', 'x')->body, 'good', 'POST: when asked for');
is($t->request(method => 'PUT', path => '/two/reset', body => 'y' x 30_000)
        ->body, 'good', 'PUT: repeated with its body');

# A server that failed is left alone for a while.

is($t->get('/first/')->body, 'good', 'a refused connection: next server')
    for 1 .. 4;
my @failed = $t->log =~ m{refused[^\n]*"GET /first/}g;
is(scalar @failed, 1, 'it was tried once');
is($t->get('/none/')->status, 502, 'all down or refusing');
is($t->get('/lastly/')->body, 'spare', 'the backup when the others failed');
$refused->start;
ok($t->wait_for(sub { $t->get('/none/')->body =~ m{^GET / } }, 5),
    'one that is back is used');

# The backend that stalls is told when the client has left.

my $n = grep {/silent/} $u->notes;
my $c = $t->connect;
$c->send_request(path => '/bad/never');
ok($t->wait_for(sub { (grep {/silent/} $u->notes) > $n }),
    'a request at a silent backend');
$c->close;
ok($u->wait_closed, 'its connection ends with the client');

# A stop does not wait for those that never answer longer than it must.

is($t->get('/first/')->body, 'good', 'and the server is well');

done_testing;
