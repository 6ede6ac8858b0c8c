#!/usr/bin/perl

# Audit records: one for each attempt, whatever became of it; where they go,
# and that a log that fails stops nothing.

use strict;
use warnings;
use lib 't/lib';
use Fcntl ':mode';
use IO::Socket::UNIX;
use Socket qw/AF_UNIX SOCK_DGRAM pack_sockaddr_un/;
use JSON::PP ();
use Time::HiRes qw/time sleep/;
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new->has('http');
$t->allow_alerts(qr/writing to the audit log/, qr/a\.json\.old|open\(\)/,
    qr/exited on signal|dir\.log" cannot be written/);

sub conf {
    my ($more) = @_;
    $t->config("worker_processes 2;\n"
        . "error_log %%TESTDIR%%/error.log notice;\n$more\n"
        . "http { access_log off; server { listen %%PORT_80%%; return 200; } }\n");
}

my $dir = $t->testdir;
my $json = JSON::PP->new;

sub text { return split /\n/, $t->read_file('a.txt') }
sub records { return map { $json->decode($_) } split /\n/, $t->read_file('a.json') }

# Pairs of a line, split as simply as can be.

sub pairs {
    my ($line) = @_;
    my %pairs;
    for (split / (?=[a-z_]+(?:\.[^ =]*)?=)/, $line) {
        my ($name, $value) = split /=/, $_, 2;
        $pairs{$name} = $value;
    }
    return \%pairs;
}

# Without a directive they are lines of the error log.

conf('');
$t->run;
my $c = Test::Veil::Control->new($t);
ok($c->ask('log.level', level => 'default')->{ok}, 'something to be noted');
like($t->wait_for_log(qr/AUDIT .*verb=log\.level/), qr/AUDIT/, 'in the error log');
my ($line) = $t->log =~ /^(.*AUDIT .*)$/m;
like($line, qr/\[notice\]/, 'at notice');
is($c->code('nonsense'), 'E_VERB', 'no such verb');
$t->wait_for_log(qr/AUDIT .*verb=nonsense/);
($line) = $t->log =~ /^(.*AUDIT .*nonsense.*)$/m;
like($line, qr/\[warn\].*result=refused error_code=E_VERB/, 'refused, at warn');
$c->ask('ping');
unlike($t->log, qr/AUDIT .*verb=ping/, 'what only looks is no line here');

# Files, from a reload on; one that was too open is narrowed.

$t->write_file('a.json', '');
chmod 0666, "$dir/a.json";
conf("control_audit_log %%TESTDIR%%/a.txt reads=off;\n"
    . 'control_audit_log a.json format=json;');
ok($t->reload, 'with files');
$t->wait_for_log(qr/a\.json" had the mode 0666, it is 0640 now/);
is(sprintf('%04o', S_IMODE((stat "$dir/a.$_")[2])), '0640', "a.$_ is 0640")
    for qw/txt json/;
my $mark = $t->log_mark;
$c->send({ id => 'an id', verb => 'log.level', args => { level => 'core=info' } });
ok($c->next->{ok}, 'a change');
my @r = records();
is(scalar @r, 1, 'a record');
my $rec = $r[0];
is($rec->{v}, 1, 'v');
is($rec->{type}, 'audit', 'type');
is($rec->{verb}, 'log.level', 'verb');
is($rec->{result}, 'ok', 'result');
is($rec->{phase}, 'done', 'phase');
is($rec->{request}, 'an id', "the client's id");
is($rec->{actor_uid}, $>, 'uid');
is($rec->{actor_gid}, $) + 0, 'gid');
is($rec->{actor_pid}, $$, 'pid');
is($rec->{actor_user}, scalar getpwuid($>), 'user');
like($rec->{actor_comm}, qr/perl|audit/, 'comm');
is($rec->{role}, 'admin', 'role');
is($rec->{role_needed}, 'operate', 'role needed');
is($rec->{socket}, Test::Veil::Control::socket_path($t), 'socket');
is($rec->{target}, 'core=info', 'target');
is_deeply($rec->{args}, { level => 'core=info' }, 'args');
is_deeply($rec->{changes}, [ { field => 'level', before => 'default', after => 'info' } ],
    'what was, and what is');
is($rec->{generation_before}, 2, 'generation');
is($rec->{generation_after}, 2, 'generation, after');
is($rec->{generation_boot}, 1, 'the first of this master');
is($rec->{fanout}, 'local_only', 'the master did it alone');
ok(!$rec->{dry_run}, 'not dry');
like($rec->{ts}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/, 'ts');
like($rec->{session}, qr/\A[0-7][0-9A-HJKMNP-TV-Z]{25}\z/, 'session');
ok(exists $rec->{workers_ok} && !defined $rec->{workers_ok}, 'nulls are there');
my @names = sort keys %$rec;

my ($first) = text();
my $p = pairs($first);
like($first, qr/\AAUDIT seq=\d+ ts=/, 'the same as text');
is($p->{session}, $rec->{session}, 'session');
is($p->{'set.level'}, 'default->info', 'change');
is($p->{'arg.level'}, 'core?info', 'no "=" in a value');
is($p->{request}, '"an id"', 'quoted');

# A verb for workers has two records of one session and request.

$c->send({ id => 77, verb => 'log.reopen' });
ok($c->next->{ok}, 'log.reopen');
@r = grep { ($_->{verb} // '') eq 'log.reopen' } records();
is(scalar @r, 2, 'two records');
is_deeply([ map { $_->{phase} } @r ], [ 'attempt', 'done' ], 'attempt, done');
is_deeply([ map { $_->{result} } @r ], [ 'accepted', 'ok' ], 'accepted, ok');
is($r[0]{session}, $r[1]{session}, 'one session');
is_deeply([ map { $_->{request} } @r ], [ '77', '77' ], 'one request');
is_deeply([ @{$r[1]}{qw/workers_ok workers_err workers_expected fanout/} ],
    [ 2, 0, 2, 'ok' ], 'two workers');

# A worker that does not answer

my ($stuck) = map { $_->{pid} } @{$c->data('ping')};
Test::Veil::Proc::stop($stuck);
ok($c->within(sub { $_[0]{partial} }, 'log.reopen')->{partial},
    'one does not answer');
kill CONT => $stuck;
$rec = (records())[-1];
is($rec->{result}, 'partial', 'partial');
is($rec->{error_code}, 'E_TIMEOUT', 'why');
is_deeply([ @{$rec}{qw/workers_ok workers_err workers_expected fanout/} ],
    [ 1, 1, 2, 'partial' ], 'of two workers');
cmp_ok($rec->{elapsed_ms}, '>=', $c->{timeout} * 1000, 'how long it took');

# A stream has two records as well, the second when the client goes.

my $s = Test::Veil::Control->new($t);
$s->send({ id => 's', verb => 'events', args => { since => 0 } });
$s->next;
is((records())[-1]{phase}, 'attempt', 'a stream begins');
$s->close;
$t->wait_for(sub { (records())[-1]{phase} eq 'done' });
$rec = (records())[-1];
is("$rec->{verb} $rec->{result} $rec->{request}", 'events ok s', 'and ends');

# Every attempt that is refused

my $before = () = records();
my @bad = (
    [ '{"verb"',                              'E_SYNTAX',   undef ],
    [ '[]',                                   'E_SYNTAX',   undef ],
    [ "{\"verb\":\"p\xff\"}",                 'E_SYNTAX',   undef ],
    [ '{"verb":"pong"}',                      'E_VERB',     'pong' ],
    [ '{"verb":"ping","args":{"pass":"s3c"}}','E_ARGUMENT', 'ping' ],
    [ '{"verb":"log.level","if_gen":99}',     'E_CONFLICT', 'log.level' ],
    [ '{"verb":"log.level","args":{"level":"loud"}}', 'E_ARGUMENT', 'log.level' ],
    [ '{"verb":"log.level","args":{"level":"nope=info"}}', 'E_NOT_FOUND', 'log.level' ],
);
for my $case (@bad) {
    $c->put("$case->[0]\n");
    is($c->next->{err}{code}, $case->[1], "$case->[1] is answered");
    my $last = (records())[-1];
    is($last->{error_code}, $case->[1], '  and noted');
    is($last->{verb}, $case->[2], '  with the verb');
    ok(length $last->{reason}, "  $last->{reason}");
    is_deeply([ sort keys %$last ], \@names, '  with all names');
}
is(scalar(() = records()), $before + @bad, 'one record each');
unlike($t->read_file('a.json') . $t->read_file('a.txt'), qr/s3c/,
    'what the verb does not know is not shown');

# What would forge a line

$c->put(JSON::PP->new->ascii->encode(
    { verb => "x\nAUDIT seq=1 result=ok \x{202e}\x{2028}\x{85}\e[2J" }) . "\n");
$c->next;
@r = records();
is($r[-1]{verb}, 'x?AUDIT seq=1 result=ok ????[2J', 'JSON has no controls');
my $last = (text())[-1];
like($last, qr/ verb="x\?AUDIT seq\?1 result\?ok \?\?\?\?\[2J" result=refused /,
    'text neither, and no pairs');

# Reads

$c->ask('ping');
is((records())[-1]{verb}, 'ping', 'what only looks is noted');
unlike((text())[-1], qr/verb=ping/, 'but not with "reads=off"');

# Connections that are too many

my @many = map { Test::Veil::Control->new($t) } 1 .. 32;
$many[-1]->next;
@r = grep { ($_->{error_code} // '') eq 'E_BUSY' } records();
is(scalar @r, 1, 'one was too many');
is($r[0]{actor_uid}, $>, 'it is known whose');
is($r[0]{verb}, undef, 'it asked nothing');
isnt($r[0]{session}, $rec->{session}, 'a session of its own');
@many = ();

# Roles

SKIP: {
    skip 'this needs root', 4 if $>;
    my $uid = 65534;
    conf("control_socket $dir/c.sock mode=0666;\ncontrol_allow read $uid;\n"
        . "control_audit_log a.txt;\ncontrol_audit_log a.json format=json;");
    chmod 0755, $dir;
    ok($t->reload, 'others may connect');
    my $pid = fork // die $!;
    if (!$pid) {
        $) = $uid; $> = $uid;
        my $o = Test::Veil::Control->new(path => "$dir/c.sock");
        $o->ask('log.level', level => 'info') if $o;
        require POSIX;
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
    @r = grep { ($_->{error_code} // '') eq 'E_ROLE' } records();
    is($r[0]{actor_uid}, $uid, 'who may not');
    is($r[0]{role}, 'read', 'what he may');
    is($r[0]{role_needed}, 'operate', 'what he would have to');
    conf("control_audit_log a.txt reads=off;\ncontrol_audit_log a.json format=json;");
    $t->reload;
    $c = Test::Veil::Control->new($t);
}

# The last ones, over the socket

my $data = $c->data('audit', n => 3);
is(scalar @{$data->{records}}, 3, 'the last three');
is_deeply([ sort keys %{$data->{records}[0]} ], \@names, 'the same records');
is(scalar @{$c->data('audit', n => 0)->{records}}, 0, 'none');
cmp_ok(scalar @{$c->data('audit')->{records}}, '<=', 20, '20 by default');
my $f = Test::Veil::Control->new($t);
$f->send({ id => 1, verb => 'audit', args => { n => 1, follow => JSON::PP::true } });
ok($f->next->{line}, 'the last');
ok($c->ask('log.level', level => 'event=warn')->{ok}, 'something new');
is($f->next->{line}{target}, 'event=warn', 'is seen');
$f->close;

# USR1 opens them anew.

rename "$dir/a.json", "$dir/a.json.old";
rename "$dir/a.txt", "$dir/a.txt.old";
$t->signal('USR1');
$t->wait_for(sub { -e "$dir/a.json" && -e "$dir/a.txt" });
is(sprintf('%04o', S_IMODE((stat "$dir/a.json")[2])), '0640', 'with the same mode');
$c->ask('log.level', level => 'default');
is((records())[-1]{verb}, 'log.level', 'written to the new one');

# A syslog server

socket(my $syslog, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($syslog, pack_sockaddr_un("$dir/log.sock")) or die $!;
conf("control_audit_log syslog:server=unix:$dir/log.sock,tag=audit,nohostname;\n"
    . 'control_audit_log a.json format=json;');
ok($t->reload, 'with a syslog server');
$c->ask('log.level', level => 'core=info');
recv $syslog, my $got, 8192, 0;
like($got, qr/\A<189>\w{3} .\d \d\d:\d\d:\d\d audit: AUDIT seq=\d+ .*verb=log\.level result=ok/,
    'a change is a notice');
$c->ask('log.level', level => 'core=nothing');
recv $syslog, $got, 8192, 0;
like($got, qr/\A<188>.*result=refused/, 'what is refused, a warning');
is((records())[-1]{error_code}, 'E_ARGUMENT', 'the file has it, too');

# A full disk stops nothing.

SKIP: {
    skip 'there is no /dev/full', 4 if !-w '/dev/full';
    conf("control_audit_log /dev/full;\ncontrol_audit_log a.json format=json;");
    ok($t->reload, 'a log that takes nothing');
    $mark = $t->log_mark;
    ok($c->ask('log.level', level => 'core=info')->{ok}, 'changes go on');
    ok($c->ask('log.level', level => 'default')->{ok}, 'and on');
    $t->wait_for_log(qr/writing to the audit log "\/dev\/full" failed/, from => $mark);
    is((records())[-1]{target}, 'default', 'the other log has it');
}

# What cannot be opened refuses the configuration.

conf('control_audit_log %%TESTDIR%%/no/such/dir.log;');
$mark = $t->log_mark;
$t->signal('HUP');
ok($t->wait_for_log(
    qr/the audit log ".*dir\.log" cannot be written \(2: .*\) in \S+veil\.conf:\d+$/m,
    from => $mark), 'the log names the directive');
$t->wait_for_log(qr/was not taken/, from => $mark);
ok($c->ask('ping')->{ok}, 'and the one before serves');
is((records())[-1]{verb}, 'ping', 'with its logs');

# Workers have none of it.

for my $pid ($t->worker_pids) {
    my @open = grep { /a\.(?:json|txt)/ } map { readlink $_ // '' } glob "/proc/$pid/fd/*";
    is(scalar @open, 0, "worker $pid has no audit log open");
}

conf('control_audit_log %%TESTDIR%%/no/such/dir.log;');
my ($bad, $why) = $t->command('-t');
isnt($bad, 0, '"veil -t" says so before');
like($why, qr/the\ audit\ log\ ".*dir\.log"\ cannot\ be\ written:
    \ there\ is\ no\ directory\ "\Q$dir\E\/no\/such"
    \ in\ \S+veil\.conf:\d+$/xm,
    'with the name, and that of the directory');
ok(!-e "$dir/no", 'which nobody has made');
conf('control_audit_log %%TESTDIR%%/a.txt/audit.log;');
($bad, $why) = $t->command('-t');
isnt($bad, 0, 'a file is no directory');
like($why, qr/a\.txt\/audit\.log" cannot be written \(20: Not a directory\)/,
    'and why');

# Wrong directives

for my $case (
    [ 'control_audit_log a format=xml;', qr/invalid parameter "format=xml"/ ],
    [ 'control_audit_log a reads=maybe;', qr/invalid parameter "reads=maybe"/ ],
    [ 'control_audit_log a json;', qr/invalid parameter "json"/ ],
    [ 'control_audit_log syslog:server=127.0.0.1 format=json;', qr/syslog server takes text/ ],
    [ 'control_audit_log syslog:;', qr/syslog/ ],
    [ 'control_audit_log "";', qr/invalid name of a file/ ],
    [ 'control_audit_log a;' x 9, qr/there are 8 audit logs at most/ ],
) {
    conf($case->[0]);
    my ($status, $out) = $t->command('-t');
    isnt($status, 0, "$case->[0] is wrong");
    like($out, $case->[1], '  and why');
}

$t->stop;
done_testing;
