#!/usr/bin/perl

# HEAD: the header a GET would have, and no body, whoever answers.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->plan(40)->config(<<'EOC');
http {
    default_type text/plain;

    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;

        location /text { return 200 "some text\n"; }
        location /204 { return 204; }
        location /301 { return 301 /x; }
        location /500 { return 500; }
        location /page { error_page 404 /404.html; root %%TESTDIR%%/none; }
        location = /404.html { }
    }
}
EOC
$t->write_file('html/a.txt', 'x' x 100_000);
$t->write_file('html/none', '');
$t->write_file('html/404.html', 'not found, sorry');
$t->run;

# What differs from one answer to the next is no difference.

sub same {
    my ($r) = @_;
    return join "\n", map {"@$_"} grep { $_->[0] ne 'Date' }
        @{ $r->{header_list} };
}

for my $path (qw{/text /204 /301 /500 /page /a.txt /none /missing}) {
    my ($get, $head) = ($t->get($path), $t->head($path));
    is($head->status, $get->status, "$path: the status of GET");
    is(same($head), same($get), "$path: the headers of GET");
    is($head->body, '', "$path: no body");
    is($head->rest, '', "$path: nothing after it");
}

is($t->head('/a.txt')->header('Content-Length'), 100_000, 'that of a file');
is($t->head('/page')->header('Content-Length'), 16, 'that of an error page');

# The next response begins right after the header.

my $c = $t->connect;
for my $path (qw{/a.txt /text /missing}) {
    $c->send_request(method => 'HEAD', path => $path);
    $c->send_request(path => '/text');
    $c->read_response;
    is($c->read_response->body, "some text\n", "a GET after HEAD $path");
}
is($t->head('/a.txt', headers => [ Range => 'bytes=0-9' ])->body, '',
    'HEAD with a range');
is($t->raw("HEAD /text HTTP/1.0\r\n\r\n") =~ s/.*\r\n\r\n//sr, '',
    'HEAD in HTTP/1.0');
is($t->head('/text', bytewise => 1)->header('Content-Length'), 10,
    'byte by byte');
