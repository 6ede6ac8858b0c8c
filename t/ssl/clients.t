#!/usr/bin/perl

# The clients that people use, each with TLS 1.2 and 1.3: openssl s_client,
# curl, Python, Chromium.  Requests and large bodies, resumption with tickets,
# client certificates, ALPN, what the server says about it in variables.

use strict;
use warnings;

use lib 't/lib';

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl proxy/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->ca('sub', ca => 'root');
$tls->cert('site', ca => 'sub', names => [qw/localhost 127.0.0.1/]);
$tls->cert('rsa', ca => 'root', names => ['localhost'], key => 'rsa2048');
$tls->cert('alice', ca => 'sub', client => 1);
$tls->ca('other');
$tls->cert('mallory', ca => 'other', client => 1);

$t->upstream('a', handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => $req->{body});
});

$t->write_file('html/page.html', <<'EOC');
<!doctype html><title>t</title><body><p>page</p>
<script src="/one.js"></script><script src="/two.js"></script></body>
EOC
$t->write_file('html/one.js', 'document.body.append("one ");');
$t->write_file('html/two.js', 'document.body.append("two ");');
$t->write_file('html/big', my $big = join '', map {"$_\n"} 1 .. 60000);

$t->config(<<'EOC')->run;
http {
    log_format tls "$uri $ssl_protocol $ssl_session_reused $ssl_server_name";
    access_log %%TESTDIR%%/access.log tls;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 8m;
    add_header X-TLS "$ssl_protocol $ssl_cipher $ssl_session_reused";

    server {
        listen %%PORT_443%% ssl;
        server_name localhost;
        root %%TESTDIR%%/html;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location /hello { return 200 "$scheme $https $server_port"; }
        location /echo { proxy_pass http://%%UPSTREAM_a%%; }
    }
    server {
        listen %%PORT_444%% ssl;
        server_name localhost;
        ssl_certificate %%TESTDIR%%/rsa.crt;
        ssl_certificate_key %%TESTDIR%%/rsa.key;
        ssl_client_certificate %%TESTDIR%%/root.crt;
        ssl_verify_client on;
        ssl_verify_depth 2;
        return 200 "$ssl_client_verify $ssl_client_s_dn";
    }
    server {
        # Each request on a connection of its own.
        listen %%PORT_445%% ssl;
        server_name localhost;
        root %%TESTDIR%%/html;
        keepalive_timeout 0;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
    }
}
EOC

my $hello = 'https on ' . $t->port(443);
my $r;

# ------------------------------------------------------- openssl s_client --

for my $v (qw/1.2 1.3/) {
    my @o = (ca => 'root', tls => $v);
    $r = $tls->s_client(path => '/hello', verify_name => 'localhost', @o,
        sess_out => "s$v");
    is($r->response->body, $hello, "s_client, TLS $v");
    is($r->protocol, "TLSv$v", 'the protocol');
    is($r->verify, 'ok', 'verified with the intermediate certificate');
    is($r->response->header('X-TLS'), "TLSv$v " . $r->cipher . ' .',
        'variables say the same');

    for my $again (1, 2) {
        $r = $tls->s_client(path => '/hello', @o, sess_in => "s$v",
            sess_out => "s$v");
        is($r->reused, 1, "resumed, $again");
        is($r->response->body, $hello, 'answered');
        is($r->response->header('X-TLS'), "TLSv$v " . $r->cipher . ' r',
            'variables say the same');
    }

    $r = $tls->s_client(path => '/big', @o);
    ok($r->response->body eq $big, 'a large file');
    is($r->response->error, '', 'is whole');
    $r = $tls->s_client(path => '/echo', method => 'POST', body => $big, @o);
    ok($r->response->body eq $big, 'a large body there and back');

    my $c = $tls->connect(@o);
    is($c->get('/hello')->body, $hello, 'keep-alive') for 1 .. 3;
    $c->write("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" x 10);
    is(join(' ', map { $c->read_response->body } 1 .. 10),
        join(' ', ($hello) x 10), 'pipelining');
    $c->close;

    $r = $tls->s_client(port => 444, cert => 'alice', @o, sess_out => 's');
    is($r->response->body, 'SUCCESS CN=alice', 'a client certificate');
    is("@{ $r->ca_names }", 'CN = root', 'was asked for by name');
    $r = $tls->s_client(port => 444, @o, sess_in => 's');
    is($r->reused, 1, 'its session is resumed');
    is($r->response->body, 'SUCCESS CN=alice', 'and knows it');
    $r = $tls->s_client(port => 444, @o);
    like($r->response, qr/ 400 .*No required SSL certificate was sent/s,
        'none');
    $r = $tls->s_client(port => 444, cert => 'mallory', @o);
    like($r->response, qr/ 400 .*The SSL certificate error/s,
        "another authority's");
}

# -------------------------------------------------------------------- curl --

for my $v (qw/1.2 1.3/) {
    my @o = (ca => 'root', tls => $v);
    $r = $tls->curl('/hello', @o);
    is($r->{status}, 0, "curl, TLS $v") or diag $r->{err};
    like($r->{out}, qr/^x-tls: TLSv$v \S+ \.\r$/mi, 'the protocol');
    like($r->{out}, qr/\Q$hello\E$/, 'answered');
    my $url = 'https://localhost:' . $t->port(443) . '/big';
    $r = $tls->curl('/big', @o, args => [ '--no-include', $url ]);
    ok($r->{out} eq $big x 2, 'two large files on one connection');
    is($r->{connects}, 0, 'the second has made no connection');
    $t->write_file('body', $big);
    $r = $tls->curl('/echo', @o, args =>
        [ '--no-include', '--data-binary', '@body', '-H', 'Expect:' ]);
    ok($r->{out} eq $big, 'a large body there and back');
    $r = $tls->curl('/', port => 444, cert => 'alice', @o);
    like($r->{out}, qr/SUCCESS CN=alice/, 'a client certificate');
    $r = $tls->curl('/', port => 444, @o);
    is($r->{code}, 400, 'none');
}
$r = $tls->curl('/hello', ca => 'other');
is($r->{status}, 60, 'curl does not trust a stranger');

# ------------------------------------------------------------------ Python --

for my $v (qw/1.2 1.3/) {
    my @o = (ca => 'root', check_name => 1, tls => $v);
    my @p = $tls->python(@o, times => 3, path => '/hello');
    is(join(' ', map { $_->{version} . ($_->{reused} ? 'r' : '.') } @p),
        "TLSv$v. TLSv${v}r TLSv${v}r", "Python, TLS $v: resumes")
        or diag explain \@p;
    is((grep { ($_->{responses}[0] // '') =~ /\Q$hello\E\z/ } @p), 3,
        'answered');
    is(join(' ', map { $_->{closed} // '' } @p), join(' ', ('notified') x 3),
        'close_notify is answered') unless $t->is_nginx;
    @p = $tls->python(@o, requests => [
        (Test::Veil::HTTP1->format_request(
            keepalive => 1, path => '/big')) x 3 ]);
    is((grep { substr($_, -length $big) eq $big }
        @{ $p[0]{responses} // [] }), 3, 'large files, keep-alive');
    @p = $tls->python(@o, port => 444, cert => 'alice', times => 2);
    is((grep { ($_->{responses}[0] // '') =~ /SUCCESS CN=alice\z/ } @p), 2,
        'a client certificate, also resumed');
}

# ---------------------------------------------------------------- Chromium --

SKIP: {
    skip 'Chromium is not installed', 8 unless $tls->has_chromium;

    for my $v (qw/1.2 1.3/) {
        my $mark = length $t->log('access.log');
        my $b = $tls->chromium('/page.html', cert => 'site',
            port => 445, args => [ "--ssl-version-max=tls$v" ]);
        like($b->{out}, qr/<p>page<.*>one .*>two /s,
            "Chromium, TLS $v: a page and its scripts")
            or diag $b->{err};
        my @seen;
        # The last lines are written when the page is shown already.
        $t->wait_for(sub {
            @seen = split /\n/, substr $t->log('access.log'), $mark;
            return 3 <= grep {m{^/(?:page|one|two)\.}} @seen;
        });
        my @page = grep {m{^/page}} @seen;
        like($page[0] // '', qr/ TLSv$v \. localhost$/, 'the protocol');
        my @js = grep {m{^/(?:one|two)\.js TLSv$v }} @seen;
        is(scalar @js, 2, 'and of the scripts');
        ok((grep {/ r localhost$/} @js), 'who resumed the session')
            or diag join "\n", @seen;
    }
}

done_testing;
