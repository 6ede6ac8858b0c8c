#!/usr/bin/perl

# What a route serves lies below its directory: a symbolic link that leads out
# is forbidden, one that stays inside is followed, and the directory itself
# may be a link.  A location follows all, as in nginx.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/static index/);
my $dir = $t->testdir;

$t->write_file('www/a/index.html', 'index of a');
$t->write_file('www/b/file', 'file of b');
$t->write_file('www2/file', 'outside');
$t->write_file('www/own/x', 'x');
symlink '../www2/file', "$dir/www/out";
symlink "$dir/www2", "$dir/www/outdir";
symlink 'b/file', "$dir/www/in";
symlink "$dir/www/b", "$dir/www/indir";
symlink '../../www2/file', "$dir/www/own/index.html";
symlink 'www', "$dir/current";

for my $cache ('', 'open_file_cache max=10;') {
    $t->config(<<"EOC");
http {
    $cache
    server {
        listen %%PORT_80%%;
        route /r { alias %%TESTDIR%%/www; }
        route /slash { alias %%TESTDIR%%/www/; }
        route /current { alias %%TESTDIR%%/current; }
        route /none { alias %%TESTDIR%%/www; disable_symlinks on; }
        route /one { alias %%TESTDIR%%/www/out; }
        location /l/ { alias %%TESTDIR%%/www/; }
    }
}
EOC
    $t->run;

    # Twice: the second time from memory, or from the cache.
    for my $case (
        [ '/r/b/file'       => 200, 'file of b' ],
        [ '/r/a'            => 200, 'index of a' ],
        [ '/r/in'           => 200, 'file of b' ],
        [ '/r/indir/file'   => 200, 'file of b' ],
        [ '/r/out'          => 403 ],
        [ '/r/outdir/file'  => 403 ],
        [ '/r/outdir/'      => 403 ],
        [ '/r/own'          => 403 ],
        [ '/r/missing'      => 404 ],
        [ '/slash/in'       => 200, 'file of b' ],
        [ '/slash/out'      => 403 ],
        [ '/current/b/file' => 200, 'file of b' ],
        [ '/current/out'    => 403 ],
        [ '/none/b/file'    => 200, 'file of b' ],
        [ '/none/in'        => 403 ],
        [ '/one'            => 200, 'outside' ],
        [ '/l/out'          => 200, 'outside' ],
        )
    {
        my ($path, $status, $body) = @$case;
        for (1, 2) {
            my $r = $t->get($path);
            is($r->status, $status, "$path $cache");
            is($r->body, $body, '... its content') if defined $body;
        }
    }
    $t->stop;
}

done_testing;
