#!/usr/bin/perl

# route: prefixes by path segments, with or without a slash at the end, never
# a redirect, stripped before files and before proxy_pass.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $u = $t->upstream('b', handler => sub {
    my ($conn, $req) = @_;
    my ($uri) = $req->{line} =~ /^\S+ (\S+)/;
    $conn->reply(body => $uri);
});
$t->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        server_name example.com;

        route /robots.txt { alias %%TESTDIR%%/www/robots.txt; }
        route /static/    { alias %%TESTDIR%%/www/assets/; }
        route /docs       { alias %%TESTDIR%%/www/docs/; }
        route /noslash    { alias %%TESTDIR%%/www/docs; }
        route /user/      { alias %%TESTDIR%%/www/user/; index profile.html; }
        route /bare       { alias %%TESTDIR%%/www/bare; }
        route /api/       { proxy_pass http://%%UPSTREAM_b%%/app/; }
        route /apin       { proxy_pass http://%%UPSTREAM_b%%/app; }
        route /backend    { proxy_pass http://%%UPSTREAM_b%%; }
        route /slash/     { proxy_pass http://%%UPSTREAM_b%%/; }
        route /a          { return 200 "a $path"; }
        route /a/b        { return 200 "a/b $path"; }
        route /a/b/c/     { return 200 "a/b/c $path"; }
        route /outer {
            add_header X-Outer 1;
            route /outer/inner { return 200 "inner $path"; }
            return 200 "outer $path";
        }
        location /loc     { return 200 loc; }
        location ~ \.css$ { return 200 regex; }
        route /           { alias %%TESTDIR%%/www/index.html; }
    }
    server {
        listen %%PORT_80%%;
        server_name dir.example;
        route / { alias %%TESTDIR%%/www/docs; }
    }
    server {
        listen %%PORT_80%%;
        server_name api.example;
        route / { proxy_pass http://%%UPSTREAM_b%%/base; }
    }
    server {
        listen %%PORT_80%%;
        server_name none.example;
        route /only { return 200 only; }
    }
}
EOC
$t->write_file('www/robots.txt', 'robots');
$t->write_file('www/robots.txtfoo', 'not this');
$t->write_file('www/index.html', 'home');
$t->write_file('www/assets/index.html', 'assets index');
$t->write_file('www/assets/css/style.css', 'style');
$t->write_file('www/assets/a.css', 'a css');
$t->write_file('www/docs/index.html', 'docs index');
$t->write_file('www/docs/guide/intro.html', 'intro');
$t->write_file('www/docs/guide/index.html', 'guide index');
$t->write_file('www/docs_secret/x', 'secret');
$t->write_file('www/user/profile.html', 'profile');
$t->write_file('www/user/index.html', 'not this');
$t->write_file('www/bare/file', 'file');
$t->run;

my $host = 'example.com';

sub body {
    my ($path, $want, $what) = @_;
    my $r = $t->get($path, host => $host);
    is($r->status . ' ' . $r->body, "200 $want", "$path: $what");
}

sub status {
    my ($path, $want, $what) = @_;
    is($t->get($path, host => $host)->status, $want, "$path: $what");
}

# A file: exactly that.

body('/robots.txt', 'robots', 'a file');
status('/robots.txt/extra', 404, 'nothing lies below a file');
body('/robots.txt?x=1', 'robots', 'a query does not matter');

# A directory.

body('/static/css/style.css', 'style', 'a file in a directory');
body('/static/a.css?v=2', 'a css', 'with a query, and no regex gets it');
body('/static/', 'assets index', 'its index');
body('/static', 'assets index', 'also without the slash');
body('/docs', 'docs index', 'returned directly');
body('/docs/', 'docs index', 'the same');
body('/docs/guide/intro.html', 'intro', 'below');
body('/docs/guide', 'guide index', 'a directory below');
body('/docs/guide/', 'guide index', 'a directory below, with its slash');
body('/noslash/guide/intro.html', 'intro', 'one slash is put between');
body('/noslash', 'docs index', 'and the index is found');
status('/docs/missing', 404, 'what is not there');
status('/docs/guide/intro.html/', 404, 'a file with a slash');
body('/user/', 'profile', 'index');
body('/user', 'profile', 'index, without the slash');
status('/bare', 403, 'a directory without index');
status('/bare/', 403, 'a directory without index');
body('/bare/file', 'file', 'its files are there');

# By segments.

status('/docsfoo', 404, 'not a segment');
status('/docs../docs_secret/x', 404, 'no way out');
status('/docs/../docs_secret/x', 404, 'no way out');
status('/docs/%2e%2e/docs_secret/x', 404, 'no way out, escaped');
status('/robots.txtfoo', 404, 'not a segment');
body('/a', 'a ', 'the prefix itself');
body('/a/', 'a ', 'with its slash');
body('/a/x', 'a x', 'below');
body('/a/b', 'a/b ', 'the longest wins');
body('/a/bc', 'a bc', 'by segments');
body('/a/b/c', 'a/b/c ', 'the longest wins, without its slash');
body('/a/b/c/d/e', 'a/b/c d/e', 'deeper');
body('/a/b/cd', 'a/b cd', 'by segments');
body('/outer/inner/x', 'inner x', 'a route in a route');
body('/outer/innerx', 'outer innerx', 'by segments there, too');
body('/loc', 'loc', 'a location beside routes');
body('/locx', 'loc', 'which is textual, as in nginx');
body('/loc/x.css', 'regex', 'and regexes are for locations');
body('/', 'home', 'the file at /');
status('/anything', 404, 'but nothing else');

# To a backend.

body('/api/v1/users', '/app/v1/users', 'joined');
body('/api/', '/app/', 'the prefix');
body('/api', '/app/', 'the prefix without its slash');
body('/apin/v1', '/app/v1', 'one slash is put between');
body('/backend', '/', 'no path');
body('/backend/', '/', 'no path, with a slash');
body('/backend/users', '/users', 'not //users');
body('/backend?x=1', '/?x=1', 'the query is kept');
body('/backend/users?x=1', '/users?x=1', 'the query is kept');
body('/slash/users', '/users', 'not //users');
status('/backendx', 404, 'not a segment');
status('/apix', 404, 'not a segment');

$host = 'dir.example';
body('/', 'docs index', 'a directory at /');
body('/guide/intro.html', 'intro', 'below it');
body('/guide', 'guide index', 'a directory below it');
status('/none', 404, 'not there');

$host = 'api.example';
body('/x/y?z', '/base/x/y?z', 'a backend at /');
body('/', '/base/', 'a backend at /');

$host = 'none.example';
status('/other', 404, 'no route');
body('/only/x', 'only', 'the route');

done_testing;
