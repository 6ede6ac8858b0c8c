#!/usr/bin/perl

# The master dies in the middle of a reload: what is under way is finished,
# nobody stays behind, and the server can be started again.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Fault;
use Test::Veil::Proc;

my $t = Test::Veil->new->has(qw/http proxy/);
my $fault = Test::Veil::Fault->new($t);
my $u = $t->upstream(a => gates => [qw/loading switch started/],
    handler => sub {
    my ($conn, $req) = @_;
    my ($gate) = $req->{path} =~ m{(\w+)$};
    $conn->note("waiting for $gate");
    $conn->wait($gate);
    $conn->reply(body => 'late');
});
$t->config(<<'EOC');
worker_processes 2;
http {
    server {
        listen %%PORT_80%%;
        location /u { proxy_pass http://%%UPSTREAM_a%%; }
        location / { return 200 now; }
    }
}
EOC
$t->allow_alerts(qr/the master is gone/, qr/cannot reach the master/);

for my $step (qw/loading switch started/) {
    my $point = "master.$step";
    $t->run;
    my $slow = $t->connect;
    $slow->send_request(path => "/u/$step");
    $u->wait_note(qr/waiting for $step/);
    my @all = map { $_->{pid} } Test::Veil::Proc::group($t->pid);

    $fault->arm($point, role => 'master');
    $t->signal('HUP');
    is($fault->wait, $t->pid, "$point: the master dies");
    ok($t->wait_for(sub {
        !eval { Test::Veil::HTTP1->new(port => $t->port(80)) };
    }), '... nobody accepts any more');
    ok(kill(0, grep { $_ != $t->pid } @all), '... but some are left');
    $u->release($step);
    is($slow->read_response->body, 'late', '... who finish what they have');
    $slow->close;
    ok($t->wait_for(sub {
        !grep { $_->{pid} != $t->pid } Test::Veil::Proc::group($t->pid);
    }), '... and then go');
    $t->stop(signal => 0, status => 9);
}
$t->run;
is($t->get('/')->body, 'now', 'it starts again');
$t->stop;
done_testing;
