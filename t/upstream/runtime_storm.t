#!/usr/bin/perl

# Servers that are changed, added and deleted under load, with reloads and
# changing numbers of workers between: no request fails, and in the end all
# counts are right.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Guard;

my $t = Test::Veil->new->has('http', 'proxy');
my %u = map {
    $_ => $t->upstream($_ => quiet => 1,
        handler => Test::Veil::Upstream::reply(body => $_))
} qw/a b c/;
my $true = JSON::PP::true;
my $clients = 4;
my $rounds = 12;

sub conf {
    my ($workers) = @_;
    $t->config(<<"EOC");
worker_processes $workers;
http {
    upstream back { server %%UPSTREAM_a%%; server %%UPSTREAM_b%%; }
    upstream ring {
        hash \$arg_k consistent;
        server %%UPSTREAM_a%%;
        server %%UPSTREAM_b%%;
    }
    server {
        listen %%PORT_80%% reuseport;
        location / { proxy_pass http://back; }
        location /ring { proxy_pass http://ring/; }
    }
}
EOC
}

conf(2);
$t->run;
my %addr = map { $_ => $u{$_}->addr } keys %u;

# A client asks until it is told to stop, and prints what went wrong.  It says
# when it is being served, so that there is load from the first change on.

sub client {
    my ($number, $out) = @_;
    my $stop = $t->testdir . '/stop';
    my ($n, $bad) = (0, '');
    until (-e $stop && $n > 10) {
        my $path = $n % 2 ? "/ring?k=$number$n" : '/';
        my $r = eval { $t->get($path) };
        my $status = $r ? $r->status // 'none' : 'died';
        $bad .= " $path:$status" if $status ne '200';
        $n++;
        syswrite $out, "served\n" if $n == 1;
    }
    return "$n$bad";
}

my @pipes;
for my $number (1 .. $clients) {
    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = Test::Veil::Guard::child(sub {
        close $in;
        return !syswrite $out, client($number, $out);
    });
    close $out;
    push @pipes, [ $in, $pid ];
}
readline $_->[0] for @pipes;

my $c = Test::Veil::Control->new($t);
my @failed;

sub ask {
    my ($verb, @args) = @_;
    my $r = $c->ask($verb, @args);
    push @failed, "$verb: $r->{err}{msg}" if !$r->{ok};
    return;
}

for my $round (1 .. $rounds) {
    for my $g (qw/back ring/) {
        ask('server.add', upstream => $g, address => $addr{c},
            weight => 1 + $round % 3);
        ask('server.set', server => "$g/$addr{a}", state => 'drain');
        ask('server.set', server => "$g/$addr{b}", weight => $round);
        ask('server.set', server => "$g/$addr{a}", reset => $true);
        ask('server.del', server => "$g/$addr{b}", wait => '20s');
        ask('server.add', upstream => $g, address => $addr{b});
        ask('server.del', server => "$g/$addr{c}", wait => '20s');
    }
    if ($round % 3 == 0) {
        conf(1 + $round / 3 % 4);
        push @failed, 'reload' if !$t->reload;
    }
}
$t->write_file('stop', '');
my $all = 0;
for (@pipes) {
    my ($in, $pid) = @$_;
    local $/ = undef;
    my ($n, $bad) = <$in> =~ /\A(\d+)(.*)\z/s;
    Test::Veil::Guard::reap($pid);
    is($bad, '', "no request of $n failed");
    $all += $n // 0;
}
cmp_ok($all, '>', 10 * $clients, 'there was load');
is_deeply(\@failed, [], 'all that was asked was done');

for my $g (qw/back ring/) {
    # What has been answered may still be under way for a moment.
    my $show;
    $t->wait_for(sub {
        ($show) = @{$c->data('upstream.show', upstream => $g)};
        return !grep { $_->{in_flight} } @{$show->{peers}};
    });
    is(scalar @{$show->{peers}}, 2, "$g has its two servers");
    is($_->{in_flight}, 0, 'nothing is under way') for @{$show->{peers}};
    is($_->{weight}, 1, 'weights are as configured') for @{$show->{peers}};
}
my %n;
$n{$t->get('/')->body}++ for 1 .. 20;
cmp_ok(abs($n{a} - $n{b}), '<=', 2, 'in turn');

done_testing;
