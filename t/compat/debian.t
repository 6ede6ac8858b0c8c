#!/usr/bin/perl

# Debian's own nginx.conf and its default site run.  Taken out is what veil
# does not build yet (see docs/nginx-differences.md); ports, logs and the
# document root are moved to where a test may have them.

use strict;
use warnings;
use lib 't/lib';
use Cwd qw/abs_path/;
use Test::Veil;

my ($conf) = grep { -f } '/etc/nginx/nginx.conf';
my $t = Test::Veil->new->skip_exit_check('its log has errors only');
$t->skip_all('no /etc/nginx/nginx.conf here') unless $conf;
my $site = '/etc/nginx/sites-enabled/default';
$site = '/etc/nginx/sites-available/default' unless -f $site;
$t->skip_all('no default site here') unless -f $site;

my $text = $t->read_file($conf);
my @out;

# What the reference has is not taken out, so this list only gets shorter.
my $built = $t->read_file(abs_path('docs/directives.md'));
my %built = map { $_ => 1 } $built =~ /^### (\w+)$/mg;

sub take_out {
    my ($text) = @_;
    $text =~ s{^(\s*)(\w+)(\s[^;\n]*;)}{
        my ($blank, $name, $rest) = ($1, $2, $3);
        if (!$built{$name} && $name =~ /^(ssl_|gzip)/) {
            push @out, $name;
            "$blank# $name$rest";
        } else {
            "$blank$name$rest";
        }
    }mge;
    return $text;
}

cmp_ok(scalar keys %built, '>', 50, 'the reference of directives');

# Dynamic modules cannot be loaded into another server.
$text =~ s{^(include \S*modules-enabled)}{# $1}m;
$text = take_out($text);
$text =~ s{/run/nginx\.pid}{%%TESTDIR%%/veil.pid};
$text =~ s{/var/log/nginx}{%%TESTDIR%%}g;
$text =~ s{/etc/nginx/sites-enabled/\*}{%%TESTDIR%%/sites/*};
$text =~ s{/etc/nginx/conf\.d}{%%TESTDIR%%/conf.d};

my $default = take_out($t->read_file($site));
$default =~ s{listen 80 }{listen %%PORT_80%% }g;
$default =~ s{^\s*listen \[::\].*\n}{}mg;
$default =~ s{/var/www/html}{%%TESTDIR%%/html}g;

$t->write_file('html/index.html', '<p>Welcome</p>');
$t->write_file('html/logo.svg', '<svg/>');
$t->write_file('html/sub/index.htm', 'sub');
$t->write_config('sites/default', $default);
$t->config($text);

my ($status, $said) = $t->command('-t');
is($status, 0, 'the configuration is well') or diag($said);
like($said, qr/"tcp_nopush" .*(?:no|without) effect/,
    'what has no effect is said');
note("taken out: @out");
(undef, $said) = $t->command('--lint');
is_deeply([ grep { !/L607|does not exist/ }
    $said =~ m{^(\S+: (?:warning|error): .*)$}mg ],
    [], 'and has no trap but the old protocols');

$t->run;
is($t->get('/', port => 80)->body, '<p>Welcome</p>', 'the index');
is($t->get('/', port => 80)->header('Content-Type'), 'text/html', 'its type');
is($t->get('/logo.svg', port => 80)->header('Content-Type'), 'image/svg+xml',
    'a type of mime.types');
is($t->get('/none', port => 80)->status, 404, 'try_files');
is($t->get('/sub/', port => 80)->body, 'sub', 'another index');
is($t->get('/sub', port => 80)->status, 301, 'a directory');
ok($t->wait_for(sub { $t->log('access.log')
    =~ m{^127\.0\.0\.1 - - \[[^]]+\] "GET /none HTTP/1\.1" 404 \d+ "-" "-"$}m
}), 'the access log is in the combined format');

done_testing;
