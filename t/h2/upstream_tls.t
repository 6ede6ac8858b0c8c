#!/usr/bin/perl

# HTTP/2 to upstreams over TLS: names and certificates as with HTTP/1, sessions,
# connections that are shared by those who agree in all of it.

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use Test::Veil;
use Test::Veil::Guard;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has('v2')->has('v2_upstream')->has('ssl');
my ($python) = grep { system("$_ -c 'import h2' 2> /dev/null") == 0 }
    qw(python3 /usr/bin/python3);
$t->skip_all('no python3-h2') unless $python;
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca($_) for qw(root other);
$tls->cert('site', ca => 'root', names => [qw(one.test two.test)]);

package Peer { sub port { return $_[0]{port} } }

sub python {
    my (@args) = @_;
    pipe(my $from, my $to) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        close $from;
        open STDOUT, '>&', $to or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>', "$dir/python.err" or POSIX::_exit(126);
        { exec $python, @args };
        POSIX::_exit(127);
    }
    Test::Veil::Guard::add($pid);
    close $to;
    return $from;
}

my $from = python('t/lib/h2_server.py', "$dir/peer.log", 100);
my $peer = bless { port => readline($from) + 0 }, 'Peer';
$from = python('t/lib/h2_hostile.py', "$dir/hostile.log");
my %hostile;
while (my $line = readline $from) {
    my ($name, $port) = split ' ', $line or last;
    $hostile{$name} = bless { port => $port }, 'Peer';
}
my @alpn = (alpn => [qw(h2 http/1.1)]);
my $site = Test::Veil::TLSUpstream->new($tls, backend => $peer,
    cert => 'site', @alpn);
my $old = Test::Veil::TLSUpstream->new($tls, cert => 'site', @alpn,
    backend => $hostile{'wants-http1'});
$t->upstream('site', $site);
$t->upstream('old', $old);
my $echo = $t->upstream('h1');
$t->upstream('plain', Test::Veil::TLSUpstream->new($tls, cert => 'site',
    @alpn, backend => $echo));
$t->config(<<'EOC');
worker_processes 1;
http {
    proxy_http_version 2;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    proxy_ssl_name one.test;
    upstream once { server %%UPSTREAM_site%%; keepalive 0; }
    server {
        listen %%PORT_80%%;
        location /one/ { proxy_pass https://%%UPSTREAM_site%%/; }
        location /two/ {
            proxy_ssl_name two.test;
            proxy_pass https://%%UPSTREAM_site%%/;
        }
        location /three/ {
            proxy_ssl_name three.test;
            proxy_pass https://%%UPSTREAM_site%%/;
        }
        location /other/ {
            proxy_ssl_trusted_certificate %%TESTDIR%%/other.crt;
            proxy_pass https://%%UPSTREAM_site%%/;
        }
        location /once/ { proxy_pass https://once/; }
        location /full/ {
            proxy_ssl_session_reuse off;
            proxy_pass https://once/;
        }
        location /old/ { proxy_pass https://%%UPSTREAM_old%%/; }
        location /h2c/ {
            proxy_http_version 1.1;
            proxy_h2c on;
            proxy_pass $arg_scheme://%%UPSTREAM_plain%%/;
        }
    }
}
EOC
$t->run;

sub conn { return ($t->get($_[0])->body // '') =~ /^(\d+) 0$/ ? $1 : 'none' }
my $seen = 0;
sub hello { return $site->hello(++$seen) }

my $one = conn('/one/ok');
like($one, qr/^\d+$/, 'HTTP/2 by ALPN');
is(hello()->{name}, 'one.test', 'SNI');
is(conn('/one/ok'), $one, 'kept');

# Both names are good, but each is verified.
my $c = $t->connect(80);
$c->write("POST /one/chat HTTP/1.1\r\nHost: a\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
like($c->read_until(qr/<x>/), qr/<x>/, 'a request that stays');
is(conn('/one/ok'), $one, 'its connection is shared');
my $two = conn('/two/ok');
like($two, qr/^\d+$/, 'another name');
isnt($two, $one, 'has another connection');
is(hello()->{name}, 'two.test', 'with its own SNI');
$c->write("0\r\n\r\n");
$c->read_until(qr/\r\n0\r\n/);
is(conn('/one/ok'), $one, 'and the first is as it was');

is($t->get('/three/ok')->status, 502, 'a name that is not in it');
ok($t->wait_for_log(qr/certificate does not match "three\.test"/),
    'is logged');
is($t->get('/other/ok')->status, 502, 'an authority that is not trusted');
ok($t->wait_for_log(qr/certificate verify error/), 'is logged');
hello() for 1 .. 2;

like(conn('/once/ok'), qr/^\d+$/, 'a connection for one request');
ok(hello()->{reused}, 'resumes the session of the first');
like(conn('/once/ok'), qr/^\d+$/, 'the next one');
ok(hello()->{reused}, 'and so does that');
like(conn('/full/ok'), qr/^\d+$/, 'proxy_ssl_session_reuse off');
ok(!hello()->{reused}, 'does not');

is($t->get('/old/x')->body, 'ok', 'HTTP_1_1_REQUIRED');
is(join(' ', $t->read_file('hostile.log') =~ /^wants-http1 \d+ request \d (\w+)/mg),
    'GET GET', 'is asked again without HTTP/2 in ALPN');
like($t->get('/h2c/x?scheme=https')->body, qr/^GET \/ HTTP\/1\.1/,
    'proxy_h2c, and https:// by a variable: HTTP/1.1');
done_testing();
