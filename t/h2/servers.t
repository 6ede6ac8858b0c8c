#!/usr/bin/perl

# HTTP/2 and several servers of an address: which of them speak it, and that
# a connection for one of them is no way around what another asks of clients
# (421); and what became of nginx's directives.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('v2', 'tls');
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->ca('clients');
$tls->cert('site', ca => 'root', names =>
    [map { "$_.test" } qw(open other closed asked old one two)]);
$tls->cert('alice', ca => 'clients', client => 1);
my @gone = (
    'http2_body_preread_size 64k', 'http2_chunk_size 8k',
    'http2_idle_timeout 3m', 'http2_max_concurrent_pushes 10',
    'http2_max_field_size 4k', 'http2_max_header_size 16k',
    'http2_max_requests 1000', 'http2_pool_size 4k', 'http2_push /a',
    'http2_push_preload on', 'http2_recv_timeout 30s',
    'http2_streams_index_size 32');
my $gone = join '', map { "        $_;\n" } @gone;
$t->config(<<"EOC");
http {
    http2_recv_buffer_size 256k;
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;
    add_header X-Name \$server_name always;
    server {
        listen %%PORT_443%% ssl;
        http2 on;
        server_name open.test;
$gone
        location / {
            http2_push /b;
            http2_push_preload on;
            http2_chunk_size 16k;
            return 200 "\$server_protocol \$host";
        }
    }
    server {
        listen %%PORT_443%% ssl;
        http2 on;
        server_name other.test;
        return 200 "\$server_protocol \$host";
    }
    server {
        listen %%PORT_443%% ssl;
        server_name closed.test;
        http2 on;
        ssl_verify_client on;
        ssl_client_certificate %%TESTDIR%%/clients.crt;
        return 200 "\$server_protocol \$host \$ssl_client_verify";
    }
    server {
        listen %%PORT_443%% ssl;
        server_name asked.test;
        http2 on;
        ssl_verify_client optional;
        ssl_client_certificate %%TESTDIR%%/clients.crt;
        return 200 "\$server_protocol \$host \$ssl_client_verify";
    }
    server {
        listen %%PORT_443%% ssl;
        server_name old.test;
        return 200 "\$server_protocol \$host";
    }
    # nginx's way: what one says holds for the address.
    server {
        listen %%PORT_80%%;
        listen %%PORT_444%% ssl;
        server_name one.test;
        return 200 "\$server_protocol";
    }
    server {
        listen %%PORT_80%% http2;
        listen %%PORT_444%% ssl http2;
        server_name two.test;
        return 200 "\$server_protocol";
    }
    server {
        listen %%PORT_445%% ssl;
        server_name two.test;
        return 200 "\$server_protocol";
    }
}
EOC
$t->run;

my $dir = $t->testdir;

sub curl {
    my ($port, @args) = @_;
    my $p = $t->port($port);
    open my $f, '-|', 'curl', '-sS', '--max-time',
        Test::Veil::HTTP1::patient(20), '--cacert',
        "$dir/root.crt", '-w', ' %{http_code}', '--http2',
        (map { ('--resolve', "$_.test:$p:127.0.0.1") }
            qw(open other closed asked old one two)), @args or die "curl: $!";
    local $/;
    my $out = <$f>;
    close $f;
    return $out =~ s/<!doctype.*<\/html>\s*/ /sr;
}

sub url { my ($name, $port) = @_;
    return "https://$name.test:" . $t->port($port // 443) . '/' }

# To $name over the connection of another.
sub over { my ($other, $name, @args) = @_;
    return curl(443, '-H', "Host: $name.test", @args, url($other)) }

my @alice = ('--cert', "$dir/alice.crt", '--key', "$dir/alice.key");
is(curl(443, url('open')), 'HTTP/2.0 open.test 200', 'a name');
is(over('open', 'other'), 'HTTP/2.0 other.test 200',
    'another over the same connection');
is(curl(443, @alice, url('closed')), 'HTTP/2.0 closed.test SUCCESS 200',
    'one for those with a certificate');
like(curl(443, url('closed')), qr/ 400$/, 'and for none without');
for my $name (qw(closed asked)) {
    for my $from (qw(open other)) {
        is(over($from, $name), ' 421', "$name over $from");
        is(over($from, $name, @alice), ' 421',
            "$name over $from with a certificate");
    }
}
is(over('closed', 'open', @alice), 'HTTP/2.0 open.test 200',
    'the other way round');
is(over('closed', 'asked', @alice), ' 421', 'one of them over the other');
is(over('open', 'old'), 'HTTP/2.0 old.test 200',
    'what is not for HTTP/2 over a connection that is');
is(curl(443, url('old')), 'HTTP/1.1 old.test 200', 'and over its own');

is(curl(444, url($_, 444)), 'HTTP/2.0 200', "listen ... http2: $_")
    for qw(one two);
is(curl(445, url('two', 445)), 'HTTP/1.1 200', 'not on another port');
is(curl(80, '--http2-prior-knowledge', 'http://127.0.0.1:' . $t->port(80)
    . '/'), 'HTTP/2.0 200', 'nor is the default server left out');

my (undef, $said) = $t->command('-t');
for my $line (@gone, 'http2_recv_buffer_size') {
    my ($name) = split ' ', $line;
    like($said, qr/"$name" [^\n]*: /, "$name is told what became of it");
}
is(scalar(() = $said =~ /"http2" parameter of "listen" is deprecated/g), 2,
    'so is "listen ... http2"');
done_testing();
