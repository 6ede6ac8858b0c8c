#!/usr/bin/perl

# Tests of resumption: by ticket and by id, across workers, reloads, deaths
# and rotations, with keys of files across servers; and whose sessions are
# whose.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw/hmac_sha256/;
use File::Copy qw/copy/;

use Test::Veil;
use Test::Veil::TLS;

my $t = Test::Veil->new->has('ssl');
my $tls = Test::Veil::TLS->new($t);

$tls->ca('root');
$tls->cert('site', ca => 'root', names => [qw/localhost other.test/]);
$tls->cert('alice', ca => 'root', client => 1);

# Keys of files: nginx's two sizes.
for (['a.key', 48], ['b.key', 80]) {
    $t->write_file($_->[0], join '', map { chr int rand 256 } 1 .. $_->[1]);
    chmod 0600, $t->testdir . "/$_->[0]";
}

my $config = <<'EOC';
worker_processes 2;

http {
    ssl_certificate %%TESTDIR%%/site.crt;
    ssl_certificate_key %%TESTDIR%%/site.key;

    # tickets
    server {
        listen %%PORT_443%% ssl reuseport;
        return 200 "pid $pid\n";
    }

    # ids
    server {
        listen %%PORT_444%% ssl reuseport;
        ssl_session_tickets off;
        ssl_session_cache shared:ids:1m;
        return 200 "pid $pid\n";
    }

    # keys of files
    server {
        listen %%PORT_445%% ssl;
        ssl_session_ticket_key %%TESTDIR%%/a.key;
        return 200 "pid $pid\n";
    }
    server {
        listen %%PORT_446%% ssl;
        ssl_session_ticket_key %%TESTDIR%%/b.key;
        ssl_session_ticket_key %%TESTDIR%%/a.key;
        return 200 "pid $pid\n";
    }
    server {
        listen %%PORT_447%% ssl;
        ssl_session_ticket_key %%TESTDIR%%/b.key;
        return 200 "pid $pid\n";
    }

    # one listener, two ways of verifying, and one without tickets
    server {
        listen %%PORT_448%% ssl;
        server_name localhost;
        return 200 "open\n";
    }
    server {
        listen %%PORT_448%% ssl;
        server_name other.test;
        ssl_client_certificate %%TESTDIR%%/root.crt;
        ssl_verify_client on;
        return 200 "closed $ssl_client_verify\n";
    }
    server {
        listen %%PORT_448%% ssl;
        server_name none.test;
        ssl_session_tickets off;
        return 200 "none\n";
    }

    # nothing to resume by
    server {
        listen %%PORT_449%% ssl;
        ssl_session_tickets off;
        ssl_session_cache off;
        return 200 "off\n";
    }
}
EOC

$t->config($config)->run;

sub pid_of { return $_[0]->response->body =~ /^pid (\d+)/ ? $1 : '' }

# A session in the file s.pem, made by a full handshake.
sub first {
    my (%o) = @_;
    unlink $tls->path('s.pem');
    return $tls->s_client(sess_out => 's.pem', %o);
}

sub again {
    return $tls->s_client(sess_in => 's.pem', @_);
}

# Comes back until another worker than the first has answered: whether both
# resumed.
sub resumes_at_both {
    my ($first, %o) = @_;
    my %seen = (pid_of($first) => 1);
    for (1 .. 60) {
        my $r = again(%o);
        return "full handshake at " . pid_of($r) unless $r->reused;
        return 1 if $seen{ pid_of($r) }++ == 0;
    }
    return 'the other worker was never met';
}

# ---------------------------------------------------------------- tickets --

for my $v (qw/1.2 1.3/) {
    my $r = first(port => 443, tls => $v);
    is($r->reused, 0, "TLS $v: a full handshake");
    is(resumes_at_both($r, port => 443, tls => $v), 1,
        "TLS $v: a ticket is understood by every worker");
}

# --------------------------------------------------------------------- ids --

my $r = first(port => 444, tls => '1.2');
is($r->reused, 0, 'ids: a full handshake');
is($r->ticket_hint, '', 'ids: no ticket');
is(resumes_at_both($r, port => 444, tls => '1.2'), 1,
    'ids: known to every worker');

$r = first(port => 444, tls => '1.3');
is(-e $tls->path('s.pem') ? 'session' : 'none', 'none',
    'TLS 1.3 without tickets has nothing to resume by');

$r = first(port => 449, tls => '1.2');
is(-e $tls->path('s.pem') ? 'session' : 'none', 'none', 'off: no session');
is($r->response->body, "off\n", 'off: but served');

# ----------------------------------------------------------- keys of files --

for my $v (qw/1.2 1.3/) {
    first(port => 445, tls => $v);
    is(again(port => 446, tls => $v)->reused, 1,
        "TLS $v: the second file decrypts");
    is(again(port => 447, tls => $v)->reused, 0,
        "TLS $v: a key that is not there does not");
    first(port => 446, tls => $v);
    is(again(port => 447, tls => $v)->reused, 1,
        "TLS $v: the first file encrypts");
    is(again(port => 445, tls => $v)->reused, 0, "TLS $v: and it alone");
}

# ---------------------------------------------------------- whose sessions --

for my $v (qw/1.2 1.3/) {
    first(port => 448, tls => $v);
    is(again(port => 448, tls => $v)->reused, 1,
        "TLS $v: resumed where it was made");
    $r = again(port => 448, tls => $v, name => 'other.test');
    is($r->reused, 0,
        "TLS $v: no session of an open server where clients are verified");
    is($r->response->status, 400, "TLS $v: a certificate is asked for");

    $r = first(port => 448, tls => $v, name => 'other.test', cert => 'alice');
    is($r->response->body, "closed SUCCESS\n", "TLS $v: verified");
    $r = again(port => 448, tls => $v, name => 'other.test');
    is($r->reused, 1, "TLS $v: resumed with the certificate");
    is($r->response->body, "closed SUCCESS\n",
        "TLS $v: which is still known, and verified");

    first(port => 448, tls => $v);
    $r = again(port => 448, tls => $v, name => 'none.test');
    is($r->reused, 0, "TLS $v: a server without tickets takes none");
    is($r->response->body, "none\n", "TLS $v: but serves");
    $r = first(port => 448, tls => $v, name => 'none.test');
    is($r->ticket_hint, '', "TLS $v: nor does it give any");
}

# ----------------------------------------------------- a death, and reloads --

my %kept = (
    'ticket 1.2' => { port => 443, tls => '1.2' },
    'ticket 1.3' => { port => 443, tls => '1.3' },
    'id'         => { port => 444, tls => '1.2' },
);

sub keep_all {
    for my $name (sort keys %kept) {
        my $file = $name =~ tr/ /-/r;
        $tls->s_client(%{ $kept{$name} }, sess_out => "$file.pem");
    }
}

sub resume_all {
    my ($when) = @_;
    for my $name (sort keys %kept) {
        my $file = $name =~ tr/ /-/r;
        my $r = $tls->s_client(%{ $kept{$name} }, sess_in => "$file.pem");
        is($r->reused, 1, "$name: resumed $when");
    }
}

keep_all();
$t->reload;
resume_all('after a reload');

$t->allow_alerts(qr/exited on signal 9/);
my @workers = $t->worker_pids;
kill 'KILL', $workers[0];
$t->wait_for(sub {
    my @now = $t->worker_pids;
    return @now == 2 && !grep { $_ == $workers[0] } @now;
});
resume_all('after a worker died');

$t->reload;
resume_all('after another reload');

# --------------------------------------------- keys of files, two machines --

# The same certificate and the same key elsewhere.
my $dir = $t->testdir;
my $other = Test::Veil->new;
$other->config(<<"EOC")->run;
http {
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate $dir/site.crt;
        ssl_certificate_key $dir/site.key;
        ssl_session_ticket_key $dir/a.key;
        return 200 "pid \$pid\\n";
    }
}
EOC

for my $v (qw/1.2 1.3/) {
    first(port => 445, tls => $v);
    my $there = Test::Veil::TLS->new($other);
    copy($tls->path('s.pem'), $there->path('s.pem'));
    is($there->s_client(port => 443, tls => $v, sess_in => 's.pem')->reused,
        1, "TLS $v: a server elsewhere with the same file understands it");
}

# ------------------------------------------------------------- and nginx's --

# Their tickets are the same outside: name, IV, AES-CBC, HMAC.  What is inside
# is each library's own, so that neither resumes the other's; it does not
# mind either.

sub ticket_bytes {
    my ($r) = @_;
    my ($dump) = $r->out =~ /TLS session ticket:\n((?: +[0-9a-f]{4} - .*\n)+)/;
    return '' unless $dump;
    my $hex = '';
    for (split /\n/, $dump) {
        $hex .= substr($_, index($_, ' - ') + 3, 48);
    }
    return pack 'H*', $hex =~ s/[^0-9a-f]//gr;
}

sub is_sealed_by {
    my ($ticket, $key) = @_;
    my $hmac = length $key == 48 ? substr($key, 32, 16) : substr($key, 16, 32);
    return 'no ticket' if length $ticket < 64;
    return 'another name' if substr($ticket, 0, 16) ne substr($key, 0, 16);
    return hmac_sha256(substr($ticket, 0, -32), $hmac)
        eq substr($ticket, -32) ? 1 : 'another HMAC';
}

my %bytes = map { $_ => $t->read_file("$_.key") } qw/a b/;
is(is_sealed_by(ticket_bytes(first(port => 445, tls => '1.2')), $bytes{a}), 1,
    'a ticket of a 48-byte key');
is(is_sealed_by(ticket_bytes(first(port => 447, tls => '1.2')), $bytes{b}), 1,
    'a ticket of an 80-byte key');

SKIP: {
    my $nginx = Test::Veil->new(binary => 'nginx');
    skip 'no nginx with TLS here', 4 unless $nginx->has_feature('ssl');
    $nginx->config(<<"EOC")->run;
http {
    ssl_certificate $dir/site.crt;
    ssl_certificate_key $dir/site.key;
    server {
        listen %%PORT_443%% ssl;
        ssl_session_ticket_key $dir/a.key;
        return 200 "nginx\\n";
    }
    server {
        listen %%PORT_444%% ssl;
        ssl_session_ticket_key $dir/b.key;
        return 200 "nginx\\n";
    }
}
EOC
    my $n = Test::Veil::TLS->new($nginx);
    my $s = $n->s_client(port => 443, tls => '1.2',
        sess_out => 'n.pem');
    is(is_sealed_by(ticket_bytes($s), $bytes{a}), 1,
        'nginx makes the same of 48 bytes');
    is(is_sealed_by(ticket_bytes($n->s_client(port => 444, tls => '1.2')),
        $bytes{b}), 1, 'and of 80');
    copy($n->path('n.pem'), $tls->path('n.pem'));
    my $here = $tls->s_client(port => 445, tls => '1.2', sess_in => 'n.pem');
    is($here->connected, 1, q{a ticket of nginx's does no harm here});
    first(port => 445, tls => '1.2');
    copy($tls->path('s.pem'), $n->path('s.pem'));
    my $there = $n->s_client(port => 443, tls => '1.2', sess_in => 's.pem');
    is($there->response->body, "nginx\n", 'nor one of ours there');
}

# ---------------------------------------------------------------- rotation --

# Keys that live for four seconds.  A session that was made under a key that
# has just been replaced is resumed, and gets a new ticket.
my $short = Test::Veil->new;
$short->config(<<"EOC")->run;
http {
    ssl_session_timeout 4s;
    server {
        listen %%PORT_443%% ssl;
        ssl_certificate $dir/site.crt;
        ssl_certificate_key $dir/site.key;
        return 200 ok;
    }
}
EOC

my $client = Test::Veil::TLS->new($short);

# The latest key.
sub key {
    my @keys = $short->read_file('error.log')
        =~ /TLS session ticket key (\d+) is in use/g;
    return $keys[-1] // 0;
}

# Whoever is slow comes when the session has ended, too: then with the next
# key.
my ($before, $latest, $renewed);
for (1 .. 4) {
    my $key = key();
    undef $latest;
    $renewed = $short->wait_for(sub {
        # The one before is kept: this one may have made the next key.
        rename $client->path('new.pem'), $client->path('old.pem');
        $before = $latest;
        $latest = $client->s_client(
            port => 443, tls => '1.2', sess_out => 'new.pem');
        return $before && key() > $key;
    });
    $r = $client->s_client(port => 443, tls => '1.2', sess_in => 'old.pem');
    last if !$renewed || $r->reused;
}
ok($renewed, 'the keys are renewed');
is($r->reused, 1, 'a ticket of the key before is understood');
my ($old, $new) = map { substr ticket_bytes($_), 0, 16 } $before, $r;
is(length $new, 16, 'there is a ticket');
isnt($new, $old, 'of the next key');

done_testing();
