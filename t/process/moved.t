#!/usr/bin/perl

# Clients of the control socket across an upgrade: they are told that another
# master serves, and go on there without missing or seeing anything twice; the
# numbers of events and of audit records go on, also on the way back, and when
# a master is killed.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Ctl;
use Test::Veil::Masters;

my $t = Test::Veil->new->has('http');
my $m = Test::Veil::Masters->new($t);
my $true = JSON::PP::true();
my $u = $t->upstream(a => gates => ['gate'], handler => sub {
    my ($conn) = @_;
    $conn->note('waits');
    $conn->wait('gate');
    $conn->reply(body => 'through');
});

$t->allow_alerts(qr/the new master \d+ .*, this one serves again/,
    qr/the master is gone/, qr/keeper cannot reach the master/);
sub conf {
    my ($respawn) = @_;
    $t->config(<<"EOC");
worker_processes 2;
master_respawn $respawn;
error_log %%TESTDIR%%/error.log notice;
http {
    access_log off;
    server {
        listen %%PORT_80%%;
        location / { return 200 "\$pid"; }
        location /u { proxy_pass http://%%UPSTREAM_a%%; }
    }
}
EOC
}

conf('off');
$t->run;

sub client { return Test::Veil::Control->new($t) }

sub upgrade {
    my @args = @_;
    my $c = client();
    my $reply = $c->ask('upgrade', @args);
    ok($reply->{ok}, "upgrade @args[0 .. ($#args > 0 ? 0 : -1)]")
        or diag(explain($reply));
    return ($reply->{data}, $c);
}

# Something that is an event and a record: a level that is set.

my $marks = 0;

sub mark {
    my $n = ++$marks;
    my $c = client();
    $c->send({ id => "mark$n", verb => 'log.level',
        args => { level => 'core=info' } });
    my $reply = $c->next;
    ok($reply->{ok}, "mark $n") or diag(explain($reply));
    return $n;
}

# all($verb): what it shows of all that is kept.

sub events {
    my $c = client();
    $c->send({ id => 1, verb => 'events', args => { since => 0 } });
    my $last = mark();
    my @seen;
    while (my $line = $c->next) {
        my $e = $line->{line} or last;
        push @seen, $e;
        last if ($e->{data}{request} // '') eq "mark$last";
    }
    return @seen;
}

sub in_order {
    my ($name) = @_;
    my @seen = map { $_->{seq} } events();
    is_deeply(\@seen, [ 1 .. @seen ], "$name: all events, each once")
        or diag("@seen");
    my @records = @{ client()->data('audit', n => 512)->{records} };
    my %times;
    $times{ $_->{seq} }++ for @records;
    is_deeply([ grep { $times{$_} > 1 } keys %times ], [],
        "$name: no number of a record is given twice");
    is_deeply([ map { $_->{seq} } @records ],
        [ sort { $a <=> $b } map { $_->{seq} } @records ],
        "$name: they go up");
    my @marks = map { ($_->{request} // '') =~ /\Amark(\d+)/ } @records;
    is_deeply(\@marks, [ 1 .. $marks ], "$name: all records of that kind");
    my %clients = map { $_->{client} => 1 } @records;
    my %sessions = map { $_->{session} => 1 } @records;
    is(scalar keys %clients, scalar keys %sessions,
        "$name: so do the numbers of clients");
    return scalar @seen;
}

# --- what a client is told ---------------------------------------------------

mark() for 1 .. 3;
my $idle = client();
$idle->ask('ping');
my $stream = client();
$stream->send({ id => 's', verb => 'events',
    args => { kinds => 'control.log.level', n => 1, count => 3 } });
is($stream->next->{line}{data}{request}, 'mark3', 'a stream');
my $tail = client();
$tail->send({ id => 7, verb => 'audit', args => { follow => $true, n => 1 } });
my @seen = $tail->next->{line};
is($seen[0]{request}, 'mark3', 'a stream of records');
my $waits = client();
$waits->send({ id => 8, verb => 'wait',
    args => { cond => 'gen-drained', what => '1' } });
my $old = $t->pid;

my ($data, $asker) = upgrade();
my $new = $data->{new}{pid};

sub is_moved {
    my ($c, $name, $pid) = @_;
    is_deeply($c->next, { event => 'moved', pid => $pid },
        "$name: is told who serves");
    ok($c->eof, "$name: and is disconnected");
}

is_moved($idle, 'an idle client', $new);
is_moved($asker, 'the one that asked, after its answer', $new);

sub moved_answer {
    my ($c, $id, $name, $lines) = @_;
    my $line;
    while (($line = $c->next) && $line->{line}) {
        push @$lines, $line->{line};
    }
    is($line->{id}, $id, "$name: is answered");
    is($line->{err}{code}, 'E_MOVED', "$name: the code");
    return $line->{err}{details}{args};
}

my $args = moved_answer($stream, 's', 'a stream');
is($args->{kinds}, 'control.log.level', 'as it was asked');
is($args->{n}, undef, 'but for where it began');
is($args->{count}, 2, 'and how many are left');
is_moved($stream, 'a stream', $new);
my $tail_args = moved_answer($tail, 7, 'records', \@seen);
is_moved($tail, 'records', $new);
is(moved_answer($waits, 8, 'a call that waits'), undef, 'as it was');
is_moved($waits, 'a call that waits', $new);

# It goes on there.

$stream = client();
$stream->send({ id => 1, verb => 'events', args => $args });
my $n = mark();
is($stream->next->{line}{data}{request}, "mark$n", 'the next event');
$tail = client();
$tail->send({ id => 1, verb => 'audit', args => $tail_args });
push @seen, $tail->next->{line}
    while defined $seen[-1] && ($seen[-1]{request} // '') ne "mark$n";
my @records = grep { $_->{seq} >= $seen[0]{seq} }
    @{ client()->data('audit', n => 512)->{records} };
pop @records while @records && $records[-1]{seq} > ($seen[-1]{seq} // 0);
is_deeply([ map { $_->{seq} } @seen ], [ map { $_->{seq} } @records ],
    'the records, each once');
is((grep { $_->{verb} eq 'upgrade' } @records) + 0, 2,
    'among them the upgrade');
is_deeply(client()->data('log.level')->{rules},
    [ { part => 'core', level => 'info', left_ms => undef } ],
    'levels of logs go on');

ok($t->wait_for(sub { "@{[ $m->masters ]}" eq $new }), 'the old one ends');
my @all = events();
is((grep { $_->{kind} eq 'worker.ended' && $_->{generation} == 1 } @all) + 0,
    2, 'the new master tells of the old one\'s workers');
in_order('an upgrade');

# --- a change that is under way ----------------------------------------------

# It gets its answer from the master that carries it out.

my $request = $t->connect;
$request->send_request(path => '/u');
ok($u->wait_note(qr/waits/), 'a worker has something to do');
$old = $new;
my ($pid) = map { $_->{pid} } @{ client()->data('ping') };
kill 'STOP', $pid;
my $change = client();
$change->send({ id => 9, verb => 'log.reopen', timeout => 60 });
ok($t->wait_for(sub {
    grep { $_->{verb} eq 'log.reopen' && $_->{result} eq 'accepted' }
        @{ client()->data('audit')->{records} };
}), 'a change waits for it');
($data) = upgrade(keep_old => $true);
kill 'CONT', $pid;
my $reply = $change->next;
is($reply->{id}, 9, 'a change is answered') or diag(explain($reply));
ok($reply->{ok}, 'as it went');
is_moved($change, 'then', $data->{new}{pid});

# --- the way back --------------------------------------------------------------

$n = in_order('with the old one kept');
$idle = client();
$idle->ask('log.level', level => 'event=notice');
($data, $asker) = upgrade(rollback => $true);
is_moved($idle, 'a client of the new one', $old);
is_moved($asker, 'the one that asked for it', $old);
cmp_ok(in_order('rollback'), '>', $n, 'and they go on');
is(scalar @{ client()->data('log.level')->{rules} }, 2,
    'rules of the new one hold in the old one');
$u->release('gate');
is($request->read_response->body, 'through', 'a request across all of that');

# Also when the new one dies.

($data) = upgrade(keep_old => $true);
$n = in_order('kept again');
kill 'KILL', $data->{new}{pid};
ok($t->wait_for_log(qr/was ended by signal 9, this one serves again/),
    'the new one is killed');
ok($t->wait_for(sub { $m->workers_of($old) == 2 && $t->worker_pids == 2 }),
    'the old one serves');
cmp_ok(in_order('the new one was killed'), '>', $n, 'and they go on');

# --- a master that is killed ------------------------------------------------------

conf('on');
ok(client()->ask('reload', { timeout => 60 })->{ok}, 'with master_respawn');
$idle = client();
$idle->ask('ping');
$n = in_order('before');
kill 'KILL', $old;
ok($idle->eof, 'its clients are disconnected, without a word');
ok($t->wait_for(sub {
    my ($heir) = grep { $_ != $old } $m->masters;
    $heir && $m->pid_file('veil.pid') eq $heir;
}), 'another one is made');
ok($t->wait_for(sub { my $c = client(); $c && $c->ask('ping')->{ok} }),
    'which can be asked');
cmp_ok(in_order('after'), '>', $n, 'what was remembered is');
is(scalar @{ client()->data('log.level')->{rules} }, 2, 'and rules');

# --- veilctl ------------------------------------------------------------------

my $ctl = Test::Veil::Ctl->new($t);
my $first = mark();
my %run = map { my @args = split ' ';
    $_ => $ctl->run({ start => 1 }, @args) }
    ('--json events --kinds control.log.level -n 1',
    '--json audit --follow');
for my $run (values %run) {
    ok($t->wait_for(sub { $ctl->output($run) =~ /mark$first\b/ }),
        'veilctl watches');
}
mark();
for (1 .. 2) {
    ($data) = upgrade();
    mark();
}
upgrade(keep_old => $true);
mark();
upgrade(rollback => $true);
my $last = mark();
for my $name (sort keys %run) {
    my $run = $run{$name};
    ok($t->wait_for(sub { $ctl->output($run) =~ /mark$last\b/ }),
        "$name: goes on");
    kill 'INT', $run->{pid};
    my $r = $ctl->finish($run);
    is($r->{status}, 0, "$name: ends well");
    is($r->{err}, '', "$name: without complaints");
    my @seen = grep { $_ >= $first } $r->{out} =~ /"request": ?"mark(\d+)"/g;
    is_deeply(\@seen, [ $first .. $last ], "$name: each once") or diag("@seen");
}

$m->ends;
done_testing;
