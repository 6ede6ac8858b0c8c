#!/usr/bin/perl

# The URI that goes to the upstream: as nginx has it, and in routes.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $u = $t->upstream(a => handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => $req->{uri});
});
my $veil = !$t->is_nginx;
my $routes = $veil ? <<'EOR' : '';
        route /backend { proxy_pass http://%%UPSTREAM_a%%; }
        route /api/ { proxy_pass http://%%UPSTREAM_a%%/app/; }
        route /deep { proxy_pass http://%%UPSTREAM_a%%/a/b; }
EOR

$t->config(<<"EOC" =~ s/ROUTES/$routes/r);
http {
    server {
        listen %%PORT_80%%;
        merge_slashes off;
        location /plain { proxy_pass http://%%UPSTREAM_a%%; }
        location /sub/ { proxy_pass http://%%UPSTREAM_a%%/other/; }
        location /bare { proxy_pass http://%%UPSTREAM_a%%/; }
        location /join/ { proxy_pass http://%%UPSTREAM_a%%/x; }
        location = /exact { proxy_pass http://%%UPSTREAM_a%%/only; }
        location ~ ^/re/ { proxy_pass http://%%UPSTREAM_a%%; }
        location /var/ { proxy_pass http://%%UPSTREAM_a%%\$uri; }
        location /whole/ {
            proxy_pass http://%%UPSTREAM_a%%/fixed?from=\$arg_q;
        }
        location /host/ {
            set \$backend %%UPSTREAM_a%%;
            proxy_pass http://\$backend;
        }
        location /broken/ {
            rewrite ^/broken/(.*)\$ /new/\$1 break;
            proxy_pass http://%%UPSTREAM_a%%/unused/;
        }
        location /moved/ { rewrite ^/moved/(.*)\$ /plain/\$1 last; }
        location /if/ {
            if (\$arg_q = "1") { proxy_pass http://%%UPSTREAM_a%%; }
        }
ROUTES
    }
}
EOC
$t->run;

my @table = (
    # without a URI: byte by byte
    [ '/plain', '/plain' ],
    [ '/plain/a%2Fb%20c?x=%20y&&', '/plain/a%2Fb%20c?x=%20y&&' ],
    [ '/plain/../plain/./x', '/plain/../plain/./x' ],
    [ '/plain//a', '/plain//a' ],
    [ '/plain?', '/plain?' ],
    # with one: in place of the prefix
    [ '/sub/a/b?c=d', '/other/a/b?c=d' ],
    [ '/sub/', '/other/' ],
    [ '/sub/a%20b', '/other/a%20b' ],
    [ '/sub/a%3Fb', '/other/a%3Fb' ],
    [ '/sub/%E4%BD%A0', '/other/%E4%BD%A0' ],
    [ '/bare/users', '//users' ],
    [ '/bare', '/' ],
    [ '/join/y', '/xy' ],
    [ '/exact?q', '/only?q' ],
    [ '/re/a%2Fb', '/re/a%2Fb' ],
    # with variables
    [ '/var/a/b?c=d', '/var/a/b' ],
    [ '/whole/a?q=1', '/fixed?from=1' ],
    [ '/host/a%2Fb?c', '/host/a%2Fb?c' ],
    # after a rewrite
    [ '/broken/a?b=c', '/new/a?b=c' ],
    [ '/moved/a?b=c', '/plain/a?b=c' ],
    [ '/if/a?q=1', '/if/a?q=1' ],
);
is($t->get($_->[0])->body, $_->[1], $_->[0]) for @table;

# A variable cannot begin another line of the request.

like($t->get('/var/a%0d%0aX-Evil:%20yes')->body,
    qr{^/var/a%0D%0AX-Evil:(%20| )yes$|^/var/a$}i,
    'no line breaks from variables');

if ($veil) {
    my @routes = (
        [ '/backend', '/' ],
        [ '/backend/', '/' ],
        [ '/backend/users', '/users' ],
        [ '/backend/users/?a=b', '/users/?a=b' ],
        [ '/api/v1/users', '/app/v1/users' ],
        [ '/api', '/app/' ],
        [ '/deep/c', '/a/b/c' ],
    );
    is($t->get($_->[0])->body, $_->[1], "route: $_->[0]") for @routes;
    is($t->get('/backendx')->status, 404, 'route: whole segments only');
}

done_testing;
