#!/usr/bin/perl

# listener.list and listener.set: limits that change while they are served.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA 'sha256_hex';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');
$t->config(<<'EOC');
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;
control_overlay %%TESTDIR%%/overlay.ini;
http {
    access_log off;
    client_max_body_size 1000;
    server {
        listen %%PORT_80%%;
        location / { return 200 "ok"; }
        location /own { client_max_body_size 50; return 200 "own"; }
        location /deep { location /deep/er { return 200 "deep"; } }
        location /except { limit_except GET { deny all; } return 200; }
    }
    server {
        listen %%PORT_80%%;
        server_name second;
        keepalive_requests 2;
        location / { return 200 "second"; }
    }
    server {
        listen %%PORT_81%%;
        location / { return 200 "other"; }
    }
}
EOC
$t->allow_alerts(qr/exited on signal 9/);
$t->run;
my $yes = JSON::PP::true;
my $c = Test::Veil::Control->new($t);
my ($one, $two) = map { '127.0.0.1:' . $t->port($_) } 80, 81;

# Both workers: enough requests that each has had one.

sub status {
    my ($port, $uri, $size, %o) = @_;
    my %seen = map {
        $t->request(port => $port, method => 'POST', path => $uri,
            body => 'x' x $size, %o)->{status} => 1
    } 1 .. 8;
    return join ' ', sort keys %seen;
}

# What there is

my $list = $c->data('listener.list');
is(scalar @$list, 2, 'two addresses');
my ($l) = grep { $_->{listener} eq $one } @$list;
ok($l, 'by address');
is($l->{servers}, 2, 'with two servers');
is_deeply($l->{names}, [ '', 'second' ], 'by name');
is($l->{settings}{client_max_body_size}, 1000, 'and what can be set');
is($l->{settings}{client_header_timeout}, 30000, 'also of servers');

# Wrong ones

for my $case (
    [ 'E_NOT_FOUND', 'an address nobody listens on', '127.0.0.2:1',
        send_timeout => '1s' ],
    [ 'E_ARGUMENT', 'nothing to set', $one ],
    [ 'E_ARGUMENT', 'no such setting', $one, root => '/' ],
    [ 'E_ARGUMENT', 'no time', $one, send_timeout => 'soon' ],
    [ 'E_ARGUMENT', 'no size', $one, client_max_body_size => '10x' ],
    [ 'E_ARGUMENT', 'one right, one wrong', $one, send_timeout => '1s',
        client_max_body_size => '-1' ],
) {
    my ($code, $what, $listener, @args) = @$case;
    is($c->code('listener.set', listener => $listener, @args), $code, $what);
}
my $r = $c->ask('listener.set', { dry_run => $yes }, listener => $one,
    client_max_body_size => '1k');
ok($r->{dry_run}, 'a dry run');
is($r->{data}{settings}[0]{before}, 1000, 'says what is');
is($r->{data}{settings}[0]{after}, 1024, 'and what would be');
is(status(80, '/', 1010), '413', 'and changes nothing');

# A change

$r = $c->ask('listener.set', listener => $one, client_max_body_size => '2000',
    keepalive_requests => '3');
ok($r->{ok}, 'listener.set') or diag JSON::PP::encode_json($r);
ok($r->{volatile}, 'until the next reload');
is($r->{data}{workers}, 2, 'in both workers');
is($r->{data}{settings}[0]{takes_effect}, 'for new requests', 'says from when');
is(status(80, '/', 1500), '200', 'more is taken');
is(status(80, '/', 2001), '413', 'but not any size');
is(status(80, '/deep/er', 1500), '200', 'in a location of a location');
is(status(80, '/except', 1500), '200', 'in limit_except');
is(status(80, '/', 1500, host => 'second'), '200', 'of each server there');
is(status(80, '/own', 100), '413', 'a location with its own value keeps it');
is(status(81, '/', 1500), '413', 'other addresses are as they were');

# keepalive_requests: 3 for the first server; the second had one of its own,
# which was set as well, as it is that server's.

sub kept {
    my ($host) = @_;
    my $s = $t->connect(80);
    my $n = 0;
    for (1 .. 5) {
        $s->send_request(path => '/', host => $host, keepalive => 1);
        my $response = $s->read_response or last;
        $n++;
        last if ($response->header('Connection') // '') =~ /close/i;
    }
    return $n;
}
is(kept('a'), 3, 'requests of a connection');
is(kept('second'), 3, 'also of a server that had said another number');
is($c->data('listener.list')->[0]{settings}{keepalive_requests} // 0, 3,
    'the list shows it');

# Saved, taken back, loaded again

my $file = $t->testdir . '/saved.json';
my $saved = $c->data('state.save', file => $file);
is($saved->{counts}{listeners}, 2, 'state.save: both settings');
is_deeply($saved->{left_out}, [], 'nothing is left out');
my $rows = JSON::PP::decode_json($t->read_file('saved.json'))
    ->{state}{listeners};
is_deeply($rows, [
    { listener => $one, setting => 'keepalive_requests', to => '3',
        was => 1000 },
    { listener => $one, setting => 'client_max_body_size', to => '2000',
        was => 1000 },
], 'as they were given, with what is configured') or diag explain $rows;
is_deeply($c->data('state.diff', file => $file)->{changes}, [],
    'state.diff: nothing differs');
my $dump = $c->data('config.dump', effective => $yes)->{text};
like($dump, qr/^# changed at run time \(listeners\): .*"client_max_body_size"/m,
    'config.dump --effective has it');

$c->data('drain', listener => $two);
$c->data('log.level', level => 'http=debug');
is_deeply($c->data('state.save', file => $file)->{left_out}, [
    { listener => $two, draining => $yes,
        reason => 'what is drained is not saved' },
    { part => 'http', level => 'debug',
        reason => 'the levels of logs are not saved' },
], 'what else was changed is told');
$dump = $c->data('config.dump', effective => $yes)->{text};
like($dump, qr/^# changed at run time \(not to be saved\): .*"$_"/m,
    "config.dump --effective has it: $_") for qw/draining level/;
$c->data('undrain', listener => $two);
$c->data('log.level', level => 'default');
is_deeply($c->data('state.save', file => $file)->{left_out}, [],
    'and that it is no more');

sub load_rows {
    my (@rows) = @_;
    my $json = JSON::PP->new->canonical;
    my $state = { listeners => \@rows };
    $t->write_file('other.json', $json->encode({ veil_state => 1,
        sha256 => sha256_hex($json->encode($state)), state => $state }));
    return $c->ask('state.load', file => $t->testdir . '/other.json');
}

my %row = %{$rows->[1]};
for my $case (
    [ 'no such listener', { %row, listener => '127.0.0.2:1' } ],
    [ 'one by its port alone', { %row, listener => '' . $t->port(80) } ],
    [ 'no such setting', { %row, setting => 'root' } ],
    [ 'no size', { %row, to => '10x' } ],
    [ 'without what was', { map { $_ => $row{$_} } grep { $_ ne 'was' }
            keys %row } ],
    [ 'twice the same', { %row, to => '1' } ],
    [ 'no object', 7 ],
) {
    my ($what, $bad) = @$case;
    my $answer = load_rows(\%row, $bad);
    is($answer->{err}{code}, 'E_INVALID', "state.load: $what");
    like($answer->{err}{msg}, qr/^the saved listener "/, '... it says');
}
is(status(80, '/', 1500), '200', 'nothing of that has changed anything');

$c->data('listener.set', listener => $one, client_max_body_size => '1500');
$c->data('listener.set', listener => $two, send_timeout => '7s');
my $diff = $c->data('state.diff', file => $file);
is_deeply($diff->{changes}, [
    { listener => $one, before => { client_max_body_size => 1500 },
        after => { client_max_body_size => 2000 } },
    { listener => $two, before => { send_timeout => 7000 },
        after => { send_timeout => 30000 } },
], 'state.diff: what loading would change') or diag explain $diff;
$c->data('state.load', { dry_run => $yes }, file => $file);
is(status(80, '/', 1600), '413', 'nor does a dry run');
$r = $c->ask('state.load', file => $file);
ok($r->{ok}, 'state.load') or diag explain $r;
is($r->{data}{workers}, 2, 'in both workers');
ok($r->{volatile}, 'until the next reload');
is(status(80, '/', 1600), '200', 'what was saved is in force');
my ($other) = grep { $_->{listener} eq $two } @{$c->data('listener.list')};
is($other->{settings}{send_timeout}, 30000, 'the rest is as configured');
is(kept('second'), 3, 'also of servers that say something else');

$r = load_rows({ %row, was => 999 });
ok($r->{ok}, 'one whose configuration has changed since');
is(status(80, '/', 1500), '413', '... is as configured');
is(status(80, '/own', 40), '200', 'locations as well');
is(kept('second'), 2, 'and servers that had said another number');
is($c->data('state.save', file => $file)->{counts}{listeners}, 0,
    'nothing is changed');
$c->data('listener.set', listener => $one, client_max_body_size => '2000',
    keepalive_requests => '3');

# For a worker that comes later

my ($worker) = $t->worker_pids;
kill 'KILL', $worker;
ok($t->wait_for(sub {
    my @w = $t->worker_pids;
    @w == 2 && !grep { $_ == $worker } @w;
}), 'a worker is replaced');
is(status(80, '/', 1500), '200', 'and knows');

# Over reloads

ok($t->reload, 'reload');
is(status(80, '/', 1500), '413', 'it is as configured again');
ok($c->ask('listener.set', { persist => $yes },
    listener => '' . $t->port(81), client_max_body_size => '3k')->{ok},
    '--persist, by port');
ok($t->reload, 'reload');
is(status(81, '/', 3000), '200', 'what was made to stay is there');
like($t->read_file('overlay.ini'), qr/^\[listener \d+\]\nclient_max_body_size *= *3k$/m,
    'in the overlay');
$t->write_file('overlay.ini', "[listener 1]\nsend_timeout = 1s\n"
    . "[listener $two]\nroot = /\nsend_timeout = soon\nclient_max_body_size = 9k\n");
my $mark = $t->log_mark;
$t->allow_alerts(qr/overlay\.ini:\d+$/m, qr/"listeners" could not be prepared/);
$r = $c->ask('reload');
is($r->{err}{code}, 'E_INVALID', 'an overlay that is partly wrong is refused');
my $log = substr $t->log, $mark;
like($log, qr/there is no listener "1"/, 'says of a listener that is not there');
like($log, qr/"root" is no setting of listeners in \S+overlay\.ini:4$/m,
    'of what is no setting');
like($log, qr/"send_timeout" must be a time.* in \S+overlay\.ini:5$/m,
    'of what is no time');
is(status(81, '/', 9000), '413', 'and nothing is taken');
$t->write_file('overlay.ini', "[listener 1]\nsend_timeout = 1s\n"
    . "[listener $two]\nclient_max_body_size = 9k\n");
ok($t->reload, 'a reload with one that is out of date');
is(status(81, '/', 9000), '200', 'takes the rest');
$dump = $c->data('config.dump', effective => $yes)->{text};
like($dump, qr/^# client_max_body_size = 9k$/m, 'config.dump: a line in force');
like($dump, qr/^# send_timeout = 1s \(ignored\)$/m, '... one that is not');
$c->data('listener.set', listener => $two, client_max_body_size => '9001');
like($c->data('config.dump', effective => $yes)->{text},
    qr/^# client_max_body_size = 9k \(changed since, not in force\)$/m,
    '... one that was changed since');
