#!/usr/bin/perl

# Signals, the pid file, "-s", and workers that die.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $u = $t->upstream(a => gates => [ map {"g$_"} 1 .. 9 ],
    handler => sub {
        my ($conn, $req) = @_;
        my ($gate) = $req->{path} =~ m{(g\d)};
        $conn->note("at $gate");
        $conn->wait($gate);
        $conn->reply(body => "through $gate");
    });

$t->config(<<'EOC');
worker_processes 2;
http {
    log_format pid '$pid $request';
    access_log %%TESTDIR%%/access.log pid;
    server {
        listen %%PORT_80%%;
        location /pid { return 200 "$pid"; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
    }
}
EOC

# waiting($gate): a client whose request is at the backend.

sub waiting {
    my ($gate) = @_;
    my $c = $t->connect;
    $c->send_request(path => "/u/$gate");
    $u->wait_note(qr/at $gate/) or die "$gate did not arrive\n";
    return $c;
}

sub through {
    my ($c, $gate) = @_;
    $u->release($gate);
    is($c->read_response->body, "through $gate", "$gate: it is finished");
}

# The pid file is there as long as the server is, and no longer.

$t->run;
my $master = $t->pid;
is($t->read_file('veil.pid'), "$master\n", 'the pid file names the master');
my @workers = $t->worker_pids;
is(scalar @workers, 2, 'worker_processes');
my %seen = map { $t->get('/pid')->body => 1 } 1 .. 20;
ok(!grep({ my $p = $_; !grep { $_ == $p } @workers } keys %seen),
    '$pid is that of a worker');
is($t->stop(signal => 'QUIT'), 0, 'QUIT ends it');
ok(!-e $t->testdir . '/veil.pid', 'the pid file is gone');

# QUIT waits for requests under way, and takes no new ones.

$t->run;
my $c = waiting('g1');
my $idle = $t->connect;
$idle->get('/pid');
$t->signal('QUIT');
ok($idle->eof(5), 'QUIT: idle connections are closed');
ok($t->wait_for(sub {
    my $new = eval { Test::Veil::HTTP1->new(port => $t->port(80)) };
    !$new || $new->get('/pid')->status == 0;
}), 'nobody else is served');
ok(kill(0, $t->pid), 'the server waits');
through($c, 'g1');
is($t->stop(signal => 0), 0, 'and ends then');

# TERM and INT end it.

for my $sig (qw/TERM INT/) {
    $t->run;
    is($t->get('/pid')->status, 200, "before $sig");
    is($t->stop(signal => $sig), 0, "$sig ends it");
}

# A worker that dies is replaced; the others go on.

$t->allow_alerts(qr/exited on signal 9|exited on signal|killed/);
$t->run;
@workers = $t->worker_pids;
$t->signal('KILL', $workers[0]);
ok($t->wait_for(sub {
    my @now = $t->worker_pids;
    @now == 2 && !grep { $_ == $workers[0] } @now;
}), 'a worker that dies is replaced');
is(scalar(grep { $_ == $workers[1] } $t->worker_pids), 1,
    'the other is the same');
is($t->get('/pid')->status, 200, 'and the server serves') for 1 .. 4;
ok($t->wait_for_log(qr/$workers[0]\b.*exited on signal 9/),
    'the log says which and why');

# USR1 opens the logs again.

$t->get('/pid');
ok($t->wait_for(sub { $t->log('access.log') =~ /pid/ }), 'an access log');
my $dir = $t->testdir;
rename "$dir/access.log", "$dir/access.log.1";
rename "$dir/error.log", "$dir/error.1.log";
$t->signal('USR1');
ok($t->wait_for(sub { -e "$dir/access.log" && -e "$dir/error.log" }),
    'USR1: the logs are made anew');
my $mark = -s "$dir/access.log.1";
ok($t->wait_for(sub {
    $t->get('/pid');
    $t->log('access.log') =~ /pid/;
}), 'lines go to the new one');
is($t->get('/pid')->status, 200, 'the server serves');
ok($t->wait_for(sub {
    my $size = -s "$dir/access.log.1";
    my $before = $mark;
    $mark = $size;
    $t->get('/pid');
    $size == $before;
}), 'and no longer to the old one');

# -s, by way of the pid file.

my ($status, $out) = $t->command('-s', 'quit', '-g', "pid $dir/x.pid;");
isnt($status, 0, '-s with another pid file than that of the configuration');
like($out, qr/"pid" directive is duplicate in \S+veil\.conf:\d+/,
    '... is refused, as by -t');
is($t->get('/pid')->status, 200, '... and nobody gets a signal');
($status, $out) = $t->command('-s', 'reopen');
is($status, 0, '-s reopen') or diag($out);
@workers = $t->worker_pids;
($status) = $t->command('-s', 'reload');
is($status, 0, '-s reload');
ok($t->wait_for(sub {
    my %now = map { $_ => 1 } $t->worker_pids;
    keys(%now) == 2 && !grep { $now{$_} } @workers;
}), 'new workers');
is($t->get('/pid')->status, 200, 'which serve');
($status) = $t->command('-s', 'quit');
is($status, 0, '-s quit');
is($t->stop(signal => 0), 0, 'ends it');
($status, $out) = $t->command('-s', 'quit');
isnt($status, 0, '-s without a server fails');
like($out, qr/veil\.pid/, 'and names the pid file');
($status, $out) = $t->command('-s', 'nonsense');
isnt($status, 0, '-s nonsense');

# A port that is taken: the second server says so and ends.

$t->run;
$t->append_file('veil.conf', "\n");
my $again = $t->read_file('veil.conf') =~ s/veil\.pid/second.pid/r;
$t->write_file('second.conf', $again);
my $first = $t->{config};
$t->{config} = "$dir/second.conf";
($status, $out) = $t->command;
$t->{config} = $first;
$t->allow_alerts(qr/Address already in use|still could not bind/);
isnt($status, 0, 'a port that is taken');
like($out, qr/Address already in use|in use/, 'is the reason given');
ok(!-e "$dir/second.pid", 'and there is no pid file');
is($t->get('/pid')->status, 200, 'the first one goes on');

done_testing;
