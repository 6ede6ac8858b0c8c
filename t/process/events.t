#!/usr/bin/perl

# Events: what happens, numbered, for those who watch; and that one who does
# not read is overtaken and told so.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');
$t->allow_alerts(qr/exited on signal 9/);
$t->config("worker_processes 2;\nerror_log %%TESTDIR%%/error.log notice;\n"
    . "control_audit_log %%TESTDIR%%/audit.txt;\n"
    . "http { access_log off; server { listen %%PORT_80%%; return 200; } }\n");
$t->run;

my $c = Test::Veil::Control->new($t);

# watch(args): a client that watches; its lines come from next.  That it has
# begun is seen in the audit log.

sub begun {
    return scalar grep { / verb=events / && / phase=attempt / }
        split /\n/, $t->read_file('audit.txt');
}

sub watch {
    my (%args) = @_;
    my $w = Test::Veil::Control->new($t);
    my $before = begun();
    $w->send({ id => 1, verb => 'events', args => \%args });
    $t->wait_for(sub { begun() > $before }) or fail('a client watches');
    return $w;
}

sub until_kind {
    my ($w, $kind) = @_;
    while (my $line = $w->next) {
        my $e = $line->{line} or return;
        return $e if ($e->{kind} // '') eq $kind;
    }
    return;
}

# What comes

my $w = watch();
my $some = watch(kinds => 'control.*, nothing');
my $none = watch(kinds => 'contro');
ok($c->ask('log.level', level => 'core=info')->{ok}, 'something happens');
my $e = until_kind($w, 'control.log.level');
ok($e, 'it is seen');
is($e->{data}{result}, 'ok', 'with its result');
is($e->{data}{target}, 'core=info', 'and what it was about');
is($e->{pid}, $t->pid, 'in the master');
is($e->{worker}, undef, 'not in a worker');
like($e->{ts}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/, 'when');
is($some->next->{line}{seq}, $e->{seq}, 'seen by another');

$c->ask('log.level', level => 'nope');
is(until_kind($some, 'control.log.level')->{data}{result}, 'refused',
    'what was refused, too');
$c->ask('log.level', { dry_run => JSON::PP::true }, level => 'info');
ok(until_kind($some, 'control.log.level')->{data}{dry_run}, 'a dry run');

# Reloads, and workers that die

ok($t->reload, 'a reload');
$e = until_kind($w, 'generation.serving');
ok($e, 'a generation serves');
my ($pid) = map { $_->{pid} } @{$c->data('ping')};
kill 9, $pid;
do { $e = until_kind($w, 'worker.ended') } while $e && $e->{data}{pid} != $pid;
ok($e, 'a worker has ended');
is($e->{data}{signal}, 9, 'by a signal');
is($e->{generation}, 2, 'in its generation');
ok(until_kind($w, 'worker.started'), 'another has started');
is($none->next(0.5), undef, 'other kinds are not seen');

# Numbers have no gaps; what was is shown.

$w = watch(since => 0);
my @seen = map { $_->{line}{seq} } grep { defined } map { $w->next } 1 .. 8;
is_deeply(\@seen, [ 1 .. 8 ], 'from the beginning');
$w = watch(since => 5);
is($w->next->{line}{seq}, 6, 'since the fifth');
$w = watch(n => 2, kinds => 'control.*');
my @last = ($w->next->{line}, $w->next->{line});
is($last[0]{data}{result}, 'refused', 'the last but one of a kind');
ok($last[1]{data}{dry_run}, 'and the last');
$w = watch(since => 1000000);
is($w->next(0.3), undef, 'what is to come is waited for');

$w = watch(since => 0, count => 3);
my @three = map { $w->next } 1 .. 4;
is_deeply([ map { $_->{line}{seq} } @three[ 0 .. 2 ] ], [ 1 .. 3 ],
    'count: so many events');
is_deeply([ @{$three[3]}{qw/ok data/} ], [ JSON::PP::true, {} ],
    '... and the end');
$w = watch(count => 1, kinds => 'control.log.level');
is($w->next(0.3), undef, 'count: it waits for what is to come');
$c->ask('log.level', { dry_run => JSON::PP::true }, level => 'info');
is($w->next->{line}{kind}, 'control.log.level', '... shows it');
ok($w->next->{ok}, '... and ends');
is($c->code('events', count => 0), 'E_ARGUMENT', 'none is no count');

# Too long a list

is($c->code('events', kinds => 'x' x 256), 'E_ARGUMENT', 'too long a list');

# One that does not read: the ring goes on without it.

my $slow = watch(since => 0);
$slow->next;
for (1 .. 40) {
    $c->put(qq({"verb":"log.level","args":{"level":"nope"}}\n) x 100);
    for (1 .. 100) { $c->next or last }
}
my ($lost, $last) = (0, undef);
while (my $line = $slow->next) {
    $lost += $line->{line}{lost} // 0;
    $last = $line->{line}{seq} // $last;
    last if $last && $last > 4000;
}
cmp_ok($last, '>', 4000, 'it gets to the present');

my $late = watch(since => 0);
$e = $late->next->{line};
cmp_ok($e->{lost}, '>', 2900, 'what is kept no more is said to be lost');
is($late->next->{line}{seq}, $e->{lost} + 1, 'and the next is the oldest');

# The stream ends with the client, which is noted.

$t->stop;
done_testing;
