#!/usr/bin/perl

# Which location: nginx's rules, compared with nginx itself where it is there.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $config = <<'EOC';
http {
    server {
        listen %%PORT_80%%;
        location / { return 200 root; }
        location = / { return 200 =root; }
        location /p { return 200 p; }
        location /p/ { return 200 p/; }
        location /p/q { return 200 p/q; }
        location = /p/q { return 200 =p/q; }
        location ^~ /no { return 200 ^no; }
        location ^~ /no/yes { return 200 ^no/yes; }
        location /no/maybe { return 200 no/maybe; }
        location ~ \.x$ { return 200 x; }
        location ~* \.Y$ { return 200 y; }
        location ~ "\.(?<ext>[a-z]{3})$" { return 200 "$ext $1"; }
        location ~ ^/p/r { return 200 r; }
        location /%41 { return 200 percent; }
        location "/a b" { return 200 blank; }
        location /n {
            location /n/e { return 200 n/e; }
            location /n/e/e { return 200 n/e/e; }
            location = /n/exact { return 200 =n/exact; }
            location ^~ /n/no { return 200 ^n/no; }
            location ~ \.x$ { return 200 n-x; }
            location ~ ^/n/(.)z {
                location ~ ^/n/(.)zz { return 200 "nzz $1"; }
                return 200 "nz $1";
            }
            return 200 n;
        }
        location ^~ /m {
            location ~ \.x$ { return 200 m-x; }
            return 200 m;
        }
        location ~ ^/re/ {
            location ~ in2$ { return 200 re-in2; }
            return 200 re;
        }
        location @named { return 200 named; }
        location /internal {
            internal;
            return 200 internal;
            location /internal/in { return 200 inner; }
        }
        location /go { error_page 404 @named; return 404; }
        location /goin { rewrite ^ /internal/in last; }
        location /goint { rewrite ^ /internal/x last; }
    }
}
EOC

my @uris = qw{/ /x /p /pp /p/ /p/a /p/q /p/q/ /p/q.x /p/r /p/rx /no /no.x
    /no/yes /no/yes.x /no/maybe /no/maybe.x /none.x /a.x /a.X /a.y /a.Y
    /a.abc /a.ABC /p.abc /A /%41 /%2541 /a%20b /a%20bc /n /n/ /n/e /n/e/e
    /n/e/e/e /n/e.x /n/exact /n/exactly /n/no.x /n/x.x /n/az /n/azz /n/a.y
    /n/e.y /m /m.x /m/a.x /m/a.y /re/ /re/x /re/in /re/in.x /re/in2 /re/a.x
    /@named /internal /internal/x /internal/in /goin /go /goint //p//q /p/./q /p/../p/q
    /p/%71 /p/q?x /P /p/Q};

my $t = Test::Veil->new->config($config)->run;
my %got = map { my $r = $t->get($_); ($_ => $r->status . ' ' . $r->body) }
    @uris;
s/<.*//s for values %got;

my %want = (
    '/' => '200 =root', '/x' => '200 root', '/p' => '200 p',
    '/pp' => '200 p', '/p/' => '200 p/', '/p/q' => '200 =p/q',
    '/p/q/' => '200 p/q', '/p/q.x' => '200 x', '/p/rx' => '200 r',
    '/no.x' => '200 ^no', '/no/yes.x' => '200 ^no/yes',
    '/no/maybe' => '200 no/maybe', '/no/maybe.x' => '200 x',
    '/a.X' => '200 root', '/a.y' => '200 y', '/a.abc' => '200 abc abc',
    '/n/e/e/e' => '200 n/e/e', '/n/exactly' => '200 n/e',
    '/n/no.x' => '200 x', '/n/x.x' => '200 n-x',
    '/n/azz' => '200 nzz a', '/m/a.x' => '200 m-x', '/m/a.y' => '200 m',
    '/re/in2' => '200 re-in2', '/internal' => '404 ',
    '/internal/in' => '404 ', '/go' => '404 named',
    '/goint' => '200 internal', '/goin' => '200 inner', '//p//q' => '200 =p/q');
is($got{$_}, $want{$_}, "$_") for sort keys %want;

SKIP: {
    my ($bin) = grep { -x } $ENV{TEST_NGINX_BINARY} // '',
        map {"$_/nginx"} split(/:/, $ENV{PATH}), '/usr/sbin';
    skip 'no nginx to compare with', scalar @uris unless $bin;
    my $n = Test::Veil->new(binary => 'nginx')->config($config)->run;
    for (@uris) {
        my $r = $n->get($_);
        my $text = $r->status . ' ' . $r->body;
        $text =~ s/<.*//s;
        is($got{$_}, $text, "as nginx: $_");
    }
}

# Ten thousand of them.

my $many = join "\n", map {"location /m/$_ { return 200 $_; }"} 1 .. 10_000;
my $big = Test::Veil->new->config(
    "http { server { listen %%PORT_80%%; $many } }")->run;
is($big->get("/m/$_")->body, $_, "one of 10000: $_")
    for 1, 17, 999, 1000, 9999, 10000;
is($big->get('/m/10000x')->body, '10000', 'the longest prefix of 10000');
is($big->get('/m/')->status, 404, 'none of 10000');

# Mistakes.

for (
    [ 'location /a { } location /a { }', qr/duplicate location "\/a"/ ],
    [ 'location = /a { } location = /a { }', qr/duplicate location "\/a"/ ],
    [ 'location @a { } location @a { }', qr/duplicate location "\@a"/ ],
    [ 'route /a { } location /a { }', qr/duplicate location "\/a"/ ],
    [ 'route /a { } route /a/ { }', qr/duplicate/ ],
    [ 'location /a { location /b { } }',
        qr/location "\/b" is outside location "\/a"/ ],
    [ 'location /a { location @b { } }',
        qr/named location "\@b" can be on the server level only/ ],
    [ 'location = /a { location /a/b { } }',
        qr/cannot be inside the exact location "\/a"/ ],
    [ 'location @a { location /b { } }',
        qr/cannot be inside the named location "\@a"/ ],
    [ 'location ~ ( { }', qr/pcre2_compile\(\) failed/ ],
    [ 'location ! /a { }', qr/"!".*\^~|"!".*=/s ],
    [ 'route a { }', qr/the prefix of a route begins with "\/"/ ],
    [ 'location @a { alias /x; }',
        qr/"alias" cannot be used inside the named location/ ],
    [ 'location /a { limit_except FOO { deny all; } }',
        qr/invalid method "FOO"/ ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config(
        "http { server { listen %%PORT_80%%; $text } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
