#!/usr/bin/perl

# worker_connections: who comes when there are enough waits in the backlog and
# is served when others have gone; the log says so.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/rewrite/);
$t->config(<<'EOC');
events { worker_connections 16; }
http {
    server {
        listen %%PORT_80%%;
        return 200 "served";
    }
}
EOC
$t->run;

# Enough for the limit, and settled, before the others come.
my @first = map { $t->connect } 1 .. 14;
is($_->get('/')->body, 'served', 'one of the first') for @first;
ok($t->wait_for_log(qr/\d+ of 16 worker_connections are in use/),
    'the log says that there are enough');
$_->get('/') for @first;

my @late = map { $t->connect } 1 .. 20;
$_->send_request(path => '/') for @late;
is($first[0]->get('/')->body, 'served', 'those that are in are served on');
my $ready = '';
vec($ready, fileno($_->socket), 1) = 1 for @late;
my $n = select($ready, undef, undef, 0.2);
is($n, 0, 'those that came late wait');

@first = ();
my $served = 0;
while (my $c = shift @late) {
    $served++ if $c->read_response->body eq 'served';
    undef $c;
}
is($served, 20, 'and are served when there is room');

done_testing;
