#!/usr/bin/perl

# Bodies of requests in files: client_body_in_file_only, and the variables
# $request_body and $request_body_file.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $body = join '', map {"line $_\n"} 1 .. 5000;

# Says which file it was told of, what is in it, and what came as the body.
$t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    my $file = $conn->header($req, 'X-File') // '';
    my $in_file = '';
    if ($file ne '' && open my $f, '<', $file) {
        local $/;
        $in_file = <$f>;
        close $f;
    }
    $conn->reply(body => join '|', $file, length $in_file,
        $in_file eq $body ? 'whole' : 'other', length $req->{body});
});
$t->config(<<'EOC');
http {
    log_format trailer '$trailer_x_sum|$trailer_none';
    access_log %%TESTDIR%%/trailer.log trailer;
    client_body_temp_path %%TESTDIR%%/bodies 1;
    client_max_body_size 1m;
    proxy_set_header X-File $request_body_file;
    server {
        listen %%PORT_80%%;
        location /off/ { proxy_pass http://%%UPSTREAM_a%%; }
        location /clean/ {
            client_body_in_file_only clean;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /on/ {
            client_body_in_file_only on;
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /only/ {
            client_body_in_file_only clean;
            proxy_pass_request_body off;
            proxy_set_header X-File $request_body_file;
            proxy_set_header Content-Length "";
            proxy_pass http://%%UPSTREAM_a%%;
        }
        location /body/ {
            proxy_set_body "<$request_body>";
            proxy_pass http://%%UPSTREAM_a%%;
        }
    }
}
EOC
$t->run;

my $long = length $body;
my $r = $t->post('/off/', $body);
is($r->body, "|0|other|$long", 'no name unless one is asked for');

$r = $t->post('/clean/', $body);
like($r->body, qr/^(.+)\|$long\|whole\|$long$/, 'clean: the body, in a file');
my ($file) = split /\|/, $r->body;
like($file, qr{/bodies/\d/\d+\.\d+$}, 'where the configuration wants it');
ok($t->wait_for(sub { !-e $file }), 'gone with the request');
like($t->log, qr/\[notice\].* buffered to a temporary file/, 'a notice');
unlike($t->log, qr/\[warn\].*clean/, 'and no warning');

$r = $t->post('/on/', $body);
($file) = split /\|/, $r->body;
is(-s $file, $long, 'on: it stays');
is((stat $file)[2] & 0777, 0600, 'for its owner only');

$r = $t->post('/only/', $body);
like($r->body, qr/\|$long\|whole\|0$/, 'the file instead of the body');

$r = $t->post('/body/', 'abc');
like($r->body, qr/\|5$/, '$request_body in proxy_set_body');
$t->raw("POST /off/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n");
ok($t->wait_for(sub { $t->read_file('trailer.log') =~ /^42\|-$/m }),
    '$trailer_... has what followed the body');

$r = $t->get('/on/');
is($r->body, '|0|other|0', 'no body, no file');

done_testing();
