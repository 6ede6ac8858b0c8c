#!/usr/bin/perl

# Whom veil takes an upstream for, and as whom it goes there.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->ca('sub', ca => 'root');
$tls->ca('subsub', ca => 'sub');
$tls->ca('other');
$tls->cert('good', ca => 'root', names => [qw/good.test *.wild.test/]);
$tls->cert('deep', ca => 'sub', names => ['good.test']);
$tls->cert('deeper', ca => 'subsub', names => ['good.test']);
$tls->cert('nochain', ca => 'sub', names => ['good.test'], chain => 0);
$tls->cert('expired', ca => 'root', names => ['good.test'], expired => 1);
$tls->cert('future', ca => 'root', names => ['good.test'], future => 1);
$tls->ca('self', ext => ['subjectAltName=DNS:good.test']);
$tls->cert('pin', names => ['good.test']);
$tls->cert('foreign', ca => 'other', names => ['good.test']);
$tls->cert('revoked', ca => 'root', names => ['good.test']);
$tls->cert('forclient', ca => 'root', names => ['good.test'], client => 1);
$tls->cert('ip', ca => 'root', names => ['127.0.0.1', '::1']);
$tls->cert('otherip', ca => 'root', names => ['127.0.0.2']);
$tls->cert('nameip', ca => 'root', names => ['x'],
    ext => ['subjectAltName=DNS:127.0.0.1']);
$tls->cert('rsa', ca => 'root', names => ['good.test'], key => 'rsa2048');
$tls->cert('p384', ca => 'root', names => ['good.test'], key => 'p384');
$tls->cert('p521', ca => 'root', names => ['good.test'], key => 'p521');
$tls->crl('root', revoked => ['revoked']);
$tls->cert('me', ca => 'root', names => ['me.test'], client => 1);
$tls->cert('you', ca => 'root', names => ['you.test'], client => 1);
$tls->cert('secret', ca => 'root', names => ['secret.test'], client => 1,
    password => 'open sesame');
# The workers read these.
chmod 0644, $tls->path("$_.key") for qw/me you/;
$t->write_file('passwords', "wrong\nopen sesame\n");

my $u = $t->upstream(plain => handler => sub { $_[0]->reply(body => 'hello') });
my %s;

sub server {
    my ($name, %o) = @_;
    return $s{$name} = $t->upstream($name => Test::Veil::TLSUpstream->new(
        $tls, backend => $u, cert => $name, %o));
}

my @certs = qw/good deep deeper nochain expired future self pin foreign revoked
    forclient ip otherip nameip rsa p384 p521/;
server($_) for @certs;
server('wants', cert => 'good', ca => 'root');
server('wants12', cert => 'good', ca => 'root', tls => '1.2');
server('six', cert => 'ip');
server('rsa12', cert => 'rsa', tls => '1.2');
my $locations = join "\n", map {
    "location /$_/ { proxy_pass https://%%UPSTREAM_$_%%/; }"
} @certs, qw/wants wants12 rsa12/;

my $conf = <<'EOC';
http {
    proxy_ssl_trusted_certificate root.crt;
    proxy_ssl_name good.test;

    upstream mixed {
        server %%UPSTREAM_expired%%;
        server %%UPSTREAM_good%% backup;
    }
    upstream sni {
        server https://%%UPSTREAM_ip%% sni=127.0.0.1;
        server https://%%UPSTREAM_good%% sni=a.wild.test;
        keepalive 0;
    }

    server {
        listen %%PORT_80%%;
        proxy_keepalive 0;
        LOCATIONS

        location /byaddress/ {
            proxy_ssl_name 127.0.0.1;
            location /byaddress/ip/ { proxy_pass https://%%UPSTREAM_ip%%/; }
            location /byaddress/otherip/ {
                proxy_pass https://%%UPSTREAM_otherip%%/;
            }
            location /byaddress/nameip/ {
                proxy_pass https://%%UPSTREAM_nameip%%/;
            }
            location /byaddress/six/ {
                proxy_ssl_name [::1]:443;
                proxy_pass https://%%UPSTREAM_six%%/;
            }
        }
        location /name/ {
            proxy_ssl_name $arg_name;
            proxy_pass https://%%UPSTREAM_good%%/;
        }
        location /blank/ {
            proxy_ssl_name "good.test $arg_name";
            proxy_pass https://%%UPSTREAM_good%%/;
        }
        location /crl/ {
            proxy_ssl_crl %%TESTDIR%%/root.crl;
            location /crl/good/ { proxy_pass https://%%UPSTREAM_good%%/; }
            location /crl/revoked/ {
                proxy_pass https://%%UPSTREAM_revoked%%/;
            }
        }
        location /depth2/ {
            proxy_ssl_verify_depth 2;
            proxy_pass https://%%UPSTREAM_deeper%%/;
        }
        location /pinned/ {
            proxy_ssl_trusted_certificate pin.crt;
            proxy_pass https://%%UPSTREAM_pin%%/;
        }
        location /off/ {
            proxy_ssl_verify off;
            proxy_pass https://%%UPSTREAM_expired%%/;
        }
        location /system/ {
            proxy_ssl_trusted_certificate "";
            location /system/foreign/ {
                proxy_pass https://%%UPSTREAM_foreign%%/;
            }
            location /system/good/ { proxy_pass https://%%UPSTREAM_good%%/; }
        }
        location /mixed/ { proxy_pass https://mixed/; }
        location /sni/ { proxy_pass http://sni/; }

        location /as/ {
            proxy_ssl_certificate me.crt;
            proxy_ssl_certificate_key me.key;
            location /as/me/ { proxy_pass https://%%UPSTREAM_wants%%/; }
            location /as/me12/ { proxy_pass https://%%UPSTREAM_wants12%%/; }
            location /as/expired/ {
                proxy_pass https://%%UPSTREAM_expired%%/;
            }
        }
        location /as/secret/ {
            proxy_ssl_password_file passwords;
            proxy_ssl_certificate secret.crt;
            proxy_ssl_certificate_key secret.key;
            proxy_pass https://%%UPSTREAM_wants%%/;
        }
        location /as/any/ {
            proxy_ssl_certificate $arg_who.crt;
            proxy_ssl_certificate_key $arg_who.key;
            proxy_pass https://%%UPSTREAM_wants%%/;
        }
        location /as/kept/ {
            proxy_ssl_certificate_cache max=2 inactive=1h valid=1h;
            proxy_ssl_certificate $arg_who.crt;
            proxy_ssl_certificate_key $arg_who.key;
            proxy_pass https://%%UPSTREAM_wants%%/;
        }
    }
}
EOC
$t->config($conf =~ s/LOCATIONS/$locations/r);
$t->env(SSL_CERT_FILE => $t->testdir . '/other.crt')->run;

sub said { diag(substr $t->log, $_[0]) }

sub fine {
    my ($uri, $name) = @_;
    my $mark = $t->log_mark;
    is($t->get($uri)->body, 'hello', $name) or said($mark);
}

sub refused {
    my ($uri, $re, $name) = @_;
    my $mark = $t->log_mark;
    is($t->get($uri)->status, 502, $name);
    ok($t->wait_for_log(
        qr/ upstream SSL certificate $re while SSL handshaking to upstream, client: 127\.0\.0\.1, server: .*, request: "GET .*, upstream: "https:/,
        from => $mark), "$name: why") or said($mark);
}

sub verify_error { return qr/verify error: \(\Q$_[0]\E\)/ }

# --- the certificate

fine('/good/', 'a good one');
fine('/deep/', 'with an intermediate one');
refused('/deeper/', qr/verify error: \((?:22:certificate chain too long|2\d?:unable to get .*issuer certificate)\)/,
    'with two: beyond proxy_ssl_verify_depth 1');
fine('/depth2/', 'proxy_ssl_verify_depth 2');
refused('/nochain/', verify_error('20:unable to get local issuer certificate'),
    'the intermediate one is not sent');
refused('/expired/', verify_error('10:certificate has expired'), 'expired');
refused('/future/', verify_error('9:certificate is not yet valid'),
    'not yet valid');
refused('/self/', verify_error('18:self signed certificate'),
    'self-signed');
fine('/pinned/', 'self-signed, and trusted');
refused('/foreign/', verify_error('20:unable to get local issuer certificate'),
    'of an authority that is not trusted');
refused('/forclient/', verify_error('26:unsupported certificate purpose'),
    'one for clients');
is($s{expired}->hello(1)->{error} =~ /CERTIFICATE_EXPIRED/i, 1,
    'the server gets an alert');
fine('/off/', 'proxy_ssl_verify off');
fine("/$_/", "a key of $_") for qw/rsa rsa12 p384 p521/;

# --- the name

fine('/name/?name=good.test', 'its name');
fine('/name/?name=GOOD.test.', 'in another form');
fine('/name/?name=good.test:8443', 'with a port');
fine('/name/?name=a.wild.test', 'a wildcard');
is($s{good}->hello($s{good}->connections)->{name}, 'a.wild.test',
    'the name is asked for');
refused('/name/?name=a.b.wild.test', qr/does not match "a\.b\.wild\.test"/,
    'is for one label');
refused('/name/?name=wild.test', qr/does not match "wild\.test"/,
    'and not for none');
refused('/name/?name=bad.test', qr/does not match "bad\.test"/,
    'another name');
refused('/name/?name=127.0.0.1', qr/does not match "127\.0\.0\.1"/,
    'an address');
my $mark = $t->log_mark;
is($t->get('/name/?name=')->status, 500, 'no name at all');
ok($t->wait_for_log(qr/"" is no name that upstream's SSL certificate/,
    from => $mark), 'in the log');
is($t->get('/name/?name=' . 'x' x 300)->status, 500, 'a name that is none');
is($t->get('/blank/')->status, 500, 'one with a blank');

fine('/byaddress/ip/', 'an address');
is($s{ip}->hello($s{ip}->connections)->{name}, undef, 'is not asked for');
fine('/byaddress/six/', 'in brackets, with a port');
refused('/byaddress/otherip/', qr/does not match "127\.0\.0\.1"/,
    'another address');
refused('/byaddress/nameip/', qr/does not match "127\.0\.0\.1"/,
    'a name that looks like one');
fine("/sni/$_", 'sni= of each server') for 1 .. 4;

# --- revocation

fine('/crl/good/', 'not revoked');
refused('/crl/revoked/', verify_error('23:certificate revoked'), 'revoked');
fine('/revoked/', 'nobody asked');

# --- whom to trust

fine('/system/foreign/', 'SSL_CERT_FILE is the system\'s');
refused('/system/good/', 
    verify_error('20:unable to get local issuer certificate'),
    'and the only one then');
fine('/mixed/', 'the next server is asked');

# --- certificates of the client

sub peer_of { my ($s) = @_; return $s->hello($s->connections)->{peer} }

fine('/as/me/', 'a certificate of the client');
is(peer_of($s{wants}), 'me.test', 'arrives');
fine('/as/me12/', 'with TLS 1.2');
is(peer_of($s{wants12}), 'me.test', 'arrives');
fine('/as/secret/', 'with an encrypted key');
is(peer_of($s{wants}), 'secret.test', 'arrives');
fine('/as/any/?who=you', 'with a variable');
is(peer_of($s{wants}), 'you.test', 'arrives');
fine('/as/any/?who=me', 'of another value');
is(peer_of($s{wants}), 'me.test', 'is another');
$mark = $t->log_mark;
is($t->get('/as/any/?who=nobody')->status, 500, 'a file that is not there');
ok($t->wait_for_log(qr/nobody\.crt.*while connecting to upstream, client|nobody\.crt.*client:/,
    from => $mark), 'in the log') or said($mark);
fine('/as/kept/?who=you', 'kept');
$tls->cert('you', ca => 'root', names => ['changed.test'], client => 1);
chmod 0644, $tls->path('you.key');
fine('/as/kept/?who=you', 'again');
is(peer_of($s{wants}), 'you.test', 'it is not read again');
fine('/as/kept/?who=me', 'a second one');
fine('/as/any/?who=you', 'without a cache');
is(peer_of($s{wants}), 'changed.test', 'it is');

# Many at once, of which some leave while theirs is loaded.

my @c = map { $t->connect } 1 .. 12;
for my $i (0 .. $#c) {
    $c[$i]->send_request(
        path => ($i % 2 ? '/as/any/' : '/as/kept/') . '?who=me');
    $c[$i]->abort if $i % 3 == 0;
}
is(scalar(grep { $c[$_]->read_response->body eq 'hello' }
    grep { $_ % 3 } 0 .. $#c), 8, 'many at once');

$mark = $t->log_mark;
is($t->get('/wants/')->status, 502, 'without one: the server wants it');
ok($t->wait_for_log(qr/SSL_read\(\) failed \(SSL: error:.*CERTIFICATE_REQUIRED.*client: 127/,
    from => $mark), 'its alert is in the log') or said($mark);
$mark = $t->log_mark;
is($t->get('/wants12/')->status, 502, 'the same with TLS 1.2');
ok($t->wait_for_log(qr/SSL_do_handshake\(\) failed \(SSL: error:.*ALERT_.*client: 127/,
    from => $mark), 'its alert is in the log') or said($mark);
my $n = $s{expired}->connections;
is($t->get('/as/expired/')->status, 502, 'a server that is not the right one');
is($s{expired}->hello($n + 1)->{peer}, '', 'never sees ours');

done_testing;
