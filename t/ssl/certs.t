#!/usr/bin/perl

# Certificates that are changed while the server runs: put in the place of
# another, added for one name, taken away; for workers that come later too, and
# over a reload when they are to stay.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA 'sha256_hex';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);
my $dir = $t->testdir;
$tls->ca('root');
$tls->cert('a1', ca => 'root', names => [qw/a.test www.a.test/]);
$tls->cert('a2', ca => 'root', names => [qw/a.test www.a.test/]);
$tls->cert('rsa', ca => 'root', names => [qw/a.test/], key => 'rsa2048');
$tls->cert('b1', ca => 'root', names => [qw/b.test *.b.test/]);
$tls->cert('x', ca => 'root', names => [qw/x.test/]);
$tls->cert('x2', ca => 'root', names => [qw/x.test/]);
$tls->cert('old', ca => 'root', names => [qw/a.test/], expired => 1);
$t->write_file('none', 'nothing');

$t->config(<<'EOC');
worker_processes 2;
error_log %%TESTDIR%%/error.log notice;
control_audit_log %%TESTDIR%%/audit.log;
control_overlay %%TESTDIR%%/overlay.ini;
http {
    access_log off;
    server {
        listen %%PORT_443%% ssl;
        server_name a.test www.a.test;
        ssl_certificate %%TESTDIR%%/a1.crt;
        ssl_certificate_key %%TESTDIR%%/a1.key;
        return 200;
    }
    server {
        listen %%PORT_443%% ssl;
        server_name b.test *.b.test;
        ssl_certificate %%TESTDIR%%/b1.crt;
        ssl_certificate_key %%TESTDIR%%/b1.key;
        return 200;
    }
    server {
        listen %%PORT_443%% ssl;
        server_name refused.test;
        ssl_reject_handshake on;
    }
}
EOC
$t->allow_alerts(qr/exited on signal 9/);
$t->run;

my %sha;
for my $name (qw/a1 a2 rsa b1 x x2/) {
    my $out = $tls->openssl('x509', '-in', "$name.crt", '-noout',
        '-fingerprint', '-sha256');
    ($sha{lc($1) =~ s/://gr} = $name) if $out =~ /=([0-9A-F:]+)/;
}

# What the last change was, by the audit record.

sub recorded {
    my $record = Test::Veil::Control->new($t)->data('audit', n => 1)
        ->{records}[0];
    my ($set) = grep { $_->{field} eq 'sha256' } @{ $record->{changes} // [] };
    return join ' -> ', map { $sha{ $set->{$_} // '' } // 'none' }
        qw/before after/;
}

# Which certificate a client gets that asks for the name.

sub served {
    my ($name, @more) = @_;
    my $r = $tls->s_client(port => 443, ca => 'root', name => $name, @more);
    my ($pem) = $r->out =~ /(-----BEGIN CERT.*?-----END CERTIFICATE-----\n)/s
        or return 'none';
    $t->write_file('served.pem', $pem);
    my $out = $tls->openssl('x509', '-in', 'served.pem', '-noout',
        '-fingerprint', '-sha256');
    return $out =~ /=([0-9A-F:]+)/ ? $sha{ lc($1) =~ s/://gr } : '?';
}

# All workers: enough clients that each has had one.

sub all {
    my ($name, @more) = @_;
    my %seen = map { served($name, @more) => 1 } 1 .. 6;
    return join ' ', sort keys %seen;
}

my $c = Test::Veil::Control->new($t);
my $yes = JSON::PP::true;
sub files { return (cert => "$dir/$_[0].crt", key => "$dir/$_[0].key") }

# What there is

my $list = $c->data('cert.list');
is(scalar @$list, 2, 'cert.list: those of the configuration');
is($sha{ $list->[0]{sha256} }, 'a1', 'with fingerprints');
is_deeply($list->[0]{names}, [qw/a.test www.a.test/], 'and names');
is($list->[0]{key}, 'P-256', 'and the kind of key');
like($list->[0]{not_after}, qr/^20\d\d-\d\d-\d\dT/, 'and the end');
cmp_ok($list->[0]{days_left}, '>', 3000, 'in days');
is($list->[0]{from}, 'configuration', 'and where it is from');
is(scalar @{ $c->data('cert.list', sni => 'C.B.test') }, 1, 'for a name');
is(scalar @{ $c->data('cert.list', expires_in => '10d') }, 0, 'that ends soon');

# Checks

is($c->data('cert.check', files('a2'))->{chain}, 1, 'cert.check');
is($c->code('cert.check', cert => "$dir/a1.crt", key => "$dir/a2.key"),
    'E_INVALID', 'a key of another certificate');
is($c->code('cert.check', cert => "$dir/none", key => "$dir/a2.key"),
    'E_INVALID', 'no certificate');
is($c->code('cert.check', cert => "$dir/missing", key => "$dir/a2.key"),
    'E_INVALID', 'no file');
is($c->code('cert.check', cert => "$dir/a1.crt"), 'E_ARGUMENT', 'no key');
is($c->code('cert.check', files('old')), 'E_EXPIRES', 'one that has ended');
is($c->code('cert.check'), '', 'those in use last long enough');
is($c->code('cert.check', expires_in => '5000d'), 'E_EXPIRES',
    'but not for ever');

# Changes that are refused change nothing.

for my $case (
    [ 'replace', 'a.test', 'old', 'E_INVALID', 'ended' ],
    [ 'replace', 'a.test', 'b1', 'E_INVALID', 'for another name' ],
    [ 'replace', 'nobody.test', 'x', 'E_NO_NAME', 'of no server' ],
    [ 'replace', 'refused.test', 'x', 'E_INVALID', 'of one that rejects' ],
    [ 'add', 'refused.test', 'x', 'E_INVALID', 'the same, added' ],
) {
    my ($verb, $name, $file, $code, $what) = @$case;
    is($c->code("cert.$verb", sni => $name, files($file)), $code,
        "cert.$verb: $what");
}
is($c->code('cert.replace', sni => 'a.test', cert => "$dir/a2.crt",
    key => "$dir/a1.key"), 'E_INVALID', 'cert.replace: another key');
my $r = $c->ask('cert.replace', { dry_run => $yes }, sni => 'a.test',
    files('a2'));
ok($r->{ok} && $r->{dry_run}, 'a dry run');
is($r->{data}{servers}, 1, 'says how many servers it concerns');
is($sha{ $r->{data}{before}{sha256} // '' }, 'a1', 'what they have');
is($sha{ $r->{data}{after}{sha256} // '' }, 'a2', 'and what they would');
is(all('a.test'), 'a1', 'nothing has changed');

# In the place of another

$r = $c->ask('cert.replace', sni => 'A.test', files('a2'));
ok($r->{ok}, 'cert.replace');
is(recorded(), 'a1 -> a2', 'both fingerprints are recorded');
ok($r->{volatile}, 'which lasts until the next reload');
is($sha{ $r->{data}{before}{sha256} }, 'a1', 'what was before');
is($sha{ $r->{data}{after}{sha256} }, 'a2', 'what is now');
is($r->{data}{workers}, 2, 'in both workers');
is(all('a.test'), 'a2', 'clients see it');
is(all('www.a.test'), 'a2', 'under the server\'s other name too');
is(all('unknown.test'), 'a2', 'and as the default server\'s');
is(all('b.test'), 'b1', 'others have theirs');
like($tls->s_client(port => 443, ca => 'root', name => 'a.test')->response->{status},
    qr/^200/, 'requests are answered');

# A second kind of key stands beside the first.

ok($c->ask('cert.replace', sni => 'a.test', files('rsa'))->{ok}, 'RSA beside it');
is(all('a.test', sigalgs => "RSA-PSS+SHA256"), 'rsa',
    'for clients that want it');
is(all('a.test', sigalgs => "ECDSA+SHA256"), 'a2', 'and the other');
is(scalar(grep { $_->{from} eq 'replace' } @{ $c->data('cert.list') }), 2,
    'both are in the list');

# For one name

$r = $c->ask('cert.add', sni => 'x.test', files('x'));
ok($r->{ok}, 'cert.add');
is($r->{data}{before}, undef, 'there was none');
is(all('x.test'), 'x', 'the name has its certificate');
is(all('unknown.test', sigalgs => "ECDSA+SHA256"), 'a2',
    'others have not');
ok($c->ask('cert.add', sni => 'x.test', files('x2'))->{ok}, 'another one');
is(all('x.test'), 'x2', 'is in its place');

# Saved, taken back, loaded again

sub ecdsa { return all($_[0], sigalgs => 'ECDSA+SHA256') }
my $file = "$dir/saved.json";
my $saved = $c->data('state.save', file => $file);
is($saved->{counts}{certificates}, 3, 'state.save: all three');
is_deeply($saved->{left_out}, [], 'none is left out');
my $text = $t->read_file('saved.json');
unlike($text, qr/BEGIN|PRIVATE/, 'neither certificates nor keys are in it');
my $rows = JSON::PP::decode_json($text)->{state}{certificates};
is_deeply([ map { "$_->{how} $_->{sni} $sha{$_->{sha256}}" } @$rows ],
    [ 'replace a.test a2', 'replace a.test rsa', 'add x.test x2' ],
    'which, and whose');
is($rows->[0]{cert}, "$dir/a2.crt", 'by the paths of their files');
is($rows->[0]{key}, "$dir/a2.key", 'of both');
like($c->data('config.dump', effective => $yes)->{text},
    qr/^# changed at run time \(certificates\): .*"add".*x\.test/m,
    'config.dump --effective has them');

is_deeply($c->data('state.diff', file => $file)->{changes}, [],
    'state.diff: nothing differs');
$c->data('cert.del', sni => 'x.test');
$c->data('cert.add', sni => 'y.test', files('x'), force => $yes);
$c->data('cert.replace', sni => 'a.test', files('a1'));
my $diff = $c->data('state.diff', file => $file)->{changes};
is_deeply([ map { my $d = $_; join ' ', $d->{certificate},
        map { $d->{$_} ? $sha{$d->{$_}{sha256}} : '-' } qw/before after/ }
        @$diff ],
    [ 'a.test a1 a2', 'x.test - x2', 'y.test x -' ], 'what loading changes');
is(ecdsa('y.test'), 'x', 'to look changes nothing');

sub load_rows {
    my (@rows) = @_;
    my $json = JSON::PP->new->canonical;
    my $state = { certificates => \@rows };
    $t->write_file('other.json', $json->encode({ veil_state => 1,
        sha256 => sha256_hex($json->encode($state)), state => $state }));
    return $c->ask('state.load', file => "$dir/other.json");
}
for my $case (
    [ 'a file that is gone', qr/missing\.crt" cannot be read: No such file/,
        { cert => "$dir/missing.crt" } ],
    [ 'a key that is gone', qr/missing\.key" cannot be read/,
        { key => "$dir/missing.key" } ],
    [ 'another key', qr/key/, { key => "$dir/a1.key" } ],
    [ 'another certificate', qr/a1\.crt" has another certificate by now/,
        { files('a1') } ],
    [ 'no file of the kind', qr/PEM|cert/i, { cert => "$dir/none" } ],
    [ 'no whole path', qr/malformed/, { cert => 'a2.crt' } ],
    [ 'a text', qr/malformed/, { cert => 'data:' } ],
    [ 'a name of no server', qr/no server/, { sni => 'nobody.test' } ],
    [ 'a server that rejects', qr/rejects/, { sni => 'refused.test' } ],
    [ 'another word', qr/malformed/, { how => 'put' } ],
    [ 'the same again', qr/second time/, {} ],
) {
    my ($what, $says, $bad) = @$case;
    my $answer = load_rows($rows->[0], { %{$rows->[0]}, %$bad });
    is($answer->{err}{code}, 'E_INVALID', "state.load: $what");
    like($answer->{err}{msg}, qr/^the saved certificate of ".*?": .*$says/,
        '... it says');
}
is(ecdsa('a.test'), 'a1', 'nothing of that has changed anything');
is(ecdsa('y.test'), 'x', 'neither for names of their own');

$r = $c->ask('state.load', file => $file);
ok($r->{ok}, 'state.load') or diag JSON::PP::encode_json($r);
is($r->{data}{workers}, 2, 'in both workers');
is(ecdsa('a.test'), 'a2', 'what was saved is served');
is(all('a.test', sigalgs => 'RSA-PSS+SHA256'), 'rsa', 'the second kind, too');
is(ecdsa('x.test'), 'x2', 'and what was added');
is(ecdsa('y.test'), 'a2', 'what was not saved is gone');
is_deeply($c->data('state.diff', file => $file)->{changes}, [],
    'nothing differs');

# One whose file has another by now cannot be found again.

my $a2 = $t->read_file('a2.crt');
$t->write_file('a2.crt', $t->read_file('a1.crt'));
$saved = $c->data('state.save', file => "$dir/second.json");
is($saved->{counts}{certificates}, 2, 'a file that changed: saved are two');
is($saved->{left_out}[0]{certificate}, 'a.test', '... one is left out');
like($saved->{left_out}[0]{reason}, qr/a2\.key|a2\.crt/, '... and why');
like($c->data('config.dump', effective => $yes)->{text},
    qr/^# changed at run time \(not to be saved\): .*a\.test/m,
    '... but it is in force');
is($c->code('state.load', file => $file), 'E_INVALID',
    '... so the first file cannot be loaded');
$t->write_file('a2.crt', $a2);
is($c->code('cert.add', sni => 'x.test', cert => "data:$a2",
    key => "$dir/a2.key"), 'E_ARGUMENT', 'certificates are given as files');

# None of them

is(load_rows()->{ok}, $yes, 'an empty state');
is(all('a.test'), 'a1', 'all is as configured');
is(all('x.test'), 'a1', 'for names of their own as well');
is(load_rows()->{ok}, $yes, 'once more: nothing to do');
is($c->code('state.load', file => $file), '', 'and back');

# A worker that comes later knows.

my ($worker) = $t->worker_pids;
kill 'KILL', $worker;
ok($t->wait_for(sub { my @w = $t->worker_pids; @w == 2 && !grep { $_ == $worker } @w }),
    'a worker is replaced');
ok($t->wait_for(sub { $c->ask('ping', { timeout => 1 })->{ok} }), 'it serves');
is(all('x.test'), 'x2', 'and has what was added');
is(all('a.test', sigalgs => "ECDSA+SHA256"), 'a2',
    'and what was replaced');

# Taken away

is($c->code('cert.del', sni => 'y.test'), 'E_NO_NAME', 'cert.del of nothing');
$r = $c->ask('cert.del', { dry_run => $yes }, sni => 'x.test');
ok($sha{ $r->{data}{before}{sha256} // '' }, 'cert.del, a dry run');
ok($c->ask('cert.del', sni => 'x.test')->{ok}, 'cert.del');
is(recorded(), $sha{ $r->{data}{before}{sha256} } . ' -> none',
    'its fingerprint is recorded');
is(all('x.test', sigalgs => "ECDSA+SHA256"), 'a2',
    'the default server\'s again');

# Over a reload: what was made to stay stays.

ok($c->ask('cert.add', { persist => $yes }, sni => 'x.test', files('x'))->{ok},
    'cert.add --persist');
is($c->code('cert.replace', { persist => $yes }, sni => 'b.test',
    files('missing')), 'E_INVALID', 'a missing file');
ok($t->reload, 'reload');
is(all('x.test'), 'x', 'what was made to stay is there');
is(all('a.test'), 'a1', 'the rest is as configured');
ok($c->ask('cert.del', { persist => $yes }, sni => 'x.test')->{ok},
    'cert.del --persist');
ok($t->reload, 'reload');
is(all('x.test'), 'a1', 'and it is gone');

# Under load: nobody is refused while certificates change.

my @clients = map {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my $bad = 0;
        for (1 .. 12) {
            $bad++ if served('a.test') !~ /^a[12]$/;
        }
        require POSIX;
        POSIX::_exit($bad);
    }
    $pid;
} 1;
$c->ask('cert.replace', sni => 'a.test', files($_ % 2 ? 'a2' : 'a1')) for 1 .. 20;
for my $pid (@clients) {
    waitpid $pid, 0;
    is($? >> 8, 0, 'clients are served while certificates change');
}
