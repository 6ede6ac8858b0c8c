#!/usr/bin/perl

# What came in early data is passed on with a word about it (RFC 8470).

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
$tls->cert('localhost');
my $u = $t->upstream(plain => routes => {
    '/refuse' => sub { $_[0]->reply(status => 425, body => 'later') },
});

$t->config(<<'EOC');
http {
    ssl_certificate localhost.crt;
    ssl_certificate_key localhost.key;
    ssl_early_data on;

    server {
        listen %%PORT_443%% ssl;
        location / { proxy_pass http://%%UPSTREAM_plain%%; }
        location /own/ {
            proxy_set_header Early-Data "mine $ssl_early_data";
            proxy_pass http://%%UPSTREAM_plain%%;
        }
    }
}
EOC
$t->run;

sub early {
    my ($path, @headers) = @_;
    $tls->s_client(port => 443, tls => '1.3', sess_out => 's.pem');
    return $tls->s_client(port => 443, tls => '1.3', sess_in => 's.pem',
        early => join("\r\n", "GET $path HTTP/1.1", 'Host: localhost',
            @headers, 'Connection: close', '', ''))->response;
}

unlike($tls->get('/', port => 443)->body, qr/Early-Data/,
    'nothing after a handshake');
my $r = early('/');
is($r->status, 200, 'a request in early data');
like($r->body, qr/^Early-Data: 1$/m, 'the upstream is told');
$r = early('/', 'Early-Data: 1');
is(scalar(() = $r->body =~ /^Early-Data: 1$/mg), 1,
    'once, if the client says so, too');
for (['Early-Data: 0'], ['Early-Data: 0', 'Early-Data: x'],
    ['Early-Data: 1', 'Connection: early-data'])
{
    is(join(' ', early('/', @$_)->body =~ /^Early-Data: (.*)$/mg), '1',
        "whatever the client makes of it: @$_");
}
is(join(' ', $tls->get('/', port => 443, headers => ['Early-Data' => 1,
        Connection => 'early-data, close'])->body =~ /^Early-Data: (.*)$/mg),
    '1', 'that of another proxy is not removed');
$r = early('/own/');
is(scalar(() = $r->body =~ /^Early-Data:/mg), 1,
    'in the configuration\'s words, if it has some');
like($r->body, qr/^Early-Data: mine 1$/m, 'with $ssl_early_data');
is(early('/refuse')->status, 425, 'the upstream may refuse it');

done_testing;
