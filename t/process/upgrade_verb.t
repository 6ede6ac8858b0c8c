#!/usr/bin/perl

# "upgrade" by the control socket: the old master leaves, or is kept for a way
# back, and the answer says how it went.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Test::Veil;
use Test::Veil::Control;
use Test::Veil::Fault;
use Test::Veil::Masters;

my $t = Test::Veil->new;
my $m = Test::Veil::Masters->new($t);
my $fault = $t->is_debug ? Test::Veil::Fault->new($t) : undef;
my $dir = $t->testdir;
my @places = ([ port => 80 ], [ port => 81 ], [ unix => "$dir/web" ]);
my $u = $t->upstream(a => gates => [ map {"g$_"} 1 .. 9 ],
    handler => sub {
        my ($conn, $req) = @_;
        my ($gate) = $req->{path} =~ m{(g\d)};
        $conn->note("at $gate");
        $conn->wait($gate);
        $conn->reply(body => "through $gate");
    });

my $config = <<'EOC';
worker_processes WORKERS;
http {
    keepalive_drain_grace 30s;
    server {
        listen %%PORT_80%%;
        listen %%PORT_81%% reuseport;
        listen unix:%%TESTDIR%%/web;
        location / { return 200 "$pid"; }
        location /u/ { proxy_pass http://%%UPSTREAM_a%%/; }
    }
}
EOC

sub configure {
    my ($workers) = @_;
    $t->config($config =~ s/WORKERS/$workers/r);
}

# ask(arguments, or a hash of the request's members first): the reply.

sub ask {
    my @args = @_;
    my $c = Test::Veil::Control->new($t) or return { ok => 0, err => {} };
    my $reply = $c->ask('upgrade', @args);
    $c->close;
    return $reply;
}

my $true = JSON::PP::true();

# A request that the old master has to wait for.

sub waiting {
    my ($gate) = @_;
    my $c = $t->connect;
    $c->send_request(path => "/u/$gate");
    $u->wait_note(qr/at $gate/) or die "$gate did not arrive\n";
    return $c;
}

sub through {
    my ($c, $gate) = @_;
    $u->release($gate);
    is($c->read_response->body, "through $gate", "$gate: it is finished");
    $c->close;
}

# alone($master, $was, $name): it serves alone, as it was.

sub alone {
    my ($master, $was, $name) = @_;
    ok($t->wait_for(sub { "@{[ $m->masters ]}" eq $master }),
        "$name: there is one master");
    ok($t->wait_for(sub {
        $m->workers_of($master) == 2 && $t->worker_pids == 2
    }), "$name: its workers, and no others");
    ok($t->wait_for(sub { $m->pid_file('veil.pid') eq $master }),
        "$name: the pid file");
    ok($t->wait_for(sub { !-e "$dir/veil.pid.oldbin" }),
        "$name: no other pid file");
    ok($t->wait_for(sub { $m->census($master) eq $was }),
        "$name: the same descriptors")
        or diag("$was\n\n", $m->census($master));
    like($t->request(path => '/', @$_)->body, qr/^\d+$/, "$name: it answers")
        for @places;
}

sub refused {
    my ($name, $code, $re, @args) = @_;
    my $reply = ask(@args);
    ok(!$reply->{ok}, "$name: refused");
    is($reply->{err}{code}, $code, "$name: the code");
    like($reply->{err}{msg}, $re, "$name: the reason");
}

# late(...): refused, as a new master that was there did not serve in time.  A
# machine that is busy may need more of it to get there.

sub late {
    my ($name, @args) = @_;
    my $reply;
    for my $s (3, 15, 45) {
        $reply = ask({ timeout => 60 }, @args, timeout => "${s}s");
        last if ($reply->{err}{msg} // '') !~ /the preflight did not end/;
    }
    ok(!$reply->{ok}, "$name: refused");
    is($reply->{err}{code}, 'E_TIMEOUT', "$name: the code");
    like($reply->{err}{msg},
        qr/the new master did not serve within \d+000 ms/, "$name: the reason");
}

# --- the old master leaves --------------------------------------------------

configure(2);
$t->run;
my $old = $t->pid;
my $was = $m->first_census;
my $stop = $m->load(@places);

for my $n (1 .. 5) {
    my $reply = ask();
    my $data = $reply->{data};
    ok($reply->{ok}, "upgrade $n") or diag(explain($reply));
    is($data->{old}{pid}, $old, 'from');
    isnt($data->{new}{pid}, $old, 'to');
    like($data->{new}{version}, qr{^veil/[\d.]+$}, 'the version');
    is($data->{generation}, $n + 1, 'the generation');
    cmp_ok($data->{elapsed_ms}, '>', 0, 'and how long it took');
    $old = $data->{new}{pid};
    alone($old, $was, "upgrade $n");
}
like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');

my $set = (grep { $_->{field} eq 'pid' } map { @{ $_->{changes} // [] } }
    grep { $_->{verb} eq 'upgrade' }
    @{ Test::Veil::Control->new($t)->data('audit', n => 5)->{records} })[-1];
is($set->{after}, $old, 'the last master is recorded');
isnt($set->{before}, $old, 'and the one before');

# It waits for the connections it has, however many masters follow.

my @waits = waiting('g1');
my $reply = ask();
ok($reply->{ok}, 'an upgrade with a request under way');
push @waits, waiting('g2');
$reply = ask();
ok($reply->{ok}, 'and one more');
my $third = $reply->{data}{new}{pid};
is(scalar(() = $m->masters), 3, 'three masters');
like($t->get('/')->body, qr/^\d+$/, 'the last one serves');
kill 'HUP', ($m->masters)[0];
ok($t->wait_for_log(qr/is the master now, the signal is for it/),
    'HUP to one that leaves');
through($waits[1], 'g2');
through($waits[0], 'g1');
alone($third, $was, 'when they are finished');

# --- other numbers of workers ------------------------------------------------

$stop = $m->load(@places);
for my $n (4, 1, 2) {
    configure($n);
    $reply = ask();
    ok($reply->{ok}, "an upgrade to $n workers") or diag(explain($reply));
    my $new = $reply->{data}{new}{pid};
    ok($t->wait_for(sub { "@{[ $m->masters ]}" eq $new }), 'it serves alone');
    is(scalar $m->workers_of($new), $n, 'with these workers');
}
like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');
$old = ($m->masters)[0];
$was = $m->census($old);

# --- all of them end together ------------------------------------------------

@waits = waiting('g3');
ok(ask()->{ok}, 'another, with a request under way');
my ($first, $second) = $m->masters;
kill 'QUIT', $second;
ok($t->wait_for_log(qr/$second#\d+: signal 3 \(SIGQUIT\)/), 'QUIT');
ok($t->wait_for(sub { $m->workers_of($second) == 0 }), 'the new one ends');
is(scalar(() = $m->masters), 2, 'but waits for the old one');
through($waits[0], 'g3');
ok($t->wait_for(sub { !$m->masters }), 'both end');
$t->stop(signal => 0);
ok(!-e "$dir/$_", "$_ is gone") for qw/veil.pid web veil.sock veil.sock.lock/;

# --- nothing but the question -----------------------------------------------

$t->run;
$old = $t->pid;
$was = $m->census($old);
$reply = ask({ dry_run => $true });
ok($reply->{ok}, 'dry_run');
like($reply->{data}{version}, qr{^veil/}, 'says what it found');
alone($old, $was, 'dry_run');

refused('a relative path', 'E_ARGUMENT', qr/absolute/, binary => 'veil');
refused('no time', 'E_ARGUMENT', qr/more than 0/, timeout => 0);
refused('no such file', 'E_INVALID', qr/cannot be executed \(2: /,
    binary => "$dir/none");
refused('another program', 'E_INVALID', qr/does not answer as a veil/,
    binary => '/bin/true');
refused('no way back', 'E_CONFLICT', qr/no old master/, rollback => $true);
refused('two things', 'E_ARGUMENT', qr/stands alone/, rollback => $true,
    keep_old => $true);
$t->write_file('slow', "#!/bin/sh\nexec sleep 60\n");
chmod 0755, "$dir/slow";
refused('a preflight that does not end', 'E_TIMEOUT',
    qr/the preflight did not end within 300 ms/,
    binary => "$dir/slow", timeout => '300ms');

# It answers, and then does not come up.

$t->write_file('lazy', <<"EOS");
#!/bin/sh
test "\$1" = --preflight && exec $t->{binary} "\$@"
exec sleep 60
EOS
chmod 0755, "$dir/lazy";
late('a master that does not serve', binary => "$dir/lazy");
alone($old, $was, 'after all that');

# One at a time.

my $one = Test::Veil::Control->new($t);
$t->write_file('gate', "#!/bin/sh\nuntil test -e $dir/go; do sleep 0.1; done\n");
chmod 0755, "$dir/gate";
$one->send({ id => 1, verb => 'upgrade', args => { binary => "$dir/gate" } });
ok($t->wait_for_log(qr{changing binary to "\Q$dir\E/gate"}),
    'while one is tried');
refused('another', 'E_CONFLICT', qr/an upgrade is under way/);
my $mark = $t->log_mark;
$t->signal('HUP');
ok($t->wait_for_log(qr/$old#\d+: signal 1 \(SIGHUP\)/, from => $mark),
    'a reload meanwhile');
$t->write_file('go', '');
is($one->next->{err}{code}, 'E_INVALID', 'it answers nothing');
ok($t->wait_for_log(qr/generation \d+ serves/, from => $mark),
    '... is carried out');
$one->close;
ok($t->wait_for(sub { $t->worker_pids == 2 && $m->census($old) eq $was }),
    '... and all is as it was');

# --- a way back -------------------------------------------------------------

$t->allow_alerts(qr/the new master \d+ .*, this one serves again/,
    qr/the master is gone, ending with the last connection/);
$stop = $m->load(@places);
for my $n (1, 2) {
    $reply = ask(keep_old => $true);
    ok($reply->{ok}, 'keep_old') or diag(explain($reply));
    my $new = $reply->{data}{new}{pid};
    ok($t->wait_for(sub { $m->workers_of($old) == 0 }),
        'the old one has no workers');
    is("@{[ $m->masters ]}", "$old $new", 'it stays');
    is($m->pid_file('veil.pid'), $new, 'the pid file');
    is($m->pid_file('veil.pid.oldbin'), $old, 'its own');
    is_deeply(Test::Veil::Control->new($t)->data('status')->{old_master},
        { pid => $old, state => 'kept' }, 'status names it');
    refused('an upgrade meanwhile', 'E_CONFLICT', 
        qr/the old master $old of .* still kept: "veilctl upgrade --rollback"/);
    $reply = ask(rollback => $true);
    ok($reply->{ok}, 'rollback') or diag(explain($reply));
    is($reply->{data}{serves}{pid}, $old, 'the old one serves');
    like($reply->{data}{elapsed_ms}, qr/^\d+$/, 'and how long it took');
    alone($old, $was, "rollback $n");
}
like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');

$reply = ask(keep_old => $true);
kill 'KILL', $reply->{data}{new}{pid};
ok($t->wait_for_log(qr/was ended by signal 9, this one serves again/),
    'the new one is killed');
alone($old, $was, 'the old one is back');

@waits = waiting('g4');
$reply = ask();
kill 'KILL', $reply->{data}{new}{pid};
ok($t->wait_for(sub { $m->pid_file('veil.pid') eq $old }),
    'it is killed while the old one leaves');
through($waits[0], 'g4');
alone($old, $was, 'the old one is back again');

# One that hangs is killed, and an old one that is killed is no reason to stop.

if ($fault) {
    for my $point (qw/adopt ready go/) {
        $fault->arm("upgrade.$point", role => 'master', action => 'stop');
        late("hangs at $point");
        alone($old, $was, "hangs at $point");
    }
    $t->allow_alerts(qr/the master is gone|keeper cannot reach the master/,
        qr/the keeper is gone|worker process \d+ exited on signal/);
    $stop = $m->load(@places);
    $fault->arm('upgrade.ready', role => 'master', action => 'stop');
    kill 'USR2', $old;
    my $new = $fault->wait;
    ok($new, 'a new master is about to serve');
    kill 'KILL', $old;
    kill 'CONT', $new;
    ok($t->wait_for(sub { $m->pid_file('veil.pid') eq $new }),
        'the old one is killed, the new one serves');
    ok($t->wait_for(sub {
        "@{[ $m->masters ]}" eq $new && $t->worker_pids == 2
    }), 'alone, when the old workers have ended');
    like($stop->(), qr/^0 of [1-9]\d+ failed/, 'no request failed');
    $t->wait_for(sub { $m->census($new) eq $was });
    is($m->census($new), $was, 'the same descriptors');
    ok(ask()->{ok}, 'and it can be replaced');
    kill 'QUIT', ($m->masters)[-1];
    ok($t->wait_for(sub { !$m->masters }), 'it ends');
    $t->stop(signal => 0, status => 9);
    $t->run;
    $old = $t->pid;
}

# With an old one that is kept, the end is the end of both.

$reply = ask(keep_old => $true);
ok($reply->{ok}, 'keep_old, to the end');
kill 'QUIT', $reply->{data}{new}{pid};
ok($t->wait_for(sub { !$m->masters }), 'QUIT to the new one ends both');
is($t->stop(signal => 0), 0, 'the end');
ok(!-e "$dir/$_", "$_ is gone")
    for qw/veil.pid veil.pid.oldbin web veil.sock veil.sock.lock/;

done_testing;
