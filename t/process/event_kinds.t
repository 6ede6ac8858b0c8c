#!/usr/bin/perl

# Every kind of event that the documentation names happens, and says what it
# is about; and it names all that the source has.

use strict;
use warnings;
use lib 't/lib';
use File::Find qw/find/;
use Time::HiRes qw/sleep/;
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::TLS;

my $t = Test::Veil->new->has(qw/tls proxy/);
my $tls = Test::Veil::TLS->new($t);
my $dir = $t->testdir;
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['site.test']);
$tls->cert('other', ca => 'root', names => ['site.test']);
$tls->cert('more', ca => 'root', names => ['more.test']);

# --- what is documented is what there is

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or die "$path: $!";
    local $/;
    return scalar <$f>;
}

my $text = slurp('docs/audit.md');
my ($table) = $text =~ /^\| kind \| \|\n\|[-|]+\n((?:\|.*\n)+)/m;
my %documented = map { $_ => 1 }
    map { /`([^`]+)`/g } map { (split /\|/)[1] } split /\n/, $table // '';
my %source;
find({ no_chdir => 1, wanted => sub {
    return unless /\.c\z/;
    my $code = slurp($_);
    # The first argument, with or without where it happened before it.
    while ($code =~ /\b\w*events?(?:_add)?\(\s*(?:&source,\s*)?([^,;]*),/g) {
        my $argument = $1;
        $source{$_} = 1 for $argument =~ /"([a-z]+(?:\.[a-z]+)?)"/g;
    }
} }, 'src');
delete $documented{'control.VERB'} or fail('control.VERB is documented');
is_deeply([ sort keys %documented ], [ sort keys %source ],
    'the documentation names the kinds that there are');

# --- a server that all of it can happen to

my $a = $t->upstream('a', routes => {
    '/'     => sub { $_[0]->reply(body => 'a') },
    '/hold' => sub { $_[0]->note('held'); $_[0]->wait('go');
        $_[0]->reply(body => 'held') },
});
$t->upstream($_, quiet => 1, routes => {
    '/'    => sub { $_[0]->reply(body => 'b') },
    '/bad' => sub { $_[0]->reply(status => 500, body => 'bad') },
}) for qw/b c/;

sub conf {
    my ($more, $watchdog) = @_;
    $watchdog //= 'off';
    $t->config(<<"EOC");
worker_processes 2;
worker_watchdog $watchdog;
control_overlay %%TESTDIR%%/overlay.ini;
http {
    upstream back {
        zone back 64k;
        server %%UPSTREAM_a%% max_fails=1 fail_timeout=1s;
        server %%UPSTREAM_b%% backup;
    }
    upstream flap {
        zone flap 64k;
        server %%UPSTREAM_b%% max_fails=1 fail_timeout=1ms;
        server %%UPSTREAM_c%% max_fails=1 fail_timeout=1ms;
    }
    server {
        listen %%PORT_80%%;
        location / { proxy_pass http://back; }
        location /flap/ {
            proxy_pass http://flap/;
            proxy_next_upstream http_500;
        }
    }
    server {
        listen %%PORT_443%% ssl;
        server_name site.test;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        return 200;
    }
}
$more
EOC
    return;
}

conf('');
$t->allow_alerts(qr/has not turned its loop|exited on signal 9/,
    qr/nonsense|\Q    ^\E|was not taken/,
    qr/Connection refused|no live upstreams/);
$t->run;
my $c = Test::Veil::Control->new($t);
my $w = Test::Veil::Control->new($t);
$w->send({ id => 1, verb => 'events', args => { since => 0 } });

my %seen;

# look($kind, condition, seconds): the next of that kind, of which it holds,
# until nothing comes for so long.  await: it is missed if there is none.

sub look {
    my ($kind, $is, $seconds) = @_;
    while (my $line = $w->next($seconds)) {
        my $e = $line->{line};
        next if !defined $e->{kind};
        $seen{ $e->{kind} } = 1;
        return $e if $e->{kind} eq $kind && (!$is || $is->($e));
    }
    return;
}

sub await {
    my ($kind, $is) = @_;
    my $e = look($kind, $is);
    return $e if $e;
    fail("$kind was awaited");
    return { data => {} };
}

my $e = await('generation.serving');
is_deeply($e->{data}, { generation => 1, workers => 2 }, 'a generation serves');
$e = await('reload.ok');
is($e->{data}{generation}, 1, 'a start is a load');

# --- an upstream's server that fails, and comes back

my $where = 'back/' . $a->addr;
is($t->get('/')->body, 'a', 'both are well');
$a->stop;
is($t->get('/')->body, 'b', 'one is gone, the other answers');
$e = await('server.failed');
is($e->{data}{upstream}, 'back', 'server.failed: of which upstream');
is($e->{data}{server}, $a->addr, 'the server');
is($e->{data}{address}, $a->addr, 'the address');
like($e->{data}{error}, qr/refused/, 'why');
is($e->{data}{fails}, 1, 'how often');
ok(defined $e->{worker}, 'seen by a worker');
is($e->{generation}, 1, 'of this generation');
$a->start;
ok($t->wait_for(sub { $t->get('/')->body eq 'a' }), 'it is back');
$e = await('server.up');
is("$e->{data}{upstream}/$e->{data}{address}", $where, 'server.up: which');

# --- servers that are changed

ok($c->ask('server.set', server => $where, state => 'drain')->{ok}, 'drained');
$e = await('server.changed');
is("$e->{data}{before} $e->{data}{state}", 'ready drain', 'server.changed');
$c->data('server.set', server => $where, state => 'ready');
$c->data('server.add', upstream => 'back', address => '127.0.0.1:1');
$e = await('server.added');
is($e->{data}{server}, '127.0.0.1:1', 'server.added');
$c->data('server.del', server => 'back/127.0.0.1:1');
$e = await('server.deleted');
is($e->{data}{server}, '127.0.0.1:1', 'server.deleted');

# --- certificates and listeners

sub files { return (cert => "$dir/$_[0].crt", key => "$dir/$_[0].key") }

$c->data('cert.add', sni => 'more.test', files('more'));
is(await('cert.added')->{data}{sni}, 'more.test', 'cert.added');
$c->data('cert.replace', sni => 'site.test', files('other'));
is(await('cert.replaced')->{data}{sni}, 'site.test', 'cert.replaced');
$c->data('cert.del', sni => 'more.test');
is(await('cert.deleted')->{data}{sni}, 'more.test', 'cert.deleted');

my $listener = '127.0.0.1:' . $t->port(443);
$c->data('drain', listener => $listener);
is(await('drain')->{data}{listener}, $listener, 'drain');
$c->data('undrain', listener => $listener);
is(await('undrain')->{data}{listener}, $listener, 'undrain');

# --- workers

$c->data('worker.restart', slot => 0);
is(await('worker.restarted')->{data}{worker}, 0, 'worker.restarted');
conf('', '2s');
$c->data('reload', wait => 'drained');
my ($stuck) = map { $_->{pid} } grep { $_->{slot} == 1 }
    @{ $c->data('worker.list') };
Test::Veil::Proc::stop($stuck);
$e = await('worker.stuck');
is("$e->{data}{worker} $e->{data}{pid}", "1 $stuck", 'worker.stuck: which');
cmp_ok($e->{data}{silent_ms}, '>=', 2000, 'for how long it was silent');
$e = await('worker.ended', sub { $_[0]{data}{pid} == $stuck });
is($e->{data}{signal}, 9, 'worker.ended: how');
is(await('worker.started')->{data}{worker}, 1, 'worker.started: in its place');

# --- reloads

conf('nonsense on;');
ok(!$t->reload, 'a configuration that is wrong');
$e = await('reload.failed');
is($e->{data}{cause}, 'signal', 'reload.failed: who wanted it');
like($e->{data}{reason}, qr/unknown directive "nonsense"/, 'why not');

conf('');
$t->reload or fail('a reload');
my $oldest = $c->data('status')->{generation};
my (@held, %left);
my $notes = 0;
for (1 .. 5) {
    my $conn = $t->connect(80);
    $conn->send_request(path => '/hold');
    $notes++;
    $t->wait_for(sub { $notes == grep { $_ eq 'held' } $a->notes })
        or fail('a request is under way');
    push @held, $conn;
    $left{ $c->data('status')->{generation} } = 1;
    $t->reload or fail('a reload');
}
$e = await('generation.hurried');
is($e->{data}{generation}, $oldest, 'generation.hurried: the oldest');
cmp_ok($e->{data}{left_ms}, '>', 0, 'the time it has');
$a->release('go');
is(scalar(grep { $_->read_response->body eq 'held' } @held), 5,
    'all are answered');
while (%left) {
    my $n = await('generation.drained')->{data}{generation} // last;
    delete $left{$n};
}
is_deeply(\%left, {}, 'generation.drained: all five');

# --- more than the master takes

Test::Veil::Proc::stop($t->pid);
for (1 .. 200) {
    $t->get('/flap/bad');
    sleep 0.002;
    $t->get('/flap/');
}
kill 'CONT', $t->pid;
# It is told with the next that gets through.
undef $e;
ok($t->wait_for(sub {
    $t->get('/flap/bad');
    sleep 0.002;
    $t->get('/flap/') for 1 .. 2;
    $e = look('events.lost', undef, 0.1);
}), 'events.lost');
cmp_ok($e->{data}{lost}, '>', 0, 'events.lost: how many');
is($e->{generation}, $c->data('status')->{generation}, 'and where');

# --- that is all

is_deeply([ grep { !$seen{$_} } sort keys %documented ], [],
    'every kind has been seen');
ok((grep { /\Acontrol\./ } keys %seen), 'and verbs');

$t->stop;
done_testing;
