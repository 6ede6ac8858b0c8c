#!/usr/bin/perl

# "veilctl top": numbers from two samples, frames that fit any terminal, keys,
# and what happens when the server goes away or says odd things.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::More;
use Test::Veil::Ctl;

my $ctl = Test::Veil::Ctl->new;
my $pid = $$;

# What a server with this many workers and servers says the n-th time.

sub metric {
    my ($labels, $value) = @_;
    return { labels => $labels, value => $value };
}

sub metrics {
    my ($n, $workers) = @_;
    my @by = map { { process => 'worker', slot => "$_", generation => '3',
        pid => $_ == 0 ? "$pid" : (3_999_000 + $_) . '' } } 0 .. $workers - 1;
    my $of = sub {
        my ($each, @labels) = @_;
        return { type => 'counter', values => [ map {
            my $l = $_;
            map { metric({ %$_, %$l }, $each * $n) } @by
        } @labels ? @labels : {} ] };
    };
    my @buckets = map { { le => $_->[0], count => $_->[1] * $n } }
        [ 0.001, 50 ], [ 0.01, 40 ], [ 0.1, 10 ], [ '+Inf', 0 ];
    return {
        veil_http_requests_total => $of->(1000),
        veil_http_responses_total => { values => [
            map({ metric({ %$_, status => '2xx' }, 900 * $n) } @by),
            map({ metric({ %$_, status => '5xx' }, 100 * $n) } @by) ] },
        veil_http_request_duration_seconds => { values => [ map {
            { labels => $_, count => 100 * $n, sum => 1, buckets => \@buckets }
        } @by ] },
        veil_connections_active => { values => [ map { metric($_, 7) } @by ] },
        veil_http_connections => { values => [
            map { metric({ %$_, state => 'idle' }, 5) } @by ] },
        veil_sent_bytes_total => { values => [
            map { metric({ %$_, side => 'client' }, 1_048_576 * $n) } @by ] },
    };
}

sub mock {
    my ($workers, $servers, %other) = @_;
    my $n = 0;
    return $ctl->mock(
        status => [ { version => '9.8.7', generation => 3, uptime_ms => 7_500_000 } ],
        metrics => sub { $n++; return [ metrics($n, $workers) ] },
        'worker.list' => [ [ map { { worker => $_, generation => 3, state =>
            'serving', pid => $_ == 0 ? $pid : 3_999_000 + $_ } }
            0 .. $workers - 1 ] ],
        'upstream.show' => sub {
            return [ [ { upstream => 'backend', peers => [ map { {
                address => "10.0.0.$_:80", server => "10.0.0.$_:80",
                weight => $_, in_flight => 2, requests => 500 * $n * $_,
                failures => 0, healthy => $_ == 2 ? \0 : \1,
                response_ms => 1.5, last_status => 200, state =>
                $_ == 1 ? 'drain' : 'ready' } } 1 .. $servers ] } ] ];
        },
        %other);
}

# ------------------------------------------------------------------- snapshots --

my $mock = mock(2, 3);
my $r = $ctl->run('-t', '30s', 'top', '--snapshot', '500ms');
is($r->{status}, 0, 'a snapshot') or diag($r->{err});
unlike($r->{out}, qr/\e/, 'without escape sequences');
like($r->{out}, qr/\Aveil 9\.8\.7  generation 3  up 2h05m  \d\d:\d\d:\d\d\n/,
    'the server');
my ($rate, $good, $bad) = $r->{out} =~
    m{^requests  ([\d.]+)/s +2xx ([\d.]+)/s +3xx 0/s +4xx 0/s +5xx ([\d.]+)/s}m;
# 2000 in half a second, unless the machine is slow.
cmp_ok($rate, '<=', 4000, 'requests a second, not more than there were');
cmp_ok($rate, '>', 200, 'and not far fewer');
cmp_ok(abs($good / $rate - 0.9), '<', 0.02, 'by status');
cmp_ok(abs($bad / $rate - 0.1), '<', 0.02, 'and errors');
like($r->{out}, qr/^latency   p50 1\.0ms +p90 10ms +p99 91ms +p99\.9 99ms/m,
    'percentiles');
like($r->{out}, qr/^clients   14 +idle 10 +reading 0 /m, 'connections by state');
like($r->{out}, qr/^WORKER +GEN +PID +STATE +CPU% +CONNS +REQ\/S/m, 'workers');
like($r->{out}, qr/^ +0 +3 +$pid +serving +[\d.]+ +7 +[\d.]+ /m,
    'with the time of processors of those that are here');
like($r->{out}, qr/^ +1 +3 +3999001 +serving +- +7 /m, 'and not of others');
like($r->{out}, qr/^drain +backend +10\.0\.0\.1:80 +1 +2 +[\d.]+ +0 +1\.5ms +200$/m,
    'servers');
like($r->{out}, qr/^failed +backend +10\.0\.0\.2:80 /m, 'one that has failed');
my @rates = $r->{out} =~ /^\w+ +backend +\S+ +\d+ +\d+ +([\d.]+)/mg;
cmp_ok(abs($rates[2] / $rates[0] - 3), '<', 0.1, 'and their rates');

$r = $ctl->run('-t', '30s', 'top', '--snapshot', '200ms', 'sort=rate');
my @order = $r->{out} =~ /backend +10\.0\.0\.(\d)/g;
is("@order", '3 2 1', 'sorted by rate');
$r = $ctl->run({ env => { COLUMNS => 40 } }, '-t', '30s', 'top', '--snapshot',
    '100ms');
is((sort { $b <=> $a } map { length } split /\n/, $r->{out})[0], 40,
    'cut to a width');

$r = $ctl->run('-j', '-t', '30s', 'top', '--snapshot', '200ms');
is($r->{status}, 0, 'a snapshot as JSON');
is($r->{out} =~ tr/\n//, 1, '  is one line');
my $o = JSON::PP::decode_json($r->{out});
cmp_ok($o->{requests_per_s}, '>', 200, '  with rates');
cmp_ok(abs($o->{responses_2xx_per_s} / $o->{requests_per_s} - 0.9), '<', 0.02,
    '  by status');
cmp_ok(abs($o->{latency_p50_s} - 0.001), '<', 0.0001, '  percentiles');
is($o->{connections}, 14, '  connections');
is_deeply([ map { scalar @$_ } $o->{workers}, $o->{upstreams}[0]{peers} ],
    [ 2, 3 ], '  and the rows');
$mock->stop;

# Some workers answer too late: the rest is shown.
$mock = mock(1, 1, 'upstream.show' => { ok => \0,
    err => { code => 'E_TIMEOUT', msg => 'no answer came in time' } });
$r = $ctl->run('-t', '30s', 'top', '--snapshot', '100ms');
is($r->{status}, 0, 'what comes too late is missing') or diag($r->{err});
like($r->{out}, qr/\Aveil .*  not every worker answered in time\n/, '  said');
is_deeply([ sort { $a <=> $b } keys %{ { map { $_->{timeout} => 1 }
    $mock->requests } } ], [ 30 ], '  and the time of -t is that of each call');
$mock->stop;

# Nothing but the connection is needed.
$mock = $ctl->mock;
$r = $ctl->run('-t', '30s', 'top', '--snapshot', '100ms');
is($r->{status}, 0, 'of a server that refuses all');
like($r->{out}, qr/^requests  0\/s/m, 'there is nothing to see');
$mock->stop;

# Odd ones.
for my $odd ('[[]]', '7', '"x"', 'null', '{"workers":[1,"x",[]]}',
    '[{"upstream":7,"peers":[1,{"address":2}]},{"peers":{}}]',
    '{"veil_http_requests_total":{"values":[1,{"labels":7},{}]}}',
    '{"veil_http_request_duration_seconds":{"values":[{"buckets":[1,{"le":[]}]}]}}',
    '[{"worker":"\u001b[2J","pid":-1,"state":"\u009b"}]')
{
    my $answer = sub { "{\"id\":$_[1]{id},\"ok\":true,\"data\":$odd}\n" };
    $mock = $ctl->mock(map { $_ => $answer }
        qw/status metrics worker.list upstream.show/);
    $r = $ctl->run('-t', '30s', 'top', '--snapshot', '100ms');
    is($r->{status}, 0, "odd: $odd") or diag($r->{err});
    unlike($r->{out}, qr/[^\n -~]/, '  nothing that a terminal obeys');
    $mock->stop;
}

$ctl->{socket} = $ctl->dir . '/none';
$r = $ctl->run('top', '--snapshot');
is($r->{status}, 1, 'no server');
like($r->{err}, qr/there is no socket/, 'is said');

# -------------------------------------------------------------------- terminals --

# Lines of the last frame, without sequences.
sub frame {
    my ($text) = @_;
    $text =~ s/.*\e\[H//s;
    $text =~ s/\e\[J.*//s;
    $text =~ s/\e\[[\d;?]*[A-Za-z]//g;
    utf8::decode($text);
    return split /\r\n/, $text, -1;
}

for my $size ([ 80, 24, 4, 40 ], [ 200, 50, 64, 3 ], [ 30, 8, 64, 64 ],
    [ 80, 24, 64, 64 ], [ 1, 1, 2, 2 ], [ 80, 24, 0, 0 ])
{
    my ($columns, $rows, $workers, $servers) = @$size;
    my $name = "$columns x $rows, $workers workers, $servers servers";
    $mock = mock($workers, $servers);
    my $tty = $ctl->terminal($columns, $rows, '-t', '30s', 'top', '100ms');
    ok($tty->wait_for(qr/\e\[\?1049h/), "$name: another screen");
    my $text;
    $text = $tty->wait_for(qr/\e\[J/) for 1 .. 4;
    my @lines = frame($text // '');
    is(scalar @lines, $rows, '  as high as the terminal') or diag($text);
    cmp_ok((sort { $b <=> $a } map { length } @lines)[0], '<=', $columns,
        '  not wider');
    like($lines[-1], qr/\Aq quit/, '  keys below') if $columns >= 30;
    if ($rows >= 24 && $workers) {
        ok((grep { /^WORKER/ } @lines), '  workers');
        my ($at) = grep { $lines[$_] =~ /^STATE/ } 0 .. $#lines;
        ok($at, '  and servers');
        my $all = join "\n", @lines;
        my $seen = () = $all =~ / backend /g;
        my ($more) = $all =~ /\n(?:.* backend .*\n)+and (\d+) more/ ? $1 : 0;
        is($seen + $more, $servers, '  each shown or counted') or diag($all);
    }
    $tty->put('q');
    is($tty->finish, 0, '  q ends it');
    like($tty->output, qr/\e\[\?25h\e\[\?1049l/, '  and gives the screen back');
    $mock->stop;
}

$mock = mock(2, 2);
my $tty = $ctl->terminal(80, 24, '-t', '30s', 'top', '100ms');
ok($tty->wait_for(qr/\xe2\x96/), 'bars of the last minutes');
$tty->put('s');
ok($tty->wait_for(qr/s sort: rate/), 's sorts');
$tty->put('p');
ok($tty->wait_for(qr/paused/), 'p pauses');
my $asked = $mock->requests;
select undef, undef, undef, 0.5;
cmp_ok(scalar($mock->requests) - $asked, '<=', 4, 'then nothing is asked');
$tty->put('p+');
ok($tty->wait_for(qr/every 200ms/), '+ slows down');
$tty->resize(60, 12);
my $text = $tty->wait_for(qr/q quit.*?\e\[J/s);
for (1 .. 50) {
    last if defined $text && frame($text) == 12;
    $text = $tty->wait_for(qr/\e\[J/);
}
is(scalar(my @lines = frame($text)), 12, 'another size');
$mock->stop;
ok($tty->wait_for(qr/hung up|there is no|nobody listens|no answer/),
    'a server that went away');
$tty->signal('TERM');
is($tty->finish, 0, 'a signal ends it');
like($tty->output, qr/\e\[\?1049l/, 'cleanly');

$mock = mock(1, 1);
$tty = $ctl->terminal(80, 24, { env => { NO_COLOR => 1, LANG => 'C' } }, '-t',
    '30s', 'top', '100ms');
$tty->wait_for(qr/\e\[J/) for 1 .. 4;
unlike($tty->output, qr/\e\[\d*m/, 'NO_COLOR');
unlike($tty->output, qr/[\x80-\xff]/, 'only ASCII where there is no more');
$tty->put("\cC");
is($tty->finish, 0, 'Ctrl-C ends it');
$r = $ctl->run('top');
is($r->{status}, 2, 'without a terminal');
like($r->{err}, qr/needs a terminal/, 'that is said');

done_testing();
