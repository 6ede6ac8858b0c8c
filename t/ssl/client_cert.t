#!/usr/bin/perl

# Certificates of clients: which are wanted and taken, what is said about the
# others, error pages for them, revocation, and requests for other servers
# than that of the handshake.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl rewrite/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->ca('clients');
$tls->ca('sub', ca => 'clients');
$tls->ca('subsub', ca => 'sub');
$tls->ca('others');
$tls->cert('site', ca => 'root',
    names => [qw/off.test on.test a.test b.test/]);
$tls->cert('good', ca => 'clients', client => 1);
$tls->cert('revoked', ca => 'clients', client => 1);
$tls->cert('deep', ca => 'sub', client => 1);
$tls->cert('deeper', ca => 'subsub', client => 1);
$tls->cert('old', ca => 'clients', client => 1, expired => 1);
$tls->cert('server', ca => 'clients');
$tls->cert('stranger', ca => 'others', client => 1);
$tls->cert('self', client => 1);
$tls->cert('rsa', ca => 'clients', client => 1, key => 'rsa2048');
$tls->cert('p521', ca => 'clients', client => 1, key => 'p521');
$tls->crl('clients', revoked => ['revoked']);

# Servers that answer with their name and what became of the certificate: the
# port, the name, what they verify.
my $by = 'ssl_client_certificate clients.crt;';
my @servers = (
    [ 443, 'off', '' ],
    [ 443, 'on', "ssl_verify_client on; $by" ],
    [ 443, 'optional', "ssl_verify_client optional; $by" ],
    [ 443, 'noca', "ssl_verify_client optional_no_ca; $by" ],
    [ 443, 'trusted',
        'ssl_verify_client on; ssl_trusted_certificate clients.crt;' ],
    [ 443, 'deep', "ssl_verify_client on; ssl_verify_depth 2; $by" ],
    [ 443, 'crl', "ssl_verify_client on; ssl_crl clients.crl; $by" ],
    # The default server verifies.
    [ 444, 'first', "ssl_verify_client on; $by" ],
    [ 444, 'open', '' ],
    [ 444, 'second',
        'ssl_verify_client on; ssl_client_certificate others.crt;' ],
);

$t->config(join('', <<'EOC', map({ sprintf <<'EOS', @$_ } @servers), <<'EOC'));
http {
    ssl_certificate site.crt;
    ssl_certificate_key site.key;
EOC
    server {
        listen %%%%PORT_%d%%%% ssl;
        server_name %s.test;
        %3$s
        return 200 "%2$s $ssl_client_verify";
    }
EOS
    server {
        listen %%PORT_443%% ssl;
        server_name pages.test;
        ssl_verify_client on;
        ssl_client_certificate clients.crt;
        error_page 495 =403 /bad;
        error_page 496 =401 /none;
        error_page 497 =200 /plain;
        location / { return 200 "pages"; }
        location = /bad { internal; return 403 "bad: $ssl_client_verify"; }
        location = /none { internal; return 401 "none"; }
        location = /plain { internal; return 200 "plain: $scheme"; }
    }
}
EOC
$t->run;

sub try {
    my ($name, %o) = @_;
    return $tls->s_client(port => 443, name => $name, %o);
}

sub answer {
    my ($name, $cert, @o) = @_;
    return try($name, defined $cert ? (cert => $cert) : (), @o)->response;
}

like(answer('off.test', 'good'), qr/^off NONE$/m, 'off: not asked for');
is_deeply(try('off.test')->ca_names, [], 'and no names are sent');

# --- on

for my $version (qw/1.2 1.3/) {
    my @v = (tls => $version);
    like(answer('on.test', $_, @v), qr/^on SUCCESS$/m, "on: $_, TLS $version")
        for qw/good rsa p521/;
    my $r = answer('on.test', undef, @v);
    like($r, qr/^HTTP\/1\.1 400 Bad Request\r\n/, 'none: 400');
    like($r, qr/<title>400 No required SSL certificate was sent<\/title>/,
        'with nginx\'s words');
    like($r, qr/^Connection: close\r$/m, 'and the connection ends');
    $r = answer('on.test', 'stranger', @v);
    like($r, qr/^HTTP\/1\.1 400 Bad Request\r\n/, 'a stranger: 400');
    like($r, qr/<title>400 The SSL certificate error<\/title>/,
        'with nginx\'s words');
}
ok($t->wait_for_log(
    qr/\[info\].* client sent no required SSL certificate, client/),
    'the log has both');
ok($t->wait_for_log(
    qr/\[info\].* client SSL certificate verify error: \(\d+:[^)]+\)/),
    '... errors');
like(answer('on.test', $_), qr/400 The SSL certificate error/, $_)
    for qw/old server self/;
is_deeply([ map { tr/ //dr } @{ try('on.test')->ca_names } ],
    ['CN=clients'], 'the names of its authorities are sent');

# --- optional

like(answer('optional.test', 'good'), qr/^optional SUCCESS$/m, 'optional');
like(answer('optional.test', undef), qr/^optional NONE$/m, 'none will do');
like(answer('optional.test', 'stranger'), qr/400 The SSL certificate error/,
    'but none that is bad');

like(answer('noca.test', 'good'), qr/^noca SUCCESS$/m, 'optional_no_ca');
like(answer('noca.test', undef), qr/^noca NONE$/m, 'none will do');
like(answer('noca.test', 'stranger'), qr/^noca FAILED:unable to /m,
    'one of a stranger as well');
like(answer('noca.test', 'self'), qr/^noca FAILED:/m,
    'or one\'s own');
like(answer('noca.test', 'old'), qr/400 The SSL certificate error/,
    'but none that has expired');

# --- authorities, depth, revocation

like(answer('trusted.test', 'good'), qr/^trusted SUCCESS$/m,
    'ssl_trusted_certificate verifies');
is_deeply(try('trusted.test')->ca_names, [], 'without telling names');
like(answer('on.test', 'deep'), qr/^on SUCCESS$/m, 'an intermediate');
like(answer('on.test', 'deeper'), qr/400 The SSL certificate error/,
    'two are too deep');
like(answer('deep.test', 'deeper'), qr/^deep SUCCESS$/m,
    'unless ssl_verify_depth says so');
like(answer('crl.test', 'good'), qr/^crl SUCCESS$/m, 'not revoked');
like(answer('crl.test', 'revoked'), qr/400 The SSL certificate error/,
    'revoked');
like(answer('on.test', 'revoked'), qr/^on SUCCESS$/m,
    'which nobody knows elsewhere');

# --- error pages

my $r = answer('pages.test', 'stranger');
like($r, qr/^HTTP\/1\.1 403 /, 'error_page 495');
like($r, qr/^bad: FAILED:unable to /m, 'which knows why');
$r = answer('pages.test', undef);
like($r, qr/^HTTP\/1\.1 401 /, 'error_page 496');
like($r, qr/^none$/m, 'and its page');
$r = $t->get('/', port => 443, host => 'pages.test');
like($r, qr/^HTTP\/1\.1 200 /, 'error_page 497');
like($r, qr/^plain: http$/m, 'and its page');
$r = $t->get('/', port => 443, host => 'on.test');
like($r, qr/^HTTP\/1\.1 400 Bad Request\r\n/, '497 without');
like($r, qr/<title>400 The plain HTTP request was sent to HTTPS port<\/title>/,
    'with nginx\'s words');

# --- other servers

sub other {
    my ($name, $host, @o) = @_;
    return $tls->s_client(port => 444, name => $name, http_host => $host, @o)
        ->response;
}

like(other('open.test', 'open.test'), qr/^open NONE$/m, 'the same name');
$r = other('open.test', 'first.test', cert => 'good');
like($r, qr/^HTTP\/1\.1 421 Misdirected Request\r\n/,
    'a request for a server that verifies, over another name');
ok($t->wait_for_log(qr/client attempted to request the server name /),
    'is in the log');
like(other('first.test', 'open.test', cert => 'good'), qr/^open SUCCESS$/m,
    'one for a server that does not is no trouble');
like(other('first.test', 'second.test', cert => 'good'),
    qr/^HTTP\/1\.1 421 /, 'nor may one authority stand in for another');
like(other(undef, 'second.test', cert => 'good'),
    qr/^HTTP\/1\.1 421 /, 'nor the default server\'s');
like(other(undef, 'first.test', cert => 'good'), qr/^first SUCCESS$/m,
    'without a name it is the default server');

# --- resumption keeps what was verified

for my $version (qw/1.2 1.3/) {
    my @v = (tls => $version, cert => 'good');
    $r = try('on.test', @v, sess_out => "s$version");
    like($r->response, qr/^on SUCCESS$/m, "a session of TLS $version");
    $r = try('on.test', @v, sess_in => "s$version");
    is($r->reused, 1, 'resumed');
    like($r->response, qr/^on SUCCESS$/m, 'with its certificate');
    $r = try('optional.test', tls => $version, sess_in => "s$version");
    is($r->reused, 0, 'not on a server with other rules');
}

done_testing;
