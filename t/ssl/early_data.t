#!/usr/bin/perl

# Early data of TLS 1.3 (0-RTT): a safe request is answered, and its backend
# told; one with a method that changes something gets 425 (RFC 8470), because
# whoever saw it on the wire could send it once more.

use strict;
use warnings;

use lib 't/lib';

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl proxy/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$tls->cert('alice', ca => 'root', client => 1);
my $backend = $t->upstream('a');

$t->config(<<'EOC')->run;
http {
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;

    server {
        listen %%PORT_443%% ssl;
        ssl_early_data on;
        location / {
            proxy_pass http://%%UPSTREAM_a%%;
            proxy_set_header Early-Data $ssl_early_data;
        }
        location /said { return 200 "early=$ssl_early_data"; }
    }
    server {
        # Each request on a connection of its own.
        listen %%PORT_445%% ssl;
        ssl_early_data on;
        keepalive_timeout 0;
        root %%TESTDIR%%/html;
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_early_data off;
        return 200 "early=$ssl_early_data";
    }
}
EOC

# One after another, as a browser opens some connections in advance.
$t->write_file('html/page.html', '<p>page</p><script src="/1.js"></script>');
$t->write_file("html/$_.js", <<"EOC") for 1 .. 5;
document.body.append("script$_ ");
if ($_ < 5) {
    const s = document.createElement("script");
    s.src = "/" + ($_ + 1) + ".js";
    document.body.append(s);
}
EOC

my @o = (ca => 'root', tls => '1.3');

sub request { return Test::Veil::HTTP1->format_request(@_) }

# A session to resume: one use each.
sub session {
    my (%o) = @_;
    my $r = $tls->s_client(@o, path => '/said', sess_out => 'sess', %o);
    is($r->response->body, 'early=', 'no early data in a full handshake');
    return (@o, sess_in => 'sess', %o);
}

my $r = $tls->s_client(session(), early => request(path => '/e'));
is($r->reused, 1, 'a session is resumed');
is($r->early, 'accepted', 'early data is accepted');
like($r->response, qr/ 200 /, 'a GET is answered');
like($r->response->body, qr/^Early-Data: 1$/m, 'its backend is told');

# The answer is there before the client's last flight, which must not meet a
# closed door.
for my $path (qw{/said /}) {
    for (1 .. 3) {
        $r = $tls->s_client(session(), early => request(path => $path));
        is($r->status . $r->err =~ s/^(?:depth|verify).*\n//mgr, '0',
            "the end is in order, $path");
    }
}

$r = $tls->s_client(session(), early => request(path => '/said'));
is($r->response->body, 'early=1', 'the variable');

$r = $tls->s_client(session(), path => '/late');
is($r->reused, 1, 'resumed, without early data');
like($r->response->body, qr{^GET /late}, 'a GET is answered');
unlike($r->response->body, qr/^Early-Data/mi, 'and nothing said about it');

for my $method (qw/HEAD OPTIONS/) {
    $r = $tls->s_client(session(), method => $method,
        early => request(method => $method, path => '/safe'));
    is($r->response->status, 200, "$method is safe");
}
my $before = $backend->requests;
for my $method (qw/POST PUT PATCH DELETE MKCOL FOO/) {
    $r = $tls->s_client(session(), early => request(
        method => $method, path => '/unsafe', body => 'x'));
    is($r->early, 'accepted', "$method in early data");
    is($r->response->status, 425, 'is too early');
}
is($backend->requests, $before, 'the backend has seen none of them');
$r = $tls->s_client(session(), method => 'POST', path => '/unsafe',
    body => 'x');
is($r->response->status, 200, 'a POST after the handshake is answered');

# Early, and then more on the same connection.
$r = $tls->s_client(session(),
    early => request(path => '/one', keepalive => 1),
    request => request(method => 'POST', path => '/two', body => 'x'));
like($r->data, qr{GET /one .*Early-Data: 1}s, 'the early one');
my ($second) = $r->data =~ m{(POST /two .*)}s;
ok($second, 'and one that followed');
unlike($second // 'Early-Data', qr/^Early-Data/m, 'when all was complete');

# A request that begins early and ends late.
my ($first, $rest) = (request(path => '/cut')) x 2;
$r = $tls->s_client(session(), early => substr($first, 0, 20),
    request => substr($rest, 20));
is($r->early, 'accepted', 'half of a request is early');
like($r->response, qr{ 200 .*GET /cut}s, 'it is answered when it is whole');

my $body = 'large ' x 2000;
$r = $tls->s_client(session(), early => request(path => '/big',
    headers => [ 'X-Large' => 'x' x 6000 ]));
like($r->response->body, qr/^X-Large: x{6000}$/m, 'as much as fits');

# Where it is off, what was sent early is sent once more by nobody.
$r = $tls->s_client(@o, port => 444, sess_out => 'off');
$r = $tls->s_client(@o, port => 444, sess_in => 'off',
    request => request(path => '/said'));
is($r->reused, 1, 'resumed where it is off');
is($r->response->body, 'early=', 'without early data');
my ($ticket) = @{ $r->tickets };
like($ticket // '', qr/Max Early Data: 0$/m, 'which was not offered');

# A browser says in its log how the server took its early data: 1 that it is
# disabled, 2 accepted, 5 that there was no session.
SKIP: {
    skip 'Chromium is not installed', 2 unless $tls->has_chromium;
    my $b = $tls->chromium('/page.html', cert => 'site', port => 445,
        args => ['--enable-features=EnableTLS13EarlyData']);
    my @reasons = $b->{netlog} =~ /"early_data_reason":(\d+)/g;
    skip 'this Chromium sends no early data', 2
        if !@reasons || grep { $_ == 1 } @reasons;
    like($b->{out}, qr/<p>page.*>script1 .*script5 /s, 'Chromium shows the page')
        or diag $b->{err};
    ok((grep { $_ == 2 } @reasons), 'its early data was accepted')
        or diag "@reasons";
}

done_testing;
