#!/usr/bin/perl

# What arrives in records gets to whoever wants it: request bodies that are
# kept, passed on and thrown away, requests in one record and in many.

use strict;
use warnings;

use lib 't/lib';

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/ssl proxy/);
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$t->upstream('a', handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => $req->{body});
});
my %file = map { ("f$_" => "$_ " x (10 + 800 * $_) . "\n") } 1 .. 9;
$t->write_file("html/$_", $file{$_}) for keys %file;

$t->config(<<'EOC')->run;
http {
    client_max_body_size 8m;
    open_file_cache max=100;
    open_file_cache_min_uses 1;
    server {
        listen %%PORT_443%% ssl;
        root %%TESTDIR%%/html;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location /now {
            proxy_pass http://%%UPSTREAM_a%%;
            proxy_request_buffering off;
            proxy_buffering off;
        }
        location /kept { proxy_pass http://%%UPSTREAM_a%%; }
        location /disk {
            proxy_pass http://%%UPSTREAM_a%%;
            client_body_buffer_size 1k;
        }
        location /away { return 200 away; }
    }
}
EOC

my $body = join '', map {"line $_\n"} 1 .. 60000;

for my $v (qw/1.2 1.3/) {
    my @o = (ca => 'root', tls => $v, method => 'POST');

    for my $where (qw(/now /kept /disk)) {
        my $r = $tls->s_client(path => $where, body => $body, @o);
        ok($r->response->complete && $r->response->body eq $body,
            "TLS $v: a body, $where");
        $r = $tls->s_client(path => $where, @o,
            chunked => [ unpack '(a7001)*', $body ]);
        ok($r->response->complete && $r->response->body eq $body,
            'in chunks');
    }
    my $r = $tls->s_client(path => '/away', body => $body, @o);
    is($r->response->body, 'away', 'a body that nobody wants');
}

# Requests with bodies and without behind one another, each with its own
# answer: in one record, and in as many as there are bytes.

my ($many, @want) = ('');
for my $n (9, 1 .. 9, 3) {
    $many .= "GET /f$n HTTP/1.1\r\nHost: a\r\n\r\n";
    push @want, $file{"f$n"};
    my $small = "body $n" x $n;
    $many .= "POST /kept HTTP/1.1\r\nHost: a\r\nContent-Length: "
        . length($small) . "\r\n\r\n$small";
    push @want, $small;
}
for my $v (qw/1.2 1.3/) {
    for my $how ('at once', 'byte by byte') {
        for my $twice (1, 2) {
            my $c = $tls->connect(ca => 'root', tls => $v);
            if ($how eq 'at once') {
                $c->write($many);
            } else {
                $c->write_slowly($many, 1, 0.0005);
            }
            my @got = map { $c->read_response->body } @want;
            is_deeply(\@got, \@want, "TLS $v: pipelining, $how");
            $c->close;
            last if $how ne 'at once';
        }
    }
}

done_testing;
