#!/usr/bin/perl

# A configuration of some megabytes: it is dumped whole, as it was written, to
# a client of the socket and to veilctl's; and it is compared.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Ctl;

my $t = Test::Veil->new->has(qw/http map/);
my $true = JSON::PP::true;
my $entries = join '', map {
    sprintf qq(        "/%06d/%s" "\\\\%d";\n), $_, 'long' x 20, $_
} 1 .. 28_000;
my $conf = <<"EOC";
worker_processes 1;
control_overlay %%TESTDIR%%/overlay.ini;
http {
    map \$uri \$large {
$entries    }
    upstream back { server 127.0.0.1:1; }
    server { listen %%PORT_80%%; location / { return 200 "\$large"; } }
}
EOC
$t->config($conf);
$t->run;
my $text = $t->read_file('veil.conf');
cmp_ok(length $text, '>', 3_000_000, 'a large configuration');
my $c = Test::Veil::Control->new($t);
my $ctl = Test::Veil::Ctl->new($t);

# Not is(): a failure would print them.

my $dump = $c->data('config.dump')->{text};
ok($dump =~ s/\A# configuration file \S+:\n//, 'its dump begins with its path');
ok(index($dump, $text) == 0, 'and has all of it') or diag(length $dump);
$c->data('server.set', { persist => $true }, server => 'back/127.0.0.1:1',
    weight => 7);
my $effective = $c->data('config.dump', effective => $true)->{text};
ok(index($effective, $text) > 0, 'the effective one, too');
like(substr($effective, -1000), qr/^# weight = 7 was 1\n.*^# changed at run time/ms,
    'with what was changed');
is($c->data('config.diff')->{summary}, 'nothing has changed', 'it is compared');

my $r = $ctl->run('config', 'dump');
is($r->{status}, 0, 'veilctl') or diag($r->{err});
ok(index($r->{out}, $text) > 0, 'shows all of it')
    or diag(length $r->{out});
ok(index($ctl->run('config', 'dump', '--effective')->{out}, $text) > 0,
    'also the effective one');

# Whoever reads slowly gets it as well, and nobody waits for him.

my $slow = Test::Veil::Control->new($t);
$slow->send({ id => 1, verb => 'config.dump' });
is($c->ask('ping')->{ok}, $true, 'others are answered meanwhile');
ok(index($slow->next->{data}{text}, $text) > 0, 'one that reads late');

# Behind other answers as well; but he may not let several of them lie.

$slow->put(join '', map { qq({"id":1,"verb":"$_"}\n) }
    ('verbs') x 8, 'config.dump', 'ping');
my @got = map { $slow->next } 1 .. 10;
is(join(' ', map { $_->{ok} ? 'ok' : 'no' } @got), join(' ', ('ok') x 10),
    'one among others');
$slow->send({ id => $_, verb => 'config.dump' }) for 1 .. 5;
is($c->ask('config.dump')->{ok}, $true, 'others are answered');
ok($t->wait_for_log(qr/is disconnected from the control socket/),
    'the log tells of one');
my $n = 0;
$n++ while $slow->next;
cmp_ok($n, '<', 5, 'who does not read is disconnected');

done_testing();
