#!/usr/bin/perl

# gRPC-Web over HTTP/2, and from a page in Chromium: another origin, so with
# preflights, and streams that are read as they come.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Python;
use Test::Veil::TLS;

my $t = Test::Veil->new(timeout => 60)->has('v2', 'v2_upstream', 'tls',
    'hpack');
my $python = Test::Veil::Python->new($t, 'h2', 'hpack');
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->set(GRPC => '127.0.0.1:'
    . $python->server('t/lib/grpc_web_server.py', $dir));
$t->config(<<'EOC');
http {
    http2 on;
    proxy_http_version 2;
    proxy_h2c on;
    proxy_pass_trailers on;
    proxy_set_header TE trailers;
    proxy_next_upstream_tries 1;
    proxy_request_buffering off;
    proxy_buffering off;
    grpc_web on;
    log_format web '$server_port $request_method $uri $status $server_protocol';
    access_log %%TESTDIR%%/web.log web;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    server {
        listen %%PORT_80%%;
        grpc_web_origin https://app.example.com;
        location / { proxy_pass http://%%GRPC%%; }
        location /gone { proxy_pass http://%%PORT_81%%; }
    }
    server {
        listen %%PORT_443%% ssl;
        root %%TESTDIR%%/html;
        default_type text/html;
        location /hold { proxy_pass http://%%GRPC%%; }
    }
    server {
        listen %%PORT_444%% ssl;
        grpc_web_origin https://localhost:%%PORTNUM_443%%;
        grpc_web_allow_headers x-tenant;
        location / { proxy_pass http://%%GRPC%%; }
        location /gone { proxy_pass http://%%PORT_81%%; }
    }
    server {
        listen %%PORT_445%% ssl;
        grpc_web_origin https://app.example.com;
        location / { proxy_pass http://%%GRPC%%; }
    }
}
EOC
$t->write_file('html/index.html', <<'EOC' =~ s/PORT_(\d+)/$t->port($1)/ger);
<!doctype html>
<title>gRPC-Web</title>
<pre id="out"></pre>
<img src="/hold">
<script>
const say = line => { out.textContent += line + '\n'; };

function frame(text) {
    const data = new TextEncoder().encode(text);
    const f = new Uint8Array(5 + data.length);
    f[4] = data.length;
    f.set(data, 5);
    return f;
}

// The frames of a body as far as they have come, "flag:data" each.
function frames(bytes) {
    const found = [];
    let at = 0;
    while (bytes.length - at >= 5) {
        const n = new DataView(bytes.buffer, at + 1).getUint32(0);
        if (bytes.length - at - 5 < n) {
            break;
        }
        found.push(bytes[at] + ':' + new TextDecoder().decode(
            bytes.slice(at + 5, at + 5 + n)).replace(/\r\n/g, ';'));
        at += 5 + n;
    }
    return found;
}

async function call(port, path, text, eachFrame = () => {}) {
    const body = frame('from a page');
    const r = await fetch('https://localhost:' + port + path, {
        method: 'POST',
        headers: {
            'Content-Type': 'application/grpc-web' + (text ? '-text' : ''),
            'X-Grpc-Web': '1',
            'X-User-Agent': 'a page',
            'X-Tenant': 'me',
        },
        body: text ? btoa(String.fromCharCode(...body)) : body,
    });
    const reader = r.body.getReader();
    let bytes = new Uint8Array(0), pending = '', seen = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) {
            break;
        }
        let more = value;
        if (text) {
            pending += new TextDecoder().decode(value);
            const whole = pending.length - pending.length % 4;
            const decoded = pending.slice(0, whole).match(/[^=]+=*/g)
                .map(atob).join('');
            pending = pending.slice(whole);
            more = Uint8Array.from(decoded, c => c.charCodeAt(0));
        }
        const all = new Uint8Array(bytes.length + more.length);
        all.set(bytes);
        all.set(more, bytes.length);
        bytes = all;
        const found = frames(bytes);
        while (seen < found.length) {
            await eachFrame(seen++);
        }
    }
    return { r, found: frames(bytes) };
}

async function run(name, text) {
    let { r, found } = await call(PORT_444, '/echo', text);
    say(`${name} echo ${r.status} ${r.headers.get('x-first')} ${found.join('|')}`);
    // Each message lets the next one go.
    let order = '';
    ({ found } = await call(PORT_444, `/stream/3/${name}`, text, async i => {
        order += i;
        if (i < 2) {
            await call(PORT_444, `/open/go-${name}-${i + 1}`, false);
        }
    }));
    say(`${name} stream ${order} ${found.join('|')}`);
    for (const path of ['/fail', '/gone']) {
        ({ r, found } = await call(PORT_444, path, text));
        say(`${name} ${path} ${r.status} ${r.headers.get('grpc-status')} `
            + `${r.headers.get('grpc-message')} ${found.length}`);
    }
    try {
        await call(PORT_445, '/echo', text);
        say(`${name} forbidden: it can call`);
    } catch (e) {
        say(`${name} forbidden: ${e.name}`);
    }
}

// The page is loaded, and written down, when its image has come.
run('binary', false).then(() => run('text', true)).then(() => say('done'))
    .catch(e => say('failed: ' + e))
    .then(() => call(PORT_444, '/open/page', false));
</script>
EOC
$t->run;

$python->checks('t/lib/grpc_web_h2.py', $t->port(80), $dir);

my $left = $t->port(80) . ' POST /hang 499 HTTP/2.0';
ok($t->wait_for(sub { $t->read_file('web.log') =~ /^\Q$left\E$/m }),
    'who leaves is in the log');

my $r = $tls->chromium('/index.html', cert => 'site', port => 443,
    real_time => 1);
SKIP: {
    skip 'no Chromium', 13 if !defined $r;
    my ($out) = $r->{out} =~ m{<pre id="out">(.*?)</pre>}s;
    $out //= '';
    diag("the page says:\n$out$r->{err}") if $out !~ /^done$/m;
    like($out, qr/^done$/m, 'Chromium: the page has come to its end');
    for my $name (qw/binary text/) {
        like($out, qr/^$name echo 200 yes 0:from a page\|128:grpc-status: 0;/m,
            "Chromium, $name: a call");
        like($out, qr/^$name stream 0123 0:message 0\|0:message 1\|0:message 2\|128:grpc-status: 0;$/m,
            "Chromium, $name: a stream, message by message");
        like($out, qr{^$name /fail 200 5 no%20such thing 0$}m,
            "Chromium, $name: a status in the head is seen");
        like($out, qr{^$name /gone 200 14 Bad Gateway 0$}m,
            "Chromium, $name: so is an error of veil's own");
        like($out, qr/^$name forbidden: TypeError$/m,
            "Chromium, $name: another origin may not");
    }
    my ($api, $other) = ($t->port(444), $t->port(445));
    for ("$api OPTIONS /echo 204 HTTP/2.0", "$other OPTIONS /echo 403 HTTP/2.0")
    {
        ok($t->wait_for(sub { $t->read_file('web.log') =~ /^\Q$_\E$/m }),
            "it has asked first: $_");
    }
}
done_testing();
