#!/usr/bin/perl

# A master that is killed while there is another one, of an upgrade: that one
# serves, or serves again, and no third is made, "master_respawn" or not.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Masters;

my $t = Test::Veil->new->has('http');
my $m = Test::Veil::Masters->new($t);
my $true = JSON::PP::true();
my $u = $t->upstream(a => gates => ['g1'], handler => sub {
    my ($conn, $req) = @_;
    my ($gate) = $req->{path} =~ /(g\d)/;
    $conn->note("at $gate");
    $conn->wait($gate);
    $conn->reply(body => 'through');
});

$t->allow_alerts(qr/the new master \d+ .*, this one serves again/,
    qr/the master is gone/, qr/keeper cannot reach the master/);
$t->config(<<'EOC');
worker_processes 2;
master_respawn on;
error_log %%TESTDIR%%/error.log notice;
http {
    access_log off;
    server {
        listen %%PORT_80%%;
        location / { return 200 "$pid"; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%; }
    }
}
EOC
$t->run;

sub upgrade {
    my $reply = Test::Veil::Control->new($t)->ask('upgrade', @_);
    ok($reply->{ok}, 'an upgrade') or diag(explain($reply));
    return $reply->{data}{new}{pid};
}

sub alone {
    my ($master, $name) = @_;
    ok($t->wait_for(sub {
        "@{[ $m->masters ]}" eq $master && $t->worker_pids == 2
            && $m->workers_of($master) == 2;
    }), "$name: it is alone") or diag(explain([ $m->processes ]));
    ok($t->wait_for(sub { $m->pid_file('veil.pid') eq $master }),
        "$name: the pid file");
    my $c;
    ok($t->wait_for(sub {
        $c = Test::Veil::Control->new($t);
        $c && $c->ask('ping')->{ok};
    }), "$name: it can be asked");
    my ($pid) = map { $_->{pid} } @{ $c->data('ping') };
    ok((grep { $_ == $pid } $m->workers_of($master)), "$name: it is who answers");
}

sub busy {
    my ($gate) = @_;
    my $c = $t->connect;
    $c->send_request(path => "/u/$gate");
    $u->wait_note(qr/at $gate/) or die "$gate did not arrive\n";
    return $c;
}

my $old = $t->pid;
kill 'KILL', upgrade(keep_old => $true);
alone($old, 'one that was kept');

my $request = busy('g1');
my $mark = $t->log_mark;
kill 'KILL', upgrade();
ok($t->wait_for_log(qr/this one serves again/, from => $mark),
    'one that ends with its last connection serves again');
$u->release('g1');
is($request->read_response->body, 'through', 'which is served');
alone($old, 'when it is');
unlike($t->log, qr/another master is started/, 'no third one was made');

# The old one dies while both are there.

my $new = upgrade(keep_old => $true);
ok($t->wait_for(sub { $m->workers_of($old) == 0 }), 'the old one has no workers');
kill 'KILL', $old;
alone($new, 'the one that serves');

kill 'USR2', $new;
my $third;
ok($t->wait_for(sub {
    ($third) = grep { $_ != $new } $m->masters;
    $third && $m->pid_file('veil.pid') eq $third
        && $m->workers_of($third) == 2;
}), 'USR2: both serve');
ok($t->wait_for_log(qr/process $third, .*serves; this master/),
    'which the one before knows');
kill 'KILL', $new;
alone($third, 'the new one of both');
unlike($t->log, qr/another master is started/, 'no third one was made');

# And when there is none, one is.

kill 'KILL', $third;
my $heir;
ok($t->wait_for(sub {
    ($heir) = grep { $_ != $third } $m->masters;
    $heir && $m->pid_file('veil.pid') eq $heir;
}), 'without another there is an heir');
alone($heir, 'the heir');
kill 'QUIT', $heir;
ok($t->wait_for(sub { !$m->masters }), 'it ends');
$t->stop(signal => 0, status => 9);
done_testing;
