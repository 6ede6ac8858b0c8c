#!/usr/bin/perl

# Requests that come at once on a connection of HTTP/2 whose client's
# certificate is asked about (ssl_ocsp): one question for all of them, and one
# answer.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;
use IPC::Open2 qw/open2/;

my $t = Test::Veil->new->has('v2', 'hpack', 'ssl', 'ssl_ocsp');
my $tls = Test::Veil::TLS->new($t);
my $dir = $t->testdir;

# The first part of the path says whose answer is wanted, and when.
my $u = $t->upstream('ocsp', gates => [qw/good given revoked next/], handler => sub {
    my ($conn, $req) = @_;
    my ($name) = $req->{uri} =~ m{^/(\w+)};

    $conn->note($name);
    return Test::Veil::Upstream::never()->($conn, $req) if $name eq 'left';
    $conn->wait($name);
    $conn->reply(body => $t->read_file("$name.ocsp"),
        headers => [ 'Content-Type', 'application/ocsp-response' ]);
});
my $at = 'http://' . $u->addr;

sub asked { return scalar grep { $_ eq $_[0] } $u->notes }

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
for my $name (qw/good given revoked next left/) {
    $tls->cert($name, ca => 'root', client => 1,
        ext => ["authorityInfoAccess=OCSP;URI:$at/$name"]);
    $tls->staple($name, status => $name eq 'revoked' ? 'revoked' : 'good');
}

$t->config(<<'EOC')->run;
http {
    server {
        listen %%PORT_443%% ssl;
        http2 on;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        ssl_client_certificate %%TESTDIR%%/root.crt;
        ssl_verify_client on;
        ssl_ocsp leaf;
        location / { return 204; }
    }
}
EOC

sub client {
    my ($name, $reset) = @_;
    return ('/usr/bin/python3', 't/lib/h2_ocsp.py', $t->port(443),
        "$dir/root.crt", "$dir/$name.crt", "$dir/$name.key", $reset);
}

# What the client got, when $asked questions were there and were answered.
sub statuses {
    my ($name, $reset, $asked) = @_;
    my $pid = open2(my $f, my $to, client($name, $reset));
    is(scalar <$f>, "asked\n", "$name: three requests at once");
    ok($t->wait_for(sub { asked($name) >= 1 }), "$name: asked about");
    close $to; # it goes on
    ok($t->wait_for(sub { asked($name) >= $asked }), "$name: and again");
    $u->release($name);
    my $line = <$f> // 'nothing';
    waitpid $pid, 0;
    is(asked($name), $asked, "$name: $asked questions in all");
    chomp $line;
    return $line;
}

is(statuses('good', 0, 1), '204 204 204', 'good: all are let in');
is(statuses('revoked', 0, 1), '400 400 400', 'revoked: none is');
is(statuses('given', 1, 2), '204 204', 'the first gives up: another asks');

# All of them go away with their connection, and so does the question.

my $pid = open2(my $out, my $in, client('left', 2));
is(scalar <$out>, "asked\n", 'left: three requests at once');
ok($t->wait_for(sub { asked('left') == 1 }), 'left: asked about');
close $in;
waitpid $pid, 0;
ok($t->wait_for(sub { $u->open_connections == 0 }), 'nobody is asked then');
is(statuses('next', 0, 1), '204 204 204', 'and the next are served');

done_testing();
