#!/usr/bin/perl

# Connections and sessions are used again for whom they were made, and for
# nobody else.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('both', ca => 'root', names => [qw/a.test b.test/]);
$tls->cert('me', ca => 'root', names => ['me.test'], client => 1);
$tls->cert('you', ca => 'root', names => ['you.test'], client => 1);
chmod 0644, $tls->path("$_.key") for qw/me you/;

my $u = $t->upstream(plain => routes => {
    '/number' => sub {
        my ($conn) = @_;
        $conn->reply(body => $conn->number . '.' . $conn->served);
    },
    '/close' => sub { $_[0]->reply(close => 1, body => 'bye') },
    '/quiet' => sub {
        my ($conn) = @_;
        $conn->reply(body => $conn->number);
        $conn->close;
    },
    '/gated' => Test::Veil::Upstream::gated('go', sub {
        my ($conn) = @_;
        $conn->reply(body => $conn->number . '.' . $conn->served);
    }),
});
my %s = map {
    $_->[0] => $t->upstream($_->[0] => Test::Veil::TLSUpstream->new($tls,
        backend => $u, cert => 'both', @$_[ 1 .. $#$_ ]))
} (['names'], ['certs', ca => 'root'], ['v13'], ['v12', tls => '1.2'],
    ['off'], ['single'], ['group']);

$t->config(<<'EOC');
worker_processes 1;
http {
    proxy_ssl_trusted_certificate root.crt;
    proxy_ssl_name a.test;

    upstream group {
        server https://%%UPSTREAM_group%% sni=a.test;
        keepalive 4;
    }

    server {
        listen %%PORT_80%%;

        location /names/ {
            proxy_ssl_name $arg_name;
            proxy_pass https://%%UPSTREAM_names%%/;
        }
        location /names-unverified/ {
            proxy_ssl_name $arg_name;
            proxy_ssl_verify off;
            proxy_pass https://%%UPSTREAM_names%%/;
        }
        location /names-unsaid/ {
            proxy_ssl_name $arg_name;
            proxy_ssl_server_name off;
            proxy_pass https://%%UPSTREAM_names%%/;
        }
        location /certs/ {
            proxy_ssl_certificate $arg_who.crt;
            proxy_ssl_certificate_key $arg_who.key;
            proxy_pass https://%%UPSTREAM_certs%%/;
        }
        location /group/ { proxy_pass http://group/; }

        location /v13/ {
            proxy_keepalive 0;
            proxy_ssl_name $arg_name;
            proxy_pass https://%%UPSTREAM_v13%%/;
        }
        location /v13-other/ {
            proxy_keepalive 0;
            proxy_ssl_name $arg_name;
            proxy_ssl_protocols TLSv1.3;
            proxy_pass https://%%UPSTREAM_v13%%/;
        }
        location /v12/ {
            proxy_keepalive 0;
            proxy_pass https://%%UPSTREAM_v12%%/;
        }
        location /off/ {
            proxy_keepalive 0;
            proxy_ssl_session_reuse off;
            proxy_pass https://%%UPSTREAM_off%%/;
        }
    }
}
EOC
$t->run;

sub number { return $t->get($_[0])->body }
sub reused { return $_[0]->hello($_[1])->{reused} ? 1 : 0 }

# --- connections

is(number('/names/number?name=a.test'), '1.1', 'a connection');
is(number('/names/number?name=a.test'), '1.2', 'is kept');
is(number('/names/number?name=b.test'), '2.1', 'not for another name');
is(number('/names/number?name=b.test'), '2.2', 'which has its own');
is(number('/names/number?name=A.test.'), '1.3', 'names have no case');
is(number('/names/number?name=a.test:443'), '1.4', 'and no port');
is(number('/names-unverified/number?name=a.test'), '3.1',
    'not where nothing is verified');
is(number('/names-unverified/number?name=a.test'), '3.2', 'its own');
is(number('/names/number?name=a.test'), '1.5', 'nor the other way round');
is(number('/names-unsaid/number?name=a.test'), '4.1',
    'not where the name is not said');
is($s{names}->hello(4)->{name}, undef, 'it was not');

my $base = $u->connections;
is(number('/certs/number?who=me'), $base + 1 . '.1', 'a certificate');
is(number('/certs/number?who=me'), $base + 1 . '.2', 'is kept');
is(number('/certs/number?who=you'), $base + 2 . '.1', 'not for another');
is(number('/certs/number?who=me'), $base + 1 . '.3', 'its own');
is_deeply([ map { $_->{peer} } $s{certs}->hellos ], [ 'me.test', 'you.test' ],
    'two of them');

$base = $u->connections;
is(number('/group/number'), $base + 1 . '.1', 'in a group');
is(number('/group/number'), $base + 1 . '.2', 'is kept');
is(number('/group/close'), 'bye', 'one that the server closes');
is(number('/group/number'), $base + 2 . '.1', 'is not used again');
is(number('/group/quiet'), $base + 2, 'closed without a word');
ok($s{group}->wait_end(2), 'it is gone');
is(number('/group/number'), $base + 3 . '.1', 'is noticed');
is($s{group}->connections, 3, 'all in all');

# A server that goes away takes the idle ones with it.

my $port = $s{group}->port;
$s{group}->stop;
is($t->get('/group/number')->status, 502, 'nobody is there');
$t->upstream(again => Test::Veil::TLSUpstream->new($tls, backend => $u,
    cert => 'both', port => $port));
like(number('/group/number'), qr/^\d+\.1\z/, 'and back');

# --- sessions

sub sessions {
    my ($s, @uris) = @_;
    my $n = $s->connections;
    $t->get($_) for @uris;
    return join '', map { reused($s, $n + $_) } 1 .. @uris;
}

is(sessions($s{v13}, ('/v13/number?name=a.test') x 4), '0111',
    'TLS 1.3: sessions are used again');
is(sessions($s{v13}, '/v13/number?name=b.test'), '0',
    'not for another name');
is(sessions($s{v13}, '/v13/number?name=b.test'), '1', 'which has its own');
is(sessions($s{v13}, '/v13-other/number?name=a.test'), '0',
    'not with other options');
is(sessions($s{v12}, ('/v12/number') x 4), '0111', 'TLS 1.2');
is(sessions($s{off}, ('/off/number') x 3), '000', 'proxy_ssl_session_reuse');
is($s{v13}->hello($s{v13}->connections)->{name}, 'a.test',
    'a session has its name');

# Many at once: each ticket of TLS 1.3 is used once.

my $n = $s{v13}->connections;
my @c = map { $t->connect } 1 .. 6;
$_->send_request(path => '/v13/gated?name=a.test') for @c;
ok($s{v13}->hello($n + 6), 'six at once');
$u->release('go');
is(scalar(grep { $_->read_response->status == 200 } @c), 6, 'all are answered');
ok(scalar(grep { reused($s{v13}, $n + $_) } 1 .. 6) >= 2,
    'those that found a ticket used it');

done_testing;
