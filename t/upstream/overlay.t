#!/usr/bin/perl

# The file of changes, edited by hand: a reload carries out what was edited,
# and nothing else; what is broken refuses the reload.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http', 'proxy');
my %u = map {
    $_ => $t->upstream($_ => handler =>
            Test::Veil::Upstream::reply(body => $_))
} qw/a b c d/;
my %addr = map { $_ => $u{$_}->addr } keys %u;
my $true = JSON::PP::true;

sub conf {
    my ($weight) = @_;
    $t->config(<<"EOC");
worker_processes 2;
control_overlay %%TESTDIR%%/overlay.ini;
http {
    upstream back { server %%UPSTREAM_a%%$weight; server %%UPSTREAM_b%%; }
    server { listen %%PORT_80%%; location / { proxy_pass http://back; } }
}
EOC
}

conf('');
$t->run;
my $c = Test::Veil::Control->new($t);

sub servers {
    my %name = reverse %addr;
    my %n;
    my ($u) = @{$c->data('upstream.show', upstream => 'back')};
    for my $s (@{$u->{peers}}) {
        $n{$name{$s->{address}}} = "$s->{state}/$s->{weight}";
    }
    return join ' ', map { "$_:$n{$_}" } sort keys %n;
}

sub edit {
    my ($text) = @_;
    $t->write_file('overlay.ini', $text);
}

sub reload { return $c->ask('reload') }

is(servers(), 'a:ready/1 b:ready/1', 'as configured');

# What is edited counts at the reload.

edit("[server back/$addr{a}]\nweight = 3\n[add back/$addr{c}]\nweight = 2\n");
is(servers(), 'a:ready/1 b:ready/1', 'nothing before a reload');
ok($c->ask('reload', { dry_run => $true })->{ok}, 'nor by a dry run');
is(servers(), 'a:ready/1 b:ready/1', '... which changes nothing');
ok(reload()->{ok}, 'a reload');
is(servers(), 'a:ready/3 b:ready/1 c:ready/2', 'has what a hand wrote');

# What was not edited does not count again.

$c->data('server.set', server => "back/$addr{a}", weight => 5);
$c->data('server.set', server => "back/$addr{b}", state => 'drain');
ok(reload()->{ok}, 'the same file');
is(servers(), 'a:ready/5 b:drain/1 c:ready/2', 'what was set at run time holds');
$t->append_file('overlay.ini', "[server back/$addr{b}]\nweight = 4\n");
ok(reload()->{ok}, 'one line more');
is(servers(), 'a:ready/5 b:drain/4 c:ready/2', 'it counts, beside the others');

# Where both have changed it, what was set at run time holds.

edit("[server back/$addr{a}]\nweight = 7\n[add back/$addr{c}]\nweight = 6\n"
    . "[server back/$addr{b}]\nweight = 4\nstate = ready\n");
my $mark = $t->log_mark;
ok(reload()->{ok}, 'lines that are others now');
is(servers(), 'a:ready/5 b:drain/4 c:ready/6', 'and only where they may');
ok($t->wait_for_log(qr/"weight" of "back\/\Q$addr{a}\E" was changed at run time, which holds until a restart in \S+overlay\.ini:2, ignored/,
    from => $mark), 'which is told');

# With "persist" both are changed.

$c->data('server.set', { persist => $true }, server => "back/$addr{a}",
    weight => 8);
like($t->read_file('overlay.ini'), qr/^weight = 8 was 1$/m, 'a verb writes it');
ok(reload()->{ok}, 'a reload after it');
is(servers(), 'a:ready/8 b:drain/4 c:ready/6', 'nothing is different');

# Lines that are taken out are taken back.

edit("[server back/$addr{b}]\nweight = 4\n");
ok(reload()->{ok}, 'lines taken out');
is(servers(), 'a:ready/1 b:drain/4', 'are as configured');
$c->data('server.set', server => "back/$addr{b}", weight => 9);
edit('');
ok(reload()->{ok}, 'the last one');
is(servers(), 'a:ready/1 b:drain/9', 'but not what was changed since');
$c->data('server.set', server => "back/$addr{b}", reset => $true);

# Deleted ones

$c->data('server.del', { persist => $true }, server => "back/$addr{b}");
my $deleted = $t->read_file('overlay.ini');
unlike(servers(), qr/b:ready/, 'one is deleted');
edit('');
ok(reload()->{ok}, 'taken out');
is(servers(), 'a:ready/1 b:ready/1', 'it is back');
edit($deleted);
ok(reload()->{ok}, 'put in');
unlike(servers(), qr/b:ready/, 'it is gone again');
edit('');
ok(reload()->{ok}, 'and back');

# Broken files

my $serves = $c->data('status')->{generation};
$t->allow_alerts(qr/\[emerg\]/);
for my $case (
    [ 'a value', "[server back/$addr{a}]\nstate = ready\nweight = many\n",
        qr/must be a number from 1 to 65535, .* in \S+overlay\.ini:3$/ ],
    [ 'a name', "\n[server back/$addr{a}]\nheight = 3\n",
        qr/overlay\.ini:3$/ ],
    [ 'no key', "[server back/$addr{a}]\nnonsense\n",
        qr/neither a section nor "key = value" in \S+overlay\.ini:2$/ ],
    [ 'no section', "weight = 2\n",
        qr/before the first section in \S+overlay\.ini:1$/ ],
    [ 'a section', "[sever back/$addr{a}]\nweight = 2\nstate = drain\n",
        qr/the section \[sever back\S+ is unknown, did you mean "server"\? in \S+overlay\.ini:2$/ ],
    [ 'no such section', "\n[nonsense x]\ny = 2\n",
        qr/the section \[nonsense x\] is unknown in \S+overlay\.ini:3$/ ],
    [ 'an address', "[add back/x:y]\nweight = 2\n",
        qr/no address of a server in \S+overlay\.ini:2$/ ],
    )
{
    my ($name, $text, $said) = @$case;
    edit("$text\n[add back/$addr{d}]\nweight = 2\n");
    my $r = reload();
    is($r->{err}{code}, 'E_INVALID', "$name: refused");
    like($r->{err}{msg}, $said, '  with its place');
    is(servers(), 'a:ready/1 b:ready/1', '  nothing is changed');
}
is($c->data('status')->{generation}, $serves, 'the same generation serves');
$c->data('server.set', server => "back/$addr{a}", state => 'ready');
for my $text ("nonsense\n", "[nonsense x]\ny = 1\n") {
    edit($text);
    is($c->ask('reload', { dry_run => $true })->{err}{code}, 'E_INVALID',
        'a dry run reads it, too');
}

# What the configuration made void is no mistake.

edit("[server back/$addr{a}]\nweight = 3 was 1\n[server gone/x:1]\nweight = 2\n");
conf(' weight=2');
ok(reload()->{ok}, 'lines that are out of date');
is(servers(), 'a:ready/2 b:ready/1', 'are left out');

# A start takes what it can.

$t->stop;
edit("[server back/$addr{a}]\nweight = many\nstate = drain\n"
    . "[nonsense x]\ny = 1\nz = 1\n");
$t->run;
$c = Test::Veil::Control->new($t);
is(servers(), 'a:drain/2 b:ready/1', 'a start leaves out what is broken');
ok($t->log =~ /\[warn\].*must be a number from 1 to 65535, .* in \S+overlay\.ini:2, ignored/,
    'and says so');
is(scalar(() = $t->log =~ /\[warn\].*the section \[nonsense x\] is unknown in \S+overlay\.ini:5, ignored/g),
    1, 'also of a section that nobody knows, once');
like($c->data('config.dump', effective => $true)->{text},
    qr/^# y = 1 \(ignored\)\n# z = 1 \(ignored\)$/m, 'which is shown');

done_testing();
