#!/usr/bin/perl

# state.save, state.load, state.diff: what was changed at run time, in a file.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA 'sha256_hex';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http', 'proxy');
my %u = map {
    $_ => $t->upstream($_ => handler =>
            Test::Veil::Upstream::reply(body => $_))
} qw/a b c/;
my $true = JSON::PP::true;
my $json = JSON::PP->new->canonical;

$t->config(<<'EOC');
worker_processes 2;
http {
    upstream back { server %%UPSTREAM_a%%; server %%UPSTREAM_b%%; }
    server { listen %%PORT_80%%; location / { proxy_pass http://back; } }
}
EOC
$t->run;
my $c = Test::Veil::Control->new($t);
my %addr = map { $_ => $u{$_}->addr } keys %u;
my $file = $t->testdir . '/saved.json';

sub counts {
    my %n;
    $n{$t->get('/')->body}++ for 1 .. 20;
    return join ' ', map { "$_:$n{$_}" } sort keys %n;
}

# Saving

$c->data('server.set', server => "back/$addr{a}", weight => 3);
$c->data('server.add', upstream => 'back', address => $addr{c}, weight => 2);
$c->data('server.del', server => "back/$addr{b}");
my $as_saved = counts();
like($as_saved, qr/\Aa:1[123] c:[789]\z/, 'changed');
my $saved = $c->data('state.save', file => $file);
is($saved->{counts}{servers}, 3, 'three servers are saved');
is((stat $file)[2] & 0777, 0600, 'for the owner alone');
my $content = $json->decode($t->read_file('saved.json'));
is($content->{veil_state}, 1, 'its version');
is($content->{sha256}, $saved->{sha256}, 'its checksum is told');
is(sha256_hex($json->encode($content->{state})), $saved->{sha256},
    'and that of the compact text with sorted keys');
is($c->code('state.save', file => $file), '', 'a saved state is replaced');
is($c->code('state.save', file => $t->testdir . '/veil.conf'), 'E_CONFLICT',
    'nothing else is');
is($c->code('state.save', file => 'here.json'), 'E_ARGUMENT',
    'a path is absolute');
is($c->code('state.save', file => $t->testdir . '/none/x'), 'E_IO',
    'or a file that cannot be written');
is_deeply([ glob $t->testdir . '/*.tmp' ], [], 'nothing is left beside it');

# What runs, with what was changed

my $dump = $c->data('config.dump', effective => $true)->{text};
like($dump, qr/upstream back \{ server/, 'the configuration');
like($dump, qr/^# changed at run time \(servers\): .*\Q$addr{c}\E/m,
    'and what was changed');
unlike($c->data('config.dump')->{text}, qr/changed at run time/,
    'which is not in the files');

# Loading

is_deeply($c->data('state.diff', file => $file)->{changes}, [],
    'nothing differs');
$c->data('server.set', server => "back/$addr{a}", reset => $true,
    state => 'drain');
$c->data('server.add', upstream => 'back', address => $addr{b});
$c->data('server.del', server => "back/$addr{c}");
is(counts(), 'b:20', 'all is other');
my $diff = $c->data('state.diff', file => $file);
is(scalar @{$diff->{changes}}, 3, 'three servers differ');
my %diff = map { $_->{server} => $_ } @{$diff->{changes}};
is($diff{"back/$addr{a}"}{after}{weight}, 3, 'one in its weight');
is($diff{"back/$addr{c}"}{before}, undef, 'one is not there');
is($diff{"back/$addr{b}"}{after}{state}, 'deleted', 'one goes');
is(counts(), 'b:20', 'to look changes nothing');
$c->data('state.load', { dry_run => $true }, file => $file);
is(counts(), 'b:20', 'nor does a dry run');
my $r = $c->ask('state.load', file => $file);
ok($r->{ok}, 'load');
is($r->{volatile}, $true, 'it ends with the server');
is(counts(), $as_saved, 'all is as it was saved');

# All or nothing

sub load_text {
    my ($text) = @_;
    $t->write_file('other.json', $text);
    return $c->ask('state.load', file => $t->testdir . '/other.json');
}

sub load_state {
    my ($state, %o) = @_;
    my $sum = sha256_hex($json->encode($state));
    return load_text($json->encode({ veil_state => 1, sha256 => $sum,
                state => $state, %o }));
}

my ($row) = grep { $_->{server} eq $addr{a} } @{$content->{state}{servers}};
my %other = (upstream => 'back', server => $addr{a}, changed => {});
for my $case (
    [ 'no JSON',          sub { load_text('{') } ],
    [ 'no state',         sub { load_text('{"a":1}') } ],
    [ 'another version',  sub { load_state({ servers => [] },
                veil_state => 2) } ],
    [ 'a wrong checksum', sub { load_state({ servers => [] },
                sha256 => '0' x 64) } ],
    [ 'an unknown part',  sub { load_state({ servers => [], moon => [] }) } ],
    [ 'an odd row',       sub { load_state({ servers => [ 1 ] }) } ],
    [ 'an odd weight',    sub { load_state({ servers => [ { %other }, {
                    %other, changed => { weight =>
                        { to => '0', was => '1' } } } ] }) } ],
    [ 'no such server',   sub { load_state({ servers => [ { %other,
                    server => 'x:1' } ] }) } ],
    [ 'TLS that was not prepared', sub { load_state({ servers => [ {
                    %other, server => '127.0.0.9:1', added => {
                        state => 'ready', weight => 1, max_conns => 0,
                        max_fails => 1, fail_timeout => '10s',
                        backup => JSON::PP::false, sni => '', scheme => 2 },
                } ] }) } ],
    )
{
    my ($name, $try) = @$case;
    is($try->()->{err}{code}, 'E_INVALID', $name);
}
is(load_state({ servers => [ { %other }, { %other, upstream => 'bakc' } ] })
    ->{err}{code}, 'E_NOT_FOUND', 'no such upstream');
is($c->code('state.load', file => $t->testdir . '/none'), 'E_IO', 'no file');
is(counts(), $as_saved, 'nothing of that has changed anything');
ok(load_state({ servers => [] })->{ok}, 'an empty state');
like(counts(), qr/\Aa:(?:9|10|11) b:(?:9|10|11)\z/, 'all is as configured');

done_testing;
