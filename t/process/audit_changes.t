#!/usr/bin/perl

# What an audit record says of what was changed, for each verb that changes
# something: by name, before and after; and what counts as refused, and as
# asked of workers.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');
my $yes = JSON::PP::true();
my @server = map { '127.0.0.1:' . $t->port($_) } 81 .. 83;

$t->config(<<"EOC");
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;
control_audit_log %%TESTDIR%%/a.txt reads=off;
control_audit_log %%TESTDIR%%/all.txt;
http {
    access_log off;
    upstream back {
        zone back 64k;
        server $server[0];
        server $server[1];
    }
    server {
        listen %%PORT_80%%;
        client_max_body_size 1000;
        location / {
            proxy_pass http://back;
        }
    }
}
EOC
$t->run;
my $c = Test::Veil::Control->new($t);

# The last record, of the last request.

sub last_record { return $c->data('audit', n => 1)->{records}[0] }

# "weight: 1 -> 44", in the order of names.

my $json = JSON::PP->new->canonical->allow_nonref;
sub changes {
    my ($record) = @_;
    return [ map { my $f = $_;
        "$f->{field}: " . join ' -> ', map { $json->encode($f->{$_}) }
            qw/before after/ }
        sort { $a->{field} cmp $b->{field} } @{ $record->{changes} // [] } ];
}

sub changed {
    my ($want, $what) = @_;
    my $record = last_record();
    is_deeply(changes($record), $want, $what)
        or diag $json->encode($record);
    return $record;
}

sub text { return (split /\n/, $t->read_file('a.txt'))[-1] }

# --- servers

$c->data('server.set', server => "back/$server[0]", weight => 44);
like(text(), qr/ set\.weight=1->44 /, 'as text');
changed([ 'weight: 1 -> 44' ], 'server.set');
$c->data('server.set', server => "back/$server[0]", addr => $server[2]);
my $with = last_record();
$c->data('server.set', server => "back/$server[0]", addr => 'off');
my $without = last_record();
my ($set) = grep { $_->{after} && $_->{after} eq $server[2] }
    @{ $with->{changes} };
ok($set, 'another address') or diag $json->encode($with->{changes});
my ($off) = grep { $_->{field} eq ($set->{field} // '') }
    @{ $without->{changes} };
is($off->{before}, $server[2], '"addr=off" is a change');
is($off->{after}, $set->{before}, 'back to what it was');
like(text(), qr/ set\.$off->{field}=\Q$server[2]\E->- /, 'as text, too');
$c->data('server.set', server => "back/$server[0]", reset => $yes);

$c->data('server.add', upstream => 'back', address => $server[2], weight => 7);
my $record = last_record();
my %now = map { $_->{field} => $_->{after} } @{ $record->{changes} };
is($now{weight}, 7, 'server.add says what the new one is like');
ok(!exists $now{id}, 'which is not its number');
ok(!(grep { defined $_->{before} } @{ $record->{changes} }), 'it was not');
my $data = $c->data('server.del', { dry_run => $yes },
    server => "back/$server[2]");
is($data->{before}{weight}, 7, 'server.del, a dry run');
$c->data('server.del', server => "back/$server[2]", wait => '10s');
$record = last_record();
my %was = map { $_->{field} => $_->{before} } @{ $record->{changes} };
is($was{weight}, 7, 'server.del says what was there');
ok(!(grep { defined $_->{after} } @{ $record->{changes} }), 'it is no more');

# --- a saved state

my $file = $t->testdir . '/state';
$c->data('state.save', file => $file);
changed([], 'state.save changes nothing');
$c->data('server.set', server => "back/$server[1]", weight => 9);
$c->data('state.load', file => $file);
changed([ "back/$server[1].weight: 9 -> 1" ], 'state.load');
like(text(), qr/ set\.back\/\Q$server[1]\E\.weight=9->1 /, 'as text');

# --- listeners

my $port = $t->port(80);
$c->data('listener.set', { dry_run => $yes }, listener => "$port",
    client_max_body_size => '2000');
changed([ 'client_max_body_size: 1000 -> 2000' ], 'a dry run of listener.set');
$c->data('listener.set', listener => "$port", client_max_body_size => '2000',
    keepalive_requests => '77');
changed([ 'client_max_body_size: 1000 -> 2000',
    'keepalive_requests: 1000 -> 77' ], 'listener.set');
like(text(), qr/ set\.client_max_body_size=1000->2000 /, 'as text');

my $name = $c->data('listener.list')->[0]{listener};
$c->data('state.load', file => $file);
changed([ "$name.client_max_body_size: 2000 -> 1000",
    "$name.keepalive_requests: 77 -> 1000" ], 'state.load, of listeners');
$c->data('drain');
changed([ "draining: [] -> [\"$name\"]" ], 'drain');
$c->data('undrain');
changed([ "draining: [\"$name\"] -> []" ], 'undrain');

# --- workers

my %pid = map { $_->{slot} => $_->{pid} } @{ $c->data('worker.list') };
my $done = $c->data('worker.restart', slot => 1);
changed([ "worker.1: $pid{1} -> $done->[0]{pid}" ], 'worker.restart');

# --- what is refused

for my $case (
    [ 'E_NOT_FOUND', 'server.set', server => 'back/9.9.9.9:1', weight => 1 ],
    [ 'E_NOT_FOUND', 'listener.set', listener => '1', send_timeout => '1s' ],
    [ 'E_NOT_FOUND', 'worker.restart', slot => 99 ],
    [ 'E_ARGUMENT', 'server.set', server => "back/$server[0]" ],
    [ 'E_INVALID', 'state.load', file => $t->testdir . '/veil.conf' ],
    [ 'E_INVALID', 'config.diff', config => $t->testdir . '/a.txt' ],
) {
    my ($code, $verb, @args) = @$case;
    my $r = $c->ask($verb, @args);
    is($r->{err}{code}, $code, "$verb: $code") or diag $json->encode($r);
    $record = last_record();
    is("$record->{verb} $record->{result}", "$verb refused", '  is refused');
    is($record->{changes}, undef, '  and has changed nothing');
}
my $r = $c->ask('state.save', file => '/proc/none/state');
is($r->{err}{code}, 'E_IO', 'what cannot be written');
is(last_record()->{result}, 'failed', 'has failed');

# --- who was asked

$c->data($_) for qw/listener.list ping/;
my ($list) = grep { /verb=listener\.list/ } split /\n/, $t->read_file('all.txt');
like($list, qr/ fanout=ok workers=1\/0\/1 /, 'one worker is enough');
my ($all) = grep { /verb=ping/ } split /\n/, $t->read_file('all.txt');
like($all, qr/ fanout=ok workers=2\/0\/2 /, 'all are');

# --- what is kept to be shown

my $f = Test::Veil::Control->new($t);
$f->send({ id => 1, verb => 'audit', args => { n => 1, follow => $yes } });
ok($f->next->{line}, 'somebody looks, and goes on to');
$c->data('log.level', level => 'core=info');
is($f->next->{line}{verb}, 'log.level', 'and sees who changes something');
$f->close;
is(scalar(grep { $_->{verb} eq 'audit' || $_->{verb} eq 'ping' }
    @{ $c->data('audit', n => 500)->{records} }), 0,
    'but not those who look, whether they have begun or ended');
$c->data('log.reopen');
my @reopen = grep { $_->{verb} eq 'log.reopen' }
    @{ $c->data('audit', n => 5)->{records} };
is("@{[ map { $_->{result} } @reopen ]}", 'accepted ok', 'a change begins');
is($reopen[0]{elapsed_ms}, undef, 'when it has taken no time');
ok(defined $reopen[1]{elapsed_ms}, 'and ends when it has');

$t->stop;
done_testing;
