#!/usr/bin/perl

# log.level and log.reopen: all processes at once, those that are started
# later too, and back by itself.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use POSIX ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');
$t->allow_alerts(qr/exited on signal 9/, qr/open\(\) ".*crit/);

sub conf {
    my ($more, $http) = @_;
    $t->config("worker_processes 2;\n"
        . "error_log %%TESTDIR%%/error.log notice;\n"
        . "error_log %%TESTDIR%%/crit.log crit;\n"
        . "http { access_log %%TESTDIR%%/access.log;\n" . ($http // '')
        . "    server { listen %%PORT_80%%; " . ($more // '')
        . " client_header_timeout 200ms;\n"
        . "        location / { return 200 ok; } }\n"
        . "    server { listen %%PORT_81%%; return 200; } }\n");
}

conf();
$t->run;
my $c = Test::Veil::Control->new($t);

# A client that times out is a line at "info".

sub provoke {
    my ($mark) = @_;
    my $s = $t->connect;
    $s->write("GET / HTTP/1.1\r\nHost: a");
    $s->read_all;
    return;
}

my $info = qr/\[info\].*client timed out/;

# What is answered after a level was set comes from processes that have it.

sub is_told {
    my ($what) = @_;
    $c->ask('ping');
    my $mark = $t->log_mark;
    provoke();
    ok($t->wait_for_log($info, from => $mark), $what);
    return;
}

sub is_silent {
    my ($what) = @_;
    $c->ask('ping');
    my $mark = $t->log_mark;
    provoke();
    # Whatever it would have said was said before the connection closed.
    unlike(substr($t->log, $mark), $info, $what);
    return;
}

is_silent('as configured');
my $r = $c->ask('log.level', level => 'info');
ok($r->{volatile}, 'a rule ends with the server');
ok($r->{ok}, 'log.level info');
is($r->{data}{before}{level}, 'notice', 'what it was');
is($r->{data}{after}{level}, 'info', 'what it is');
is_told('workers say more');
unlike($t->log('crit.log'), qr/\[info\]/, 'not to the log that has less');

# Those that are started later

kill 9, $_ for $t->worker_pids;
my $mark = $t->log_mark;
$t->wait_for(sub {
    my $a = $c->ask('ping', { timeout => 1 });
    return $a->{ok} && @{$a->{data}} == 2 && !$a->{partial};
});
is_told('workers in the place of others');
ok($t->reload, 'a reload');
is_told('another generation');

# A generation that drains has what is said now.

$r = $c->ask('log.level', level => 'default');
ok(!$r->{volatile}, 'what is taken back does not');
is($r->{data}{before}{level}, 'info', 'it was "info"');
is($r->{data}{after}{level}, 'notice', 'it is as configured');
is_deeply($r->{data}{rules}, [], 'no rules are left');
is_silent('and so it is');

my $old = $t->connect(81);
$old->write("GET / HTTP/1.1\r\nHo");
ok($t->wait_for(sub {
    grep { $_->{state} eq 'head' } @{ $c->data('conn.list')->{connections} };
}), 'a request has begun');
$c->ask('log.level', level => 'info');
ok($t->reload, 'its generation is replaced');
$mark = $t->log_mark;
$old->close;
ok($t->wait_for_log(qr/\[info\].*client prematurely closed/, from => $mark),
    'one that drains says more as well');

# Less

$c->ask('log.level', level => 'emerg');
$mark = $t->log_mark;
$t->signal('HUP');
$t->wait_for(sub { ($c->ask('ping', { timeout => 1 })->{gen} // 0) == 4 });
unlike(substr($t->log, $mark), qr/\[notice\].*serves/, 'the master is silent');
like($c->ask('log.level', level => 'default')->{data}{before}{level}, qr/emerg/,
    'until it is told');

# By itself

my $holds;
for my $seconds (1, 5, 25) {
    $r = $c->ask('log.level', level => 'info', for => "${seconds}s");
    is($r->{data}{for_ms}, $seconds * 1000, "for $seconds s");
    cmp_ok($r->{data}{rules}[0]{left_ms}, '<=', $seconds * 1000, 'which run');
    $c->ask('ping');
    $mark = $t->log_mark;
    provoke();
    $holds = substr($t->log, $mark) =~ $info;
    # It was over before, on a machine that is busy.
    last if $holds;
}
ok($holds, 'then it holds');
$t->wait_for(sub { !@{$c->data('log.level')->{rules}} });
is($c->data('log.level')->{level}, 'notice', 'it has ended');
is_silent('everywhere');

# Parts of the source

ok($c->ask('log.level', level => 'upstream=info')->{ok}, 'of another part');
is_silent('is not of this one');
ok($c->ask('log.level', level => 'http=info')->{ok}, 'of this part');
is_told('is of this one');
is($c->ask('log.level', level => 'http=default')->{data}{before}{level}, 'info',
    'what it was');
is_silent('taken back');
is_deeply([ map { $_->{part} } @{$c->data('log.level')->{rules}} ], ['upstream'],
    'the other is left');
$c->ask('log.level', level => 'default');
is_deeply($c->data('log.level')->{rules}, [], 'all are taken back');

# A dry run

$r = $c->ask('log.level', { dry_run => JSON::PP::true }, level => 'info');
is($r->{data}{after}{level}, 'info', 'what it would be');
is_silent('nothing is changed');

# Wrong ones

is($c->code('log.level', level => 'loud'), 'E_ARGUMENT', 'no level');
is($c->code('log.level', level => 'nosuchpart=info'), 'E_NOT_FOUND', 'no part');
is($c->code('log.level', level => '=info'), 'E_NOT_FOUND', 'an empty part');
is($c->code('log.level', level => 'info', for => 'long'), 'E_ARGUMENT', 'no time');
for my $part (qw/core event process http upstream proxy static log resolver
    conn worker request access_log crew master keeper/)
{
    is($c->code('log.level', level => "$part=info"), '', $part);
}
is(scalar @{$c->data('log.level')->{rules}}, 16, 'sixteen rules');
is($c->code('log.level', level => "generation=info"), "E_CONFLICT", 'are the most');
is($c->code('log.level', level => 'crew=notice'), '', 'one can be changed');
$c->ask('log.level', level => 'default');

# log.reopen

$c->ask('ping');
rename $t->testdir . "/$_", $t->testdir . "/$_.old" for qw/error.log crit.log access.log/;
$r = $c->ask('log.reopen');
ok($r->{ok} && !$r->{partial}, 'log.reopen');
is($r->{data}{master}{files}, 2, 'the master has two files');
is($r->{data}{master}{failed}, 0, 'which are there');
is_deeply([ map { $_->{data}{files} } @{$r->{data}{workers}} ], [ 3, 3 ],
    'each worker has three');
ok(-e $t->testdir . "/$_", "$_ is there") for qw/error.log crit.log access.log/;
$t->get('/', port => 81);
ok($t->wait_for(sub { -s $t->testdir . '/access.log' }), 'and written to');

unlink $t->testdir . '/crit.log';
mkdir $t->testdir . '/crit.log';
$r = $c->ask('log.reopen');
ok(!$r->{ok}, 'one that cannot be opened');
is($r->{err}{code}, 'E_IO', 'is said');
like($r->{err}{msg}, qr/1 of 3/, 'how many');
is(scalar @{$r->{workers}}, 2, 'by each');
rmdir $t->testdir . '/crit.log';
ok($c->ask('log.reopen')->{ok}, 'later it can');

# SIGUSR1 and a level while a configuration is read, which takes its time: both
# are for it as well.  It is read from a pipe, so it is read until that ends.

my $gen = $c->ask('ping')->{gen};
my $pipe = $t->testdir . '/map';
POSIX::mkfifo($pipe, 0600) or die "mkfifo: $!";
conf('', 'map $uri $x { include %%TESTDIR%%/map; }');
rename $t->testdir . "/$_", $t->testdir . "/$_.before"
    for qw/error.log crit.log/;
$c->ask('log.level', level => 'default');
$t->signal('HUP');
open my $map, '>', $pipe or die "$pipe: $!";
ok($c->ask('log.level', level => 'info')->{ok}, 'while another is read');
$t->signal('USR1');
ok($t->wait_for(sub { -e $t->testdir . '/crit.log' }), 'there are new logs');
is($c->ask('ping')->{gen}, $gen, 'it is still read');
print $map "/a a;\n";
close $map;
ok($t->wait_for(sub {
    ($c->ask('ping', { timeout => 1 })->{gen} // 0) == $gen + 1;
}), 'then it serves');
is_told('and its workers say more');

$t->stop;
done_testing;
