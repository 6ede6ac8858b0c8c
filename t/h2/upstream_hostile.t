#!/usr/bin/perl

# Upstreams that break HTTP/2's rules, flood or fall silent: each request ends
# with the right status, the next server is asked where that is safe, and
# the worker goes on with what memory it had.

use strict;
use warnings;
use lib 't/lib';
use POSIX ();
use Test::Veil;
use Test::Veil::Guard;

my $t = Test::Veil->new->has('v2')->has('v2_upstream');
my ($python) = grep { system("$_ -c 'import hpack' 2> /dev/null") == 0 }
    qw(python3 /usr/bin/python3);
$t->skip_all('no python3-hpack') unless $python;
my $dir = $t->testdir;

# name => { port, expected }, in order.
sub peers {
    pipe(my $from, my $to) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        close $from;
        open STDOUT, '>&', $to or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>', "$dir/hostile.err" or POSIX::_exit(126);
        { exec $python, 't/lib/h2_hostile.py', "$dir/peer.log" };
        POSIX::_exit(127);
    }
    Test::Veil::Guard::add($pid);
    close $to;
    my @peers;
    while (my $line = readline $from) {
        my ($name, $port, $expected) = split ' ', $line or last;
        push @peers, { name => $name, port => $port, expected => $expected };
    }
    return @peers;
}

my @peers = peers();
my %port = map { $_->{name} => $_->{port} } @peers;
my $locations = join '', map { <<"EOC" } @peers;
        location /$_->{name}/ { proxy_pass http://127.0.0.1:$_->{port}; }
        location /next/$_->{name}/ { proxy_pass http://then-$_->{name}; }
EOC
my $groups = join '', map { <<"EOC" } @peers;
    upstream then-$_->{name} {
        server 127.0.0.1:$_->{port} max_fails=0;
        server 127.0.0.1:$port{good} backup;
    }
EOC
$t->config(<<"EOC");
worker_processes 1;
error_log %%TESTDIR%%/error.log info;
http {
    log_format up '\$uri \$status [\$upstream_status] [\$upstream_addr]';
    access_log %%TESTDIR%%/up.log up;
    client_max_body_size 20m;
    proxy_http_version 2;
    proxy_connect_timeout 600ms;
    proxy_send_timeout 600ms;
    proxy_read_timeout 600ms;
$groups
    server {
        listen %%PORT_80%%;
        http2 on;
$locations
    }
}
EOC
$t->run;

my $worker = ($t->worker_pids)[0];
sub rss {
    open my $f, '<', "/proc/$worker/smaps_rollup" or return 0;
    my ($kb) = map { /^Pss:\s+(\d+)/ ? $1 : () } <$f>;
    return $kb;
}
sub peer_log { return $t->read_file('peer.log') }

my %post = map { $_ => 'x' x 100 } qw(window-shut);
$post{'reads-nothing'} = 'x' x 10_000_000;
my %many = map { $_ => 1 } qw(dies dies-first);

$t->get('/good/');
my $before = rss();
for my $peer (grep { !$many{$_->{name}} } @peers) {
    my $name = $peer->{name};
    my $mark = $t->log_mark;
    my $r = exists $post{$name} ? $t->post("/$name/", $post{$name})
        : $t->get("/$name/");
    my $status = $r->status // 'none';
    if ($peer->{expected} eq 'cut') {
        ok($status ne '200' || !$r->complete, "$name: not a whole answer")
            or diag($r);
    } else {
        is($status, $peer->{expected}, $name) or diag(
            substr $t->log, $mark);
    }
    if ($ENV{TEST_VEIL_LINES}) {
        note(rss() - $before, ' KB');
        note(substr $t->log, $mark);
    }
}
my $grown = rss() - $before;
cmp_ok($grown, '<', 40_000, "memory grew by $grown KB");
is(($t->worker_pids)[0], $worker, 'the worker lives');
is($t->get('/good/')->status, 200, 'and serves');

done_testing();
