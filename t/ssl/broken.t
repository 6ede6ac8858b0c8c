#!/usr/bin/perl

# Ten thousand broken handshakes: truncated, random, plain text, of a wrong
# version, over-long, mangled anywhere, ended at any point.  Each must end at
# once, and nothing may be left of it: no descriptor, no memory, no operation
# (of the last two the debug build keeps books, which the harness reads).
#
# TEST_VEIL_SEED repeats a run as far as it can be repeated.

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::Veil;
use Test::Veil::Proc;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
my $long = $ENV{TEST_VEIL_LONG};
my $count = $long ? 100_000 : 10_000;
# A slow machine makes fewer of them rather than to take for ever.
my $seconds = $long ? 600 : 20;
my $seed = $ENV{TEST_VEIL_SEED} // time % 1_000_000;

$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);

$t->config(<<'EOC')->run;
error_log %%TESTDIR%%/error.log notice;
events { worker_connections 1024; }
http {
    access_log off;
    server {
        listen %%PORT_443%% ssl backlog=1024;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location / { return 200 well; }
    }
}
EOC

my ($pid) = $t->worker_pids;

# Of the worker: descriptors, and memory in KB.
sub descriptors { return scalar(() = glob "/proc/$pid/fd/*") }
sub memory { return $t->read_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m
    ? $1 : 0 }

sub well {
    my ($when) = @_;
    for my $v (qw/1.2 1.3/) {
        my $r = $tls->s_client(ca => 'root', tls => $v);
        is($r->response->body, 'well', "TLS $v is well $when");
    }
}

well('before');
# The last of these may be there for a moment.
my $fds = descriptors();
$t->wait_for(sub { $fds > descriptors() && ($fds = descriptors()) }, 0.2);
my $script = "$Test::Veil::TLS::lib/tls_break.py";
my @seen;
my $made = 0;

for my $part (1 .. 2) {
    my $r = $tls->run_command(
        [ 'python3', $script, $t->port(443), $count / 2, $seconds / 2,
            $seed + $part ],
        timeout => $seconds + 60);
    my $said = eval { JSON::PP::decode_json($r->{out}) }
        // { made => 0, ends => { $r->{err} => 1 } };
    my %ends = %{ $said->{ends} };
    my @bad = grep { !/^(?:reset|reset by server|closed by server)\z/ }
        sort keys %ends;

    is(join('; ', map {"$_ $ends{$_}"} @bad), '',
        "all of part $part were ended by the server, or reset")
        or diag "seed: $seed";
    cmp_ok(scalar(keys %{ $said->{kinds} // {} }), '>', 18,
        'broken in all kinds of ways');
    $made += $said->{made};
    diag sprintf 'only %d handshakes in %s s', $said->{made},
        $said->{seconds} if $said->{made} < $count / 2;
    $t->wait_for(sub { descriptors() <= $fds });
    cmp_ok(descriptors(), '<=', $fds, 'no descriptor is left');
    push @seen, memory();
    well('afterwards');
}
cmp_ok($made, '>=', 500, 'a good number of them');
is(join(' ', $t->worker_pids), $pid, 'no worker has died');
SKIP: {
    # Sanitizers keep what is freed.  The heap still spreads a little; a
    # session that is lost each time would be 20 MB.
    skip 'a debug build counts instead', 1 if $t->is_debug;
    cmp_ok($seen[1] - $seen[0], '<', 6144,
        'the second half has taken no memory');
}

done_testing;
