#!/usr/bin/perl

# Files: what a URI leads to.  A table of requests with the answers they must
# have; where an nginx is installed it must give the same ones, except where
# the test says why not.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

require POSIX;

my $veil = Test::Veil->new(name => 'veil');
my $nginx = -x '/usr/sbin/nginx' ? Test::Veil->new(binary => 'nginx') : undef;

# Both serve the first one's files.

my $root = $veil->testdir . '/html';
my $top = $veil->testdir;
$veil->write_file("html/$_", "this is $_\n")
    for qw(a.txt b.html c.css d.js e.json f.png g.unknown noext h.TXT
    dir/in.txt dir/index.html bare/in.txt per%cent.txt q?.txt
    café.txt .hidden a.txt.gz deep/er/file.txt sub/dir/x.txt), 'sp ace.txt', 'new\line';
$veil->write_file('html/empty.txt', '');
$veil->write_file('html/secret.txt', 'secret');
$veil->write_file('outside.txt', 'outside');
$veil->write_file('aliased/one.txt', 'aliased one');
$veil->write_file('aliased/index.html', 'aliased index');
$veil->write_file('aliased/sub/two.txt', 'aliased two');
$veil->write_file('hosts/a.example/page.txt', 'page of a');
chmod 0, "$root/secret.txt";
mkdir "$root/locked";
$veil->write_file('html/locked/in.txt', 'locked');
chmod 0, "$root/locked";
symlink 'a.txt', "$root/link.txt" or die;
symlink '/nonexistent', "$root/dangling" or die;
symlink "$top/outside.txt", "$root/out.txt" or die;
symlink 'dir', "$root/linkdir" or die;
symlink 'loop', "$root/loop" or die;
POSIX::mkfifo("$root/fifo", 0644) or die;
my $socket = IO::Socket::UNIX->new(Local => "$root/socket", Listen => 1)
    or die;

my $config = <<"EOC";
http {
    etag off;
    default_type application/x-default;
    types {
        text/plain txt;
        text/html  html htm;
        text/css   css;
        image/png  png;
    }
    index index.html;
    server {
        listen %%PORT_80%%;
        server_name localhost;
        root $root;

        location /own/ {
            alias $root/;
            types { application/x-own txt; }
            default_type "";
        }
        location /empty-types/ {
            alias $root/;
            types { }
            default_type text/x-all;
        }
        location /al/ { alias $top/aliased/; }
        location /alslash { alias $top/aliased; }
        location = /exact { alias $top/aliased/one.txt; }
        location ~ ^/re/(.*)\$ { alias $top/aliased/\$1; }
        location ~ ^/named/(?<file>[a-z]+)\$ {
            alias $top/aliased/\$file.txt;
        }
        location /by-host/ { alias $top/hosts/\$host/; }
        location /var/ { root $top/\$arg_where; }
        location /quiet/ { log_not_found off; }
        location /nolink/ { alias $root/; disable_symlinks on; }
        location /owner/ {
            alias $root/;
            disable_symlinks if_not_owner from=$root;
        }
        location /from/ { alias $root/; disable_symlinks on from=$root; }
        location /nosendfile/ { alias $root/; sendfile off; }
        location /internal/ { internal; alias $root/; }
        location /relative/ {
            alias $root/;
            absolute_redirect off;
        }
        location /405 { error_page 405 =200 /a.txt; }
    }
}
EOC

$_ && $_->config($config) for $veil, $nginx;
$_ && $_->run for $veil, $nginx;

# [ request, status, { header => value }, body ]; a header of undef is not
# there; a body of undef is any.

my $host = 'http://localhost';
my @table = (
    # types
    [ 'GET /a.txt', 200, { 'Content-Type' => 'text/plain',
        'Content-Length' => 14, 'Accept-Ranges' => 'bytes' },
        "this is a.txt\n" ],
    [ 'GET /b.html', 200, { 'Content-Type' => 'text/html' } ],
    [ 'GET /c.css', 200, { 'Content-Type' => 'text/css' } ],
    [ 'GET /f.png', 200, { 'Content-Type' => 'image/png' } ],
    [ 'GET /h.TXT', 200, { 'Content-Type' => 'text/plain' } ],
    [ 'GET /d.js', 200, { 'Content-Type' => 'application/x-default' } ],
    [ 'GET /noext', 200, { 'Content-Type' => 'application/x-default' } ],
    [ 'GET /.hidden', 200, { 'Content-Type' => 'application/x-default' } ],
    [ 'GET /a.txt.gz', 200, { 'Content-Type' => 'application/x-default' } ],
    [ 'GET /own/a.txt', 200, { 'Content-Type' => 'application/x-own' } ],
    [ 'GET /own/b.html', 200, { 'Content-Type' => undef } ],
    [ 'GET /empty-types/a.txt', 200, { 'Content-Type' => 'text/x-all' } ],
    [ 'GET /empty.txt', 200, { 'Content-Length' => 0 }, '' ],
    [ 'GET /nosendfile/a.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /nosendfile/empty.txt', 200, { 'Content-Length' => 0 }, '' ],

    # methods
    [ 'HEAD /a.txt', 200, { 'Content-Length' => 14,
        'Content-Type' => 'text/plain' }, '' ],
    [ 'HEAD /none', 404, {}, '' ],
    [ 'POST /a.txt', 405 ],
    [ 'POST /none', 404 ],
    [ 'PUT /a.txt', 405 ],
    [ 'DELETE /a.txt', 405 ],
    [ 'OPTIONS /a.txt', 405 ],
    [ 'PROPFIND /', 405 ],
    [ 'POST /405', 404 ],

    # names
    [ 'GET /sp%20ace.txt', 200, {}, "this is sp ace.txt\n" ],
    [ 'GET /per%25cent.txt', 200, {}, "this is per%cent.txt\n" ],
    [ 'GET /q%3f.txt', 200, {}, "this is q?.txt\n" ],
    [ 'GET /q?.txt', 404 ],
    [ 'GET /a.txt?x=y', 200, {}, "this is a.txt\n" ],
    [ 'GET /caf%c3%a9.txt', 200 ],
    [ 'GET /new%5cline', 200 ],
    [ 'GET /dir%2fin.txt', 200, {}, "this is dir/in.txt\n" ],
    [ 'GET /dir//in.txt', 200, {}, "this is dir/in.txt\n" ],
    [ 'GET /dir/./in.txt', 200, {}, "this is dir/in.txt\n" ],
    [ 'GET /dir/../a.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /dir/%2e%2e/a.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /dir/%2e%2e%2fa.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /../outside.txt', 400 ],
    [ 'GET /%2e%2e/outside.txt', 400 ],
    [ 'GET /dir/../../outside.txt', 400 ],
    [ 'GET /dir/%2e%2e/%2e%2e/outside.txt', 400 ],
    [ 'GET /%252e%252e/outside.txt', 404 ],
    [ 'GET /a.txt%00', 400 ],
    [ 'GET /a.txt%00.html', 400 ],
    [ 'GET /a.txt/', 404 ],
    [ 'GET /a.txt/x', 404 ],
    [ 'GET /' . 'n' x 255, 404 ],
    [ 'GET /' . 'n' x 256, 404 ],
    [ 'GET /' . 'd/' x 1500, 404 ],
    [ 'GET /' . 'n' x 5000, 404 ],
    [ 'GET /deep/er/file.txt', 200 ],

    # directories
    [ 'GET /dir', 301, { Location => "$host/dir/" } ],
    [ 'GET /dir?a=b', 301, { Location => "$host/dir/?a=b" } ],
    [ 'HEAD /dir', 301, { Location => "$host/dir/" }, '' ],
    [ 'GET /linkdir', 301, { Location => "$host/linkdir/" } ],
    [ 'GET /sub%2fdir', 301, { Location => "$host/sub/dir/" } ],
    [ 'GET /al/sub', 301, { Location => "$host/al/sub/" } ],
    [ 'GET /relative/dir?x', 301, { Location => '/relative/dir/?x' } ],
    [ 'GET /dir/', 200, { 'Content-Type' => 'text/html' },
        "this is dir/index.html\n" ],
    [ 'GET /bare/', 403 ],
    [ 'GET /none/', 404 ],
    [ 'POST /dir', 301 ],

    # what is not there, not a file, or not to be read
    [ 'GET /none', 404 ],
    [ 'GET /quiet/none', 404 ],
    [ 'GET /secret.txt', 403 ],
    [ 'GET /locked/in.txt', 403 ],
    [ 'GET /locked/', 403 ],
    [ 'GET /fifo', 404 ],
    [ 'GET /dangling', 404 ],
    [ 'GET /internal/a.txt', 404 ],

    # symbolic links
    [ 'GET /link.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /linkdir/in.txt', 200 ],
    [ 'GET /out.txt', 200, {}, 'outside' ],
    [ 'GET /from/a.txt', 200 ],
    [ 'GET /from/link.txt', 403 ],
    [ 'GET /from/linkdir/in.txt', 403 ],
    [ 'GET /from/dir/in.txt', 200 ],
    [ 'GET /from/dir/', 200 ],
    [ 'GET /from/none', 404 ],
    [ 'GET /nolink/a.txt', 200 ],
    [ 'GET /nolink/link.txt', 403 ],
    [ 'GET /owner/link.txt', 200 ],
    [ 'GET /owner/linkdir/in.txt', 200 ],
    [ 'GET /owner/dangling', 404 ],

    # alias
    [ 'GET /al/one.txt', 200, {}, 'aliased one' ],
    [ 'GET /al/', 200, {}, 'aliased index' ],
    [ 'GET /al/sub/two.txt', 200, {}, 'aliased two' ],
    [ 'GET /al/../a.txt', 200, {}, "this is a.txt\n" ],
    [ 'GET /alslash/one.txt', 200, {}, 'aliased one' ],
    [ 'GET /exact', 200, { 'Content-Type' => 'application/x-default' },
        'aliased one' ],
    [ 'GET /re/one.txt', 200, {}, 'aliased one' ],
    [ 'GET /re/sub/two.txt', 200, {}, 'aliased two' ],
    [ 'GET /re/none', 404 ],
    [ 'GET /named/one', 200, {}, 'aliased one' ],
    [ 'GET /var/x.txt?where=nowhere', 404 ],
);

# nginx notices that a link is no directory before it notices that it is a
# link; veil answers as nginx's documentation has it.
my %nginx_says = ('GET /from/linkdir/in.txt' => 404);

sub answer {
    my ($t, $request) = @_;
    my ($method, $path) = $request =~ /^(\S+) (.*)$/s;
    return $t->request(method => $method, path => $path,
        host => 'localhost', body => $method =~ /^(?:POST|PUT)$/ ? 'x' : undef);
}

for my $t (grep { $_ } $veil, $nginx) {
    my $who = $t->{name};
    for my $row (@table) {
        my ($request, $status, $headers, $body) = @$row;
        my $what = "$who: " . substr($request, 0, 50);
        my $r = answer($t, $request);

        $status = $nginx_says{$request} // $status if $who eq 'nginx';

        is($r->status, $status, $what);
        for my $h (sort keys %{ $headers // {} }) {
            my $want = $headers->{$h};
            my $port = $t->port(80);
            my $got = $r->header($h);
            $got =~ s/^(http:\/\/localhost):$port/$1/ if defined $got;
            is($got, $want, "$what, $h");
        }
        is($r->body, $body, "$what, body") if defined $body;
    }

    my $r = $t->get('/by-host/page.txt', host => 'a.example');
    is($r->body, 'page of a', "$who: a variable in alias");
    is($t->get('/by-host/page.txt', host => 'b.example')->status, 404,
        "$who: another value");
    like($t->log, qr{"\S+/html/none" failed \(2: No such}, "$who: a log line");
    unlike($t->log, qr{/quiet/none" failed}, "$who: log_not_found off");
}

# A link that belongs to somebody else, which takes root to make.

SKIP: {
    skip 'not root', 2 if $> != 0;
    symlink 'a.txt', "$root/other.txt" or die;
    system('chown', '-h', 'nobody', "$root/other.txt") == 0
        or skip 'no chown -h', 2;
    is($veil->get('/owner/other.txt')->status, 403,
        'a link of another owner');
    is($veil->get('/other.txt')->status, 200, 'without a policy');
}

chmod 0755, "$root/locked";
done_testing;
