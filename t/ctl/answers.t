#!/usr/bin/perl

# veilctl and what a server may say: answers, errors, exit codes, and servers
# that are not what they should be.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::More;
use Time::HiRes qw/time/;
use Test::Veil::Ctl;

my $ctl = Test::Veil::Ctl->new;
my $mock;

# asked($answer, @arguments): a run, with "ping" answered so.

sub asked {
    my ($answer, @args) = @_;
    $mock->stop if $mock;
    $mock = $ctl->mock(ping => $answer);
    @args = ('ping') unless @args;
    return $ctl->run(@args);
}

sub is_run {
    my ($r, $status, $out, $err, $name) = @_;
    is($r->{status}, $status, "$name: exit code $status");
    ref $out ? like($r->{out}, $out, '  output') : is($r->{out}, $out, '  output');
    ref $err ? like($r->{err}, $err, '  errors') : is($r->{err}, $err, '  errors');
    return;
}

# ------------------------------------------------------------------- success --

is_run(asked([ {} ]), 0, "ok\n", '', 'nothing to tell');
is_deeply([ $mock->requests ], [ { v => 1, id => 1, verb => 'ping', args => {} } ],
    'what was sent');
is_run(asked([ [ { a => 1, b => 'x' }, { a => 22 } ] ]), 0,
    " A  B\n 1  x\n22  -\n", '', 'rows');
is_run(asked([ { name => 'x', idle_ms => 90_000 } ]), 0,
    "idle: 1m30s\nname: x\n", '', 'an object');
is_run(asked([ { z => [ 1, { b => "\e" } ] } ], '--json', 'ping'), 0,
    "{\"z\":[1,{\"b\":\"\\u001B\"}]}\n", '', 'JSON');
is_run(asked([ 'text' ], 'ping', '-j'), 0, "\"text\"\n", '', 'a text as JSON');
is_run(asked({ ok => \1, data => [], volatile => \1 }), 0, "none\n",
    "veilctl: a restart (of certificates, listeners: a reload) undoes this\n",
    'what does not last');
$mock->stop;
$mock = $ctl->mock('cert.del' => { ok => \1, data => [], volatile => \1 });
like($ctl->run('cert', 'del', 'x')->{err}, qr/undoes this; --persist keeps it\n/,
    'what can be made to last');
is_run(asked({ ok => \1, data => [], dry_run => \1, volatile => \1 }), 0,
    "none\n", "veilctl: this was a dry run: nothing was changed\n", 'a dry run');
is_run(asked({ ok => \1, data => {}, volatile => \1 }, '-j', 'ping'), 0,
    "{}\n", qr/\Aveilctl: a restart .*\n\z/, 'nothing but the data is output with --json');
is_run(asked(sub {
    my ($s, $r) = @_;
    syswrite $s, "{\"id\":$r->{id},\"progress\":{\"done\":$_}}\n" for 1, 2;
    return [ 'end' ];
}), 0, "end\n", "done=1\ndone=2\n", 'progress');
is_run(asked(sub {
    my ($s, $r) = @_;
    syswrite $s, "{\"id\":$r->{id},\"line\":{\"n\":$_}}\n" for 1, 2;
    return [ {} ];
}, '--json', 'ping'), 0, "{\"n\":1}\n{\"n\":2}\n{}\n", '', 'lines as JSON');
is_run(asked(sub {
    my ($s, $r) = @_;
    syswrite $s, "{\"id\":99,\"ok\":true,\"data\":\"of another\"}\n";
    return [ 'mine' ];
}), 0, "mine\n", '', 'an answer to somebody else is passed over');
asked([ {} ], '-t', '61500ms', 'ping');
is(($mock->requests)[0]{timeout}, 61.5, 'the timeout is passed on');

is_run(asked([ { s => 0.35, t => 1.5 } ], '-j', 'ping'), 0,
    "{\"s\":0.35,\"t\":1.5}\n", '', 'numbers as JSON');

# Metrics are a table for people, and what the server says by itself otherwise.
{
    my $m = $ctl->mock(metrics => [ "a  1\nb  2\n" ]);
    is($ctl->run('metrics')->{out}, "a  1\nb  2\n", 'metrics');
    $ctl->run('metrics', 'format=prom');
    $ctl->run('-j', 'metrics', 'veil_*');
    is_deeply([ map { $_->{args} } $m->requests ], [ { format => 'table' },
        { format => 'prom' }, { match => 'veil_*' } ], 'their formats');
    $m->stop;
}

# Handshakes that failed have no bytes to show, but what they were about.
{
    my %row = (time_ms => 0, client => '1.2.3.4:5', listener => '*:443',
        status => undef, reason => 'r', offset => undef);
    my $m = $ctl->mock(errors => [ { errors => [
        { %row, kind => 'no cipher in common', sni => "a\e.test" },
        { %row, sni => 'b.test' }, { %row, kind => 'a broken ClientHello' },
        \%row ] } ]);
    is(join('|', $ctl->run('errors')->{out} =~ /^    (.*)$/mg),
        'no cipher in common, it asked for a\\x1b.test|it asked for b.test|'
        . 'a broken ClientHello', 'errors of handshakes');
    $m->stop;
}

# Upgrades say what was replaced by what, and how to go back.
{
    my $old = { pid => 100, version => 'veil/0.4.0' };
    my $new = { pid => 200, version => 'veil/0.5.0', program => '/sbin/veil' };
    my %all = (old => $old, new => $new, generation => 3, elapsed_ms => 412);
    my $m = $ctl->mock(upgrade => sub {
        my ($s, $r) = @_;
        return $r->{args}{rollback}
            ? [ { serves => $old, left => { pid => 200, version =>
                'veil/0.5.0' }, generation => 4, elapsed_ms => 90, mode =>
                'rollback' } ]
            : $r->{dry_run} ? [ { program => '/sbin/veil', version =>
                'veil/0.5.0', dry_run => \1 } ]
            : [ { %all, old_master => $r->{args}{keep_old} ? 'is kept'
                : 'leaves' } ];
    });
    my $both = "veil/0.4.0, process 100 -> veil/0.5.0, process 200 (/sbin/veil)\n"
        . "generation 3 serves after 412ms\n";
    is($ctl->run('upgrade')->{out},
        "${both}the old master ends with its last connection\n", 'upgrade');
    is($ctl->run('upgrade', '--keep-old')->{out},
        "${both}the old master stays, without workers: "
        . "\"veilctl upgrade --rollback\" goes back to it, \"kill -QUIT 100\" ends it\n",
        '  with a way back');
    is($ctl->run('upgrade', '--rollback')->{out},
        "veil/0.4.0, process 100 serves again\ngeneration 4 serves after 90ms\n"
        . "veil/0.5.0, process 200 ends with its last connection\n", '  which is gone');
    is($ctl->run('upgrade', '--dry-run')->{out},
        "/sbin/veil, veil/0.5.0, could take over\n", '  or only looked at');
    $m->stop;
}

# ------------------------------------------------------------------ failures --

my $err = { code => 'E_NOT_FOUND', msg => 'there is none', hint => 'look' };
is_run(asked({ ok => \0, err => $err }), 1, '',
    "veilctl: there is none (E_NOT_FOUND)\nveilctl: look\n", 'a refusal');
is_run(asked({ ok => \0, err => $err }, '-j', 'ping'), 1,
    JSON::PP->new->canonical->encode($err) . "\n", '', 'the same as JSON');
is_run(asked({ ok => \0, err => { code => 'E_TIMEOUT', msg => 'late' } }), 4,
    '', "veilctl: late (E_TIMEOUT)\n", 'a timeout');
my $workers = [ { worker => 1, generation => 3, ok => \0, err =>
    { code => 'E_TIMEOUT', msg => 'it did not answer' } } ];
is_run(asked({ ok => \1, data => [ { worker => 0 } ], partial => \1,
    workers => $workers }), 3, "WORKER\n     0\n",
    "veilctl: not every worker did it:\n"
    . "  worker 1 of generation 3: it did not answer (E_TIMEOUT)\n",
    'some workers');
is_run(asked({ ok => \1, data => {}, workers => $workers }, '-j', 'ping'), 3,
    "{}\n", "veilctl: not every worker did it:\n"
    . "  worker 1 of generation 3: it did not answer (E_TIMEOUT)\n",
    'some workers, as JSON');
is_run(asked({ ok => \0, err => $err, workers => $workers }), 1, '',
    qr/\Aveilctl: there is none.*\n.*look\n  worker 1 of generation 3: /,
    'no worker');
is_run(asked({ ok => \0 }), 1, '', qr/says no more than "no"/, 'no reason');

# The same from all is told once; others by what they say.
sub failed {
    my ($worker, $code, $msg) = @_;
    return { worker => $worker, generation => 3, ok => \0,
        err => { code => $code, msg => $msg } };
}
is_run(asked({ ok => \0, err => { code => 'E_X', msg => 'no' },
    workers => [ map { failed($_, 'E_X', 'no') } 0 .. 2 ] }), 1, '',
    "veilctl: no (E_X)\n", 'the same refusal of all');
is_run(asked({ ok => \0, err => { code => 'E_X', msg => 'no' }, workers => [
    failed(0, 'E_X', 'no'), failed(1, 'E_Y', 'late'), failed(2, 'E_X', 'no') ] }),
    1, '', "veilctl: no (E_X)\n  workers 0, 2 of generation 3: no (E_X)\n"
    . "  worker 1 of generation 3: late (E_Y)\n", 'others');
is_run(asked({ ok => \1, data => [], partial => \1, workers => [
    { worker => 0, generation => 3, ok => \1 },
    map { failed($_, 'E_X', 'no') } 1, 2 ] }), 3, "none\n",
    "veilctl: not every worker did it:\n  workers 1, 2 of generation 3: no (E_X)\n",
    'some');

# Advice speaks as the command line does.
for my $case (
    [ 'conn.kill', [], '"all" means each of them', '--all means each of them' ],
    [ 'upgrade', ['--rollback'], 'upgrade with keep_old to have a way back',
        'upgrade with --keep-old to have a way back' ],
    [ 'cert.check', [], '"cert.list" with "expires_in" names them',
        '"veilctl cert list" with --expires-in names them' ],
    [ 'server.add', [ 'be', 'a:80' ], 'server.set changes it, or server.del.',
        '"veilctl server set" changes it, or "veilctl server del".' ],
    [ 'server.set', [ 'be/a:80', 'weight=1' ], 'did you mean "be/b:80"? see a.b "x',
        'did you mean "be/b:80"? see a.b "x' ],
) {
    my ($verb, $args, $hint, $said) = @$case;
    my $m = $ctl->mock($verb => { ok => \0, err => { %$err, hint => $hint } });
    my @words = split /\./, $verb;
    is($ctl->run(@words, @$args)->{err},
        "veilctl: there is none (E_NOT_FOUND)\nveilctl: $said\n", "advice: $said");
    like($ctl->run('-j', @words, @$args)->{out}, qr/"hint":/, '  as it is in JSON');
    $m->stop;
}

# Changes are told as what was, and what is.
{
    my %was = (state => 'ready', weight => 2);
    my $m = $ctl->mock(
        'server.set' => [ { server => 'be/a:80', before => { %was, addr => 'b:80' },
            after => { %was, weight => 7 } } ],
        'state.diff' => [ { counts => { servers => 1 }, changes => [ {
            server => 'be/a:80', before => { %was }, after =>
            { %was, weight => 7 } } ] } ],
        'state.load' => [ { counts => { servers => 1 }, changes => [] } ],
        drain => [ { connections => 0, draining => [] } ],
        stop => sub {
            my ($s, $r) = @_;
            syswrite $s, "{\"id\":$r->{id},\"progress\":{\"processes\":$_}}\n"
                for 3, 1;
            return [ {} ];
        });
    is($ctl->run('server', 'set', 'be/a:80', 'addr=off')->{out},
        "server: be/a:80\nweight: 2 -> 7\naddr: b:80 -> -\n", 'what is gone, too');
    is($ctl->run('state', 'diff', 'x')->{out},
        "counts:\n  servers: 1\n\nserver: be/a:80\nweight: 2 -> 7\n", 'of a state');
    is($ctl->run('state', 'load', 'x')->{out},
        "counts:\n  servers: 1\nnothing is different\n", '  or none');
    is($ctl->run('drain')->{out}, "connections: 0\ndraining:    none\n",
        'what there is none of has its label');
    is($ctl->run('stop')->{err}, "3 processes are left\n1 process is left\n",
        'what a stop waits for');
    $m->stop;
}
is($ctl->run('help', 'nope')->{err}, "veilctl: there is no verb \"nope\"\n"
    . "\"veilctl help\" lists the verbs\n", 'a word that is like none');

# -------------------------------------------------------------- wrong servers --

for my $case (
    [ 'no JSON', "hello\n", qr/no JSON.*\(E_ANSWER\)/ ],
    [ 'half of it', "{\"id\":1,\n", qr/no JSON/ ],
    [ 'bytes', "\0\xff\e[2J\n", qr/no JSON/ ],
    [ 'an empty line', "\n", qr/no JSON/ ],
    [ 'a number', "7\n", qr/no JSON|no answer of veil's/ ],
    [ 'an array', "[]\n", qr/no answer of veil's/ ],
    [ 'an object', "{}\n", qr/no answer of veil's/ ],
    [ 'ok that is no boolean', "{\"id\":1,\"ok\":1}\n", qr/no answer of veil's/ ],
    [ 'the end at once', sub { return }, qr/hung up without an answer/ ],
    [ 'the end in a line', sub { syswrite $_[0], '{"id":1,"ok":tr'; return },
        qr/hung up in the middle/ ],
    [ 'deep nesting', '[' x 100_000 . "\n", qr/no JSON/ ],
) {
    my ($name, $answer, $said) = @$case;
    my $r = asked($answer);
    is_run($r, 1, '', $said, $name);
    unlike($r->{err}, qr/[^\n -~]/, '  nothing that a terminal obeys');
}

is_run(asked("{\"id\":1,\"ok\":false,\"err\":7,\"workers\":[1,{},[]]}\n"), 1, '',
    qr/workers 0, 0, 0/, 'odd types in an error');
is_run(asked({ ok => \0, err => { code => "E\e[2J", msg => "a\e[31m\x{9b}b",
    hint => "\r\x7f" } }), 1, '',
    "veilctl: a\\x1b[31m\\x9bb (E\\x1b[2J)\nveilctl: \\r\\x7f\n",
    'control characters in an error');
is_run(asked([ [ { "k\e" => "v\e]0;x\a" } ] ]), 0, "K\\X1B\nv\\x1b]0;x\\x07\n",
    '', 'and in a table');

# More than fits a pipe, and more than is read at once.
my $r = asked([ [ map { { n => $_, text => 'x' x 100 } } 1 .. 20_000 ] ],
    '-t', '60s', 'ping');
is($r->{status}, 0, 'a large answer');
is(($r->{out} =~ tr/\n//), 20_001, 'all of it');

# A line without an end.
$r = asked(sub {
    my ($s) = @_;
    my $much = 'x' x 1_048_576;
    1 while syswrite $s, $much;
    return;
}, '-t', '60s', 'ping');
is_run($r, 1, '', qr/longer than 67108864 bytes/, 'an endless line');

# Byte by byte.
$r = asked(sub {
    my ($s, $request) = @_;
    for my $byte (split //, "{\"id\":$request->{id},\"ok\":true,\"data\":7}\n") {
        syswrite $s, $byte;
        select undef, undef, undef, 0.001;
    }
    select undef, undef, undef, 60;
}, '-t', '60s', 'ping');
is_run($r, 0, "7\n", '', 'an answer in pieces');

# A server that says nothing at all.
my $begin = time;
$r = asked(sub { sleep 60 }, '-t', '200ms', 'ping');
is_run($r, 4, '', qr/did not answer in time \(E_TIMEOUT\)/, 'silence');
cmp_ok(time - $begin, '<', 20, 'does not last');
is_run(asked(sub { sleep 60 }, '-j', '-t', '200ms', 'ping'), 4,
    qr/\A\{"code":"E_TIMEOUT",.*\}\n\z/, '', 'silence, as JSON');

# Output that goes nowhere.
SKIP: {
    skip 'there is no /dev/full', 1 unless -c '/dev/full';
    $mock->stop;
    $mock = $ctl->mock(ping => [ 'text' ]);
    is_run($ctl->run({ out => '/dev/full' }, 'ping'), 1, '',
        qr/cannot write to standard output: No space/, 'a full disk');
}

# -------------------------------------------------------------------- watching --

$mock->stop;
$mock = $ctl->mock(ping => [ 'again' ]);
my $run = $ctl->run({ start => 1 }, '--watch', '20ms', 'ping');
ok($ctl->wait_for(sub { $ctl->output($run) =~ /(?:again\s+){4}/ }),
    'asked again and again');
kill 'INT', $run->{pid};
is($ctl->finish($run)->{status}, 0, 'until it is interrupted');
$mock->stop;
$mock = $ctl->mock(ping => sub { return { ok => \0, err => $err } });
is($ctl->run('--watch', '20ms', 'ping')->{status}, 1, 'or refused');

done_testing();
