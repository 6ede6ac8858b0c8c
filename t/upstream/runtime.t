#!/usr/bin/perl

# Servers that are changed, added and deleted while the server runs: what
# requests see, what a reload leaves, what stays in the overlay.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http', 'proxy');
my %u = map {
    my $name = $_;
    $name => $t->upstream($name => handler => sub {
        my ($conn, $req) = @_;
        if ($req->{path} eq '/hold') {
            $conn->note("held by $name");
            $conn->wait('go');
        }
        $conn->reply(body => $name);
    })
} qw/a b c/;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub conf {
    my (%line) = @_;
    $t->config(<<"EOC");
worker_processes 2;
http {
    upstream back {
        server %%UPSTREAM_a%%@{[ $line{a} // '' ]};
        server %%UPSTREAM_b%%@{[ $line{b} // '' ]};
        @{[ $line{more} // '' ]}
    }
    upstream keyed { ip_hash; server %%UPSTREAM_a%%; server %%UPSTREAM_b%%; }
    upstream sized { zone sized 32k; server %%UPSTREAM_a%%; }
    server {
        listen %%PORT_80%%;
        location / { proxy_pass http://back; }
        location /keyed { proxy_pass http://keyed/; }
        location /sized { proxy_pass http://sized/; }
        location /one { proxy_pass http://%%UPSTREAM_c%%/; }
    }
}
EOC
}

# counts($n, $path): who answered how often.

sub counts {
    my ($n, $path) = @_;
    my %n;
    $n{$t->get($path // '/')->body}++ for 1 .. $n // 12;
    return join ' ', map { "$_:$n{$_}" } sort keys %n;
}

my %addr = map { $_ => $u{$_}->addr } keys %u;
conf();
$t->run;
my $c = Test::Veil::Control->new($t);

# server.set

is(counts(), 'a:6 b:6', 'both in turn');
my $r = $c->ask('server.set', server => "back/$addr{a}", state => 'drain');
ok($r->{ok}, 'drain');
is($r->{data}{before}{state}, 'ready', 'what it was');
is($r->{data}{after}{state}, 'drain', 'what it is');
is($r->{volatile}, $true, 'it will not outlive the server');
is(counts(), 'b:12', 'nothing new for it, from any worker');
$r = $c->ask('server.set', { dry_run => $true }, server => "back/$addr{a}",
    state => 'ready');
is($r->{data}{after}{state}, 'ready', 'a dry run tells');
is(counts(), 'b:12', 'and changes nothing');
ok($c->ask('server.set', server => "back/$addr{a}", state => 'ready',
        weight => 3)->{ok}, 'back, with another weight');
is(counts(), 'a:9 b:3', 'the weight holds in all workers');
ok($c->ask('server.set', server => "back/$addr{b}", backup => 'on')->{ok},
    'a backup');
is(counts(), 'a:12', 'is not asked');
$c->data('server.set', server => "back/$addr{a}", state => 'down');
is(counts(), 'b:12', 'but when no other can be');
is($c->code('server.set', server => "back/$addr{a}", backup => 'on'),
    'E_INVALID', 'backups alone are no upstream');
$c->data('server.set', server => "back/$addr{$_}", reset => $true)
    for qw/a b/;
is(counts(), 'a:6 b:6', 'all as configured');
$c->data('server.set', server => "back/$addr{a}", addr => $addr{c});
is(counts(), 'b:6 c:6', 'another address');
$c->data('server.set', server => "back/$addr{a}", addr => 'off');
is(counts(), 'a:6 b:6', 'and its own');

# What is wrong

for my $case (
    [ 'no upstream', { server => 'bakc/x' }, 'E_NOT_FOUND', 'back' ],
    [ 'no server', { server => "back/$addr{a}0" }, 'E_NOT_FOUND',
        "back/$addr{a}" ],
    [ 'no slash', { server => 'back' }, 'E_ARGUMENT' ],
    [ 'no change', { server => "back/$addr{a}" }, 'E_ARGUMENT' ],
    [ 'a weight of 0', { server => "back/$addr{a}", weight => 0 },
        'E_ARGUMENT' ],
    [ 'a weight too large', { server => "back/$addr{a}", weight => 65536 },
        'E_ARGUMENT' ],
    [ 'a name for an address',
        { server => "back/$addr{a}", addr => 'host:80' }, 'E_ARGUMENT' ],
    [ 'an odd state', { server => "back/$addr{a}", state => 'maint' },
        'E_ARGUMENT' ],
    )
{
    my ($name, $args, $code, $hint) = @$case;
    $r = $c->ask('server.set', %$args);
    is($r->{err}{code}, $code, $name);
    like($r->{err}{hint}, qr/did you mean "\Q$hint\E"/, 'with a suggestion')
        if $hint;
}

# A reload keeps what was changed, unless the line was.

$c->data('server.set', server => "back/$addr{a}", state => 'drain');
conf();
ok($t->reload, 'reload');
is(counts(), 'b:12', 'a drained server stays drained');
conf(b => ' weight=2');
ok($t->reload, 'reload with another weight of the other');
is(counts(), 'b:12', 'which changes nothing of the first');
conf(a => ' down');
$t->reload;
conf();
$t->reload;
is(counts(), 'a:6 b:6', 'who edits the line has the last word');

# server.add
like($c->ask('server.add', upstream => 'back', address => 'name:99999')->{err}{msg},
    qr/"name:99999" is no server: .* a port from 1 to 65535/, 'what a server is');
like($c->ask('server.set', server => "back/$addr{a}", addr => 'foo')->{err}{msg},
    qr/"addr" must be ADDRESS:PORT or "off", not "foo"/, 'what an address is');

$r = $c->ask('server.add', upstream => 'back', address => $addr{c},
    weight => 2);
ok($r->{ok}, 'a server is added') or diag($r->{err}{msg});
is($r->{data}{id}, "back/$addr{c}", 'its id');
is(counts(), 'a:3 b:3 c:6', 'and asked');
is($c->code('server.add', upstream => 'back', address => $addr{c}),
    'E_CONFLICT', 'not twice');
is($c->code('server.add', upstream => 'back', address => $addr{a}),
    'E_CONFLICT', 'nor one of the configuration');
is($c->code('server.add', upstream => $addr{c}, address => $addr{a}),
    'E_INVALID', 'nor to what is no upstream {}');
is($c->code('server.add', upstream => 'back', address => $_), 'E_ARGUMENT',
    "\"$_\" is no server") for 'x:y', ':80', '', 'a b', '1.2.3.4:99999';
is($c->code('server.add', upstream => 'back', address => "https://$addr{b}"),
    'E_INVALID', 'TLS was not prepared');
$t->reload;
is(counts(), 'a:3 b:3 c:6', 'it survives a reload');
conf(more => "server $addr{c} weight=1;");
$t->reload;
is(counts(), 'a:4 b:4 c:4', 'the configuration takes it over');
conf();
$t->reload;
is(counts(), 'a:6 b:6', 'and lets it go');

# By name: looked up by each worker

my ($portnum) = $addr{c} =~ /:(\d+)\z/;
$c->data('server.add', upstream => 'back', address => "localhost:$portnum");
ok($t->wait_for(sub { counts() =~ /c:/ }), 'a name is looked up, and asked');
my ($answer) = grep { $_->{server} eq "localhost:$portnum" }
    @{$c->data('resolve', name => 'back')};
ok(scalar(grep { $_ eq '127.0.0.1' } @{$answer->{addresses}}),
    'and again when somebody wants to know');
($answer) = @{$c->data('resolve', name => 'localhost')};
is($answer->{name}, 'localhost', 'by its name');
is($c->code('resolve', name => 'a/b'), 'E_ARGUMENT', 'what is none');
$r = $c->ask('server.set', server => "back/127.0.0.1:$portnum",
    state => 'down');
is($r->{data}{after}{state}, 'down', 'one of its addresses is set down')
    or diag($r->{err}{msg});
unlike(counts(), qr/c:/, 'and not asked');
$c->data('server.set', server => "back/localhost:$portnum", state => 'ready');
like(counts(), qr/c:/, 'what is said of the server comes later, and holds');
$c->data('server.del', server => "back/localhost:$portnum", wait => '20s');
unlike(counts(), qr/c:/, 'it is gone');

# server.del

my $held = $t->connect;
$held->send_request(path => '/hold');
ok($t->wait_for(sub { grep { /held/ } map { $u{$_}->notes } qw/a b/ }),
    'a request is under way');
my ($busy) = grep { grep { /held/ } $u{$_}->notes } qw/a b/;
my ($idle) = grep { $_ ne $busy } qw/a b/;
is($c->code('server.del', server => "back/$addr{$busy}"), 'E_CONFLICT',
    'it is not deleted under a request');
is(counts(), "$idle:12", 'but drains');
my $other = Test::Veil::Control->new($t);
$other->send({ id => 1, verb => 'server.del',
        args => { server => "back/$addr{$busy}", wait => '60s' } });
$c->send({ id => 2, verb => 'wait',
        args => { cond => 'server-idle', what => "back/$addr{$busy}" } });
is($c->next(0.3), undef, 'both wait');
$u{$busy}->release('go');
is($held->read_response->body, $busy, 'what is under way is finished');
ok($c->next->{data}{reached}, 'idle');
ok($other->next->{ok}, 'deleted');
is(counts(), "$idle:12", 'it is gone');
is($c->code('server.set', server => "back/$addr{$busy}", weight => 2),
    'E_NOT_FOUND', 'for all verbs');
is($c->code('server.del', server => "back/$addr{$idle}"), 'E_CONFLICT',
    'the last one stays');
$t->reload;
is(counts(), "$idle:12", 'a reload does not bring it back');
ok($c->ask('server.add', upstream => 'back', address => $addr{$busy})->{ok},
    'adding it does');
like(counts(), qr/\Aa:[567] b:[567]\z/, 'as configured');

# wait

is($c->data('wait', cond => 'healthy', what => 'back>=2')->{now}, 2,
    'healthy');
$r = $c->ask('wait', { timeout => 0.3 }, cond => 'healthy', what => 'back>=3');
is($r->{err}{code}, 'E_TIMEOUT', 'not so many');
is($c->code('wait', cond => 'healthy', what => 'back'), 'E_ARGUMENT',
    'a number is needed');
my $gen = $c->ask('ping')->{gen};
is($c->code('wait', { timeout => 0.3 }, cond => 'gen-drained', what => "$gen"),
    'E_TIMEOUT', 'this generation serves');
is($c->code('wait', cond => 'gen-drained', what => '' . ($gen + 1)), 'E_NOT_FOUND',
    'there was no other yet');
$t->reload;
ok($c->data('wait', cond => 'gen-drained', what => "$gen")->{reached},
    'it is gone after a reload');
counts(4);

# upstream.list and upstream.show

my %list = map { $_->{upstream} => $_ } @{$c->data('upstream.list')};
is($list{back}{addresses}, 2, 'listed');
is($list{keyed}{method}, 'ip_hash', 'with the method');
my ($show, %peer);
$t->wait_for(sub {
    ($show) = @{$c->data('upstream.show', upstream => 'back')};
    %peer = map { $_->{address} => $_ } @{$show->{peers}};
    return !$peer{$addr{a}}{in_flight} && $show->{idle};
});
is($peer{$addr{a}}{in_flight}, 0, 'nothing is under way');
cmp_ok($peer{$addr{a}}{requests}, '>', 12, 'there were requests');
is($peer{$addr{a}}{last_status}, 200, 'they were answered');
cmp_ok($show->{idle}, '>=', 1, 'connections are idle in some worker');
is($c->code('upstream.show', upstream => 'nobody'), 'E_NOT_FOUND',
    'no such upstream');

# Sticky: a drained server goes on with connections it has served.

my $conn = $t->connect;
my $mine = $conn->get('/keyed')->body;
$c->data('server.set', server => "keyed/$addr{$mine}", state => 'drain');
is($conn->get('/keyed')->body, $mine, 'a session goes on while it drains');
isnt($t->get('/keyed')->body, $mine, 'a new one goes elsewhere');
$c->data('server.set', server => "keyed/$addr{$mine}", state => 'down');
isnt($conn->get('/keyed')->body, $mine, 'down ends sessions, too');

# A zone without room

my $last = '';
for my $i (1 .. 80) {
    $r = $c->ask('server.add', upstream => 'sized', address => "127.0.0.9:$i");
    $last = $r->{err}{code} and last if !$r->{ok};
}
is($last, 'E_FAILED', 'a full zone is told');
is($t->get('/sized')->status, 200, 'and does no harm');

# The overlay

my $overlay = $t->testdir . '/run/overlay.ini';
ok(!-e $overlay, 'nothing was asked to stay');
$r = $c->ask('server.set', { persist => $true }, server => "back/$addr{a}",
    state => 'drain');
ok($r->{ok} && !$r->{volatile}, 'a change that stays')
    or diag($r->{err}{msg});
$c->data('server.add', { persist => $true }, upstream => 'back',
    address => $addr{c}, weight => 2);
$c->data('server.set', server => "back/$addr{c}", weight => 5);
is((stat $overlay)[2] & 0777, 0600, 'for its owner alone');
is(counts(), 'b:2 c:10', 'both changes');

sub overlay_dumped {
    my $text = $c->data('config.dump', effective => $true)->{text};
    $text =~ s/.*^# changes that stay, of \S+\n//ms;
    return join ' ', map { /^# (.*(?:state =|weight =|line =).*)/ ? $1 : () }
        grep { !/changed at run time/ } split /\n/, $text;
}
is(overlay_dumped(), 'state = drain was ready state = ready '
    . 'weight = 2 (changed since, not in force)',
    'config.dump --effective tells what of it is in force');
$c->data('server.set', server => "back/$addr{c}", weight => 2);
$c->data('server.set', server => "back/$addr{a}", reset => $true);
is(overlay_dumped(), 'state = drain was ready (changed since, not in force) '
    . 'state = ready weight = 2', '... as it is changed');
$c->data('server.set', server => "back/$addr{a}", state => 'drain');
$c->data('server.del', server => "back/$addr{c}", force => $true);
is(overlay_dumped(), join(' ', 'state = drain was ready',
    map { "$_ (changed since, not in force)" } 'state = ready', 'weight = 2'),
    '... and deleted');
$c->data('server.add', upstream => 'back', address => $addr{c}, weight => 5);
$t->stop;
$t->run;
is(counts(), 'b:4 c:8', 'a new server has what stays, no more');
$c = Test::Veil::Control->new($t);
$c->data('server.del', { persist => $true }, server => "back/$addr{c}",
    force => $true);
$c->data('server.set', { persist => $true }, server => "back/$addr{a}",
    state => 'ready');
$c->data('server.del', { persist => $true }, server => "back/$addr{b}");
unlike($t->read_file('run/overlay.ini'), qr/\[(?:add|server)/,
    'what was taken back is not there');
like(overlay_dumped(), qr/^line = .*[^)]$/, 'config.dump: a deleted one');
$c->data('server.add', upstream => 'back', address => $addr{b});
like(overlay_dumped(), qr/^line = .*\(changed since, not in force\)$/,
    '... that was added again');
$c->data('server.del', server => "back/$addr{b}");
$t->stop;
$t->append_file('run/overlay.ini',
    "[server back/nobody:1]\nstate = drain\nnonsense\n[add back/$addr{c}]\n"
        . "weight = many\n");
$t->run;
is($t->get('/')->body, 'a', 'deleted ones stay away');
like($t->log('error.log'), qr/there is no server "back\/nobody:1" any more in/,
    'what is broken is told');
like($t->log('error.log'), qr/must be a number from 1 to 65535/, 'all of it');

done_testing;
