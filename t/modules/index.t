#!/usr/bin/perl

# The index of a directory: which name, where it leads, what when there is
# none.  The answers are nginx's, which must give them too where there is one.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $veil = Test::Veil->new(name => 'veil');
my $nginx = -x '/usr/sbin/nginx' ? Test::Veil->new(binary => 'nginx') : undef;

my $root = $veil->testdir . '/html';
$veil->write_file("html/$_", "this is $_")
    for qw(index.html both/index.html both/first.txt second/second.txt
    none/other.txt isdir/second.txt php/index.php lang/index.de.html
    lang/index.en.html sub/index.html/x.txt abs/other.txt start.txt
    deep/a/b/first.txt unread/second.txt path/down/page.txt);
mkdir "$root/isdir/first.txt";
mkdir "$root/empty";
$veil->write_file('html/unread/first.txt', 'secret');
chmod 0, "$root/unread/first.txt";
mkdir "$root/closed";
chmod 0, "$root/closed";
$veil->write_file('html/dangle/second.txt', 'behind a link to nowhere');
symlink '/nonexistent', "$root/dangle/first.txt" or die;

my $config = <<"EOC";
http {
    default_type text/plain;
    access_log off;
    server {
        listen %%PORT_80%%;
        root $root;

        location /default { alias $root; }
        location /list/ {
            alias $root/;
            index first.txt second.txt;
        }
        location /abs/ { index nothing.txt /start.txt; }
        location /php/ { index index.php; }
        location ~ \\.php\$ { return 200 "php \$uri"; }
        location /lang/ { index index.\$arg_l.html index.en.html; }
        location /path/ { index down/page.txt; }
        location /twice/ {
            alias $root/;
            index nothing.txt;
            index second.txt;
        }
        location /inner/ {
            alias $root/;
            index nothing.txt second.txt;
            location /inner/both/ { alias $root/both/; }
            location /inner/own/ { alias $root/both/; index first.txt; }
        }
        location /args/ { alias $root/; index echo; }
        location /where { return 200 "\$uri \$args"; }
        location /go/ { alias $root/empty/; index /where; }
        location = /exactly/ { alias $root/both/; index first.txt; }
        location = /exactly/first.txt { return 200 "rerouted"; }
    }
}
EOC

$_ && $_->config($config) for $veil, $nginx;
$_ && $_->run for $veil, $nginx;

my @table = (
    [ '/', 200, 'this is index.html' ],
    [ '/both/', 200, 'this is both/index.html' ],
    [ '/none/', 403 ],
    [ '/empty/', 403 ],
    [ '/missing/', 404 ],
    [ '/start.txt/', 404 ],
    [ '/default/both/', 200, 'this is both/index.html' ],
    [ '/list/both/', 200, 'this is both/first.txt' ],
    [ '/list/second/', 200, 'this is second/second.txt' ],
    [ '/list/isdir/', 301 ],
    [ '/list/none/', 403 ],
    [ '/list/missing/', 404 ],
    [ '/list/unread/', 403 ],
    [ '/list/closed/', 403 ],
    [ '/list/dangle/', 200, 'behind a link to nowhere' ],
    [ '/list/deep/a/b/', 200, 'this is deep/a/b/first.txt' ],
    [ '/abs/', 200, 'this is start.txt' ],
    [ '/php/', 200, 'php /php/index.php' ],
    [ '/php/?a=b', 200, 'php /php/index.php' ],
    [ '/lang/?l=de', 200, 'this is lang/index.de.html' ],
    [ '/lang/?l=fr', 200, 'this is lang/index.en.html' ],
    [ '/lang/', 200, 'this is lang/index.en.html' ],
    [ '/path/', 200, 'this is path/down/page.txt' ],
    [ '/twice/second/', 200, 'this is second/second.txt' ],
    [ '/inner/both/', 403 ],
    [ '/inner/own/', 200, 'this is both/first.txt' ],
    [ '/inner/second/', 200, 'this is second/second.txt' ],
    [ '/go/?x=1&y', 200, '/where x=1&y' ],
    [ '/exactly/', 200, 'rerouted' ],
    [ '/sub/', 301 ],
);

for my $t (grep { $_ } $veil, $nginx) {
    my $who = $t->{name};
    for my $row (@table) {
        my ($uri, $status, $body) = @$row;
        my $r = $t->get($uri);
        is($r->status, $status, "$who: $uri");
        is($r->body, $body, "$who: $uri, body") if defined $body;
    }
    is($t->head('/both/')->status, 200, "$who: HEAD");
    is($t->post('/both/', 'x')->status, 405, "$who: POST");
    is($t->post('/none/', 'x')->status, 403, "$who: POST without an index");
    is($t->request(method => 'PUT', path => '/both/', body => 'x')->status,
        405, "$who: PUT");
}

# What the directive refuses or warns of.

for my $bad (
    [ 'index;', qr/invalid number of arguments in "index" directive/ ],
    [ 'index "";', qr/an index has a name/ ],
    [ 'index a /b c;', qr/only the last parameter/, 'warning' ])
{
    my ($text, $why, $warning) = @$bad;
    my $t = Test::Veil->new(name => 'refused');
    $t->config("http { server { listen %%PORT_80%%; $text } }");
    my ($status, $out) = $t->command('-t');
    is($status == 0, !!$warning, "$text is refused or warned of");
    like($out, $why, "$text: why");
}

chmod 0755, "$root/closed";
done_testing;
