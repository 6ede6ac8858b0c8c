#!/usr/bin/perl

# The verb "metrics": its forms, that nothing is forgotten at a reload or when
# a worker dies, and that the page about it names what there is.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::Control;

my $t = Test::Veil->new;
$t->upstream('u', handler => sub {
    my ($conn) = @_;
    $conn->write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
        . "Connection: close\r\n\r\nhello");
    $conn->close;
});

$t->config(<<'EOC');
worker_processes 2;

http {
    upstream u {
        server %%UPSTREAM_u%%;
        server 127.0.0.1:%%PORTNUM_81%%;
    }
    server {
        listen %%PORT_80%%;
        client_header_timeout 5m;
        keepalive_timeout 5m;
        location / {
            return 200 ok;
        }
        location /404 {
            return 404;
        }
        location /u {
            proxy_pass http://u;
        }
    }
}
EOC
$t->run;

sub ask { return Test::Veil::Control->new($t)->ask('metrics', @_) }
sub metric { return Test::Veil::Control->new($t)->metric(@_) }

# --- what is counted

$t->get('/') for 1 .. 3;
$t->get('/404');
$t->raw("nonsense\r\n\r\n");
$t->request(path => '/', version => '1.0');
ok($t->wait_for(sub { metric('veil_connections_active') == 0 }),
    'none is open');
is(metric('veil_http_requests_total', protocol => 'http/1.1'), 4, 'HTTP/1.1');
is(metric('veil_http_requests_total', protocol => 'http/1.0'), 1, 'HTTP/1.0');
is(metric('veil_http_responses_total', status => '2xx'), 4, 'found');
is(metric('veil_http_requests_refused_total'), 1, 'refused');
is(metric('veil_http_responses_total', status => '4xx'), 2,
    'not found, or refused');
is(metric('veil_connections_accepted_total'), 6, 'connections');
is(metric('veil_http_request_duration_seconds')->{count}, 6, 'durations');

my $c = $t->connect(80);
$c->request(path => '/');
ok($t->wait_for(sub {
    metric('veil_http_connections', state => 'idle') == 1 }), 'an idle one');
$c->close;
ok($t->wait_for(sub {
    metric('veil_http_connections', state => 'idle') == 0 }), 'has gone');

like($t->get('/u'), qr/hello/, 'of an upstream') for 1 .. 2;
ok($t->wait_for(sub { metric('veil_connections_active') == 0 }),
    'that is over');
my $tried = metric('veil_upstream_requests_total');
my $failed = metric('veil_upstream_failures_total', reason => 'error');
is($tried - $failed, 2, 'two of the requests to upstreams went well');
is(metric('veil_upstream_retries_total', peer => 'next'), $failed,
    'and those that did not were sent to the next');
cmp_ok(metric('veil_received_bytes_total', side => 'upstream'), '>', 10,
    'bytes of upstreams');
cmp_ok(metric('veil_sent_bytes_total', side => 'client'), '>', 1000,
    'bytes for clients');

# --- nothing is forgotten

my $had = metric('veil_http_responses_total', status => '2xx');
ok($t->reload, 'a reload');
is(metric('veil_http_responses_total', status => '2xx'), $had,
    'its counters stay');
ok($t->wait_for(sub { metric('veil_reloads_total', result => 'ok') == 1 }),
    'it is counted');
is(metric('veil_generation'), 2, 'and has a number');
$t->get('/');
ok($t->wait_for(sub {
    metric('veil_http_responses_total', status => '2xx') == $had + 1 }),
    'a response more');
my ($worker) = grep { $_->{state} eq 'serving' }
    @{ Test::Veil::Control->new($t)->data('worker.list') };
$t->allow_alerts(qr/worker process \d+ exited on signal 9/);
kill 'KILL', $worker->{pid};
ok($t->wait_for(sub {
    metric('veil_workers_ended_total', how => 'crashed') == 1 }),
    'a crash is counted');
is(metric('veil_http_responses_total', status => '2xx'), $had + 1,
    'what the dead has counted stays');

# --- the control socket

my $c0 = metric('veil_control_requests_total', verb => 'ping');
my $ok = metric('veil_control_results_total', result => 'ok');
is(metric('veil_control_requests_total', verb => 'server.set'), 0,
    'a verb that nobody has used');
my $ctl = Test::Veil::Control->new($t);
$ctl->ask('ping') for 1 .. 3;
is(metric('veil_control_requests_total', verb => 'ping'), $c0 + 3,
    'requests by verb');
cmp_ok(metric('veil_control_results_total', result => 'ok'), '>=', $ok + 3,
    'by result');
my $bad0 = metric('veil_control_results_total', result => 'refused');
$ctl->ask('nonsense');
$ctl->ask('server.set', server => 'u/9.9.9.9:1', weight => 1);
$ctl->ask('log.reopen', { if_gen => 99 });
is(metric('veil_control_requests_total', verb => 'unknown'), 1, 'no such verb');
is(metric('veil_control_requests_total', verb => 'server.set'), 1,
    'one that is refused by its verb');
is(metric('veil_control_requests_total', verb => 'log.reopen'), 1,
    'one that is refused before');
is(metric('veil_control_results_total', result => 'refused'), $bad0 + 3,
    'all are refused');
$ctl->ask('log.reopen');
is(metric('veil_control_requests_total', verb => 'log.reopen'), 2,
    'what has two records is counted once');
my $rows = ask(workers => JSON::PP::true(), match => 'veil_control_requests_*')
    ->{data}{veil_control_requests_total}{values};
is(join(' ', sort map { $_->{labels}{verb} } grep { !$_->{value} } @$rows), '',
    'no process has a row for what it has not counted');
is((grep { $_->{labels}{verb} eq 'unknown' } @$rows)[0]{labels}{process},
    'master', 'the master has counted');

# --- connections by generation

my $gen = metric('veil_generation');
my $kept = $t->connect(80);
$kept->request(path => '/', keepalive => 1);
ok($t->wait_for(sub {
    metric('veil_generation_connections', generation => $gen) == 1 }),
    'a connection of the generation');
my $slow = $t->connect(80);
$slow->write("GET / HTTP/1.1\r\nHost: a\r\n");
ok($t->wait_for(sub {
    metric('veil_generation_connections', generation => $gen) == 2 }),
    'and another');
ok($t->reload, 'a reload');
ok($t->wait_for(sub {
    (metric('veil_generation_connections', generation => $gen + 1) // 1) == 0
}), 'the new one has none');
ok($t->wait_for(sub {
    metric('veil_generation_connections', generation => $gen) == 1 }),
    'the old one has the request that is under way');
like(ask(format => 'prom')->{data},
    qr/^veil_generation_connections\{generation="$gen"\} 1$/m, 'as text');
is(scalar(() = ask(format => 'prom', workers => JSON::PP::true())->{data}
    =~ /^veil_generation_connections\{/mg), 2, 'one line each, in any form');
$slow->write("\r\n");
$slow->close;
$kept->close;
ok($t->wait_for(sub {
    !defined metric('veil_generation_connections', generation => $gen) }),
    'until it has ended');
$had = metric('veil_http_responses_total', status => '2xx');

# --- its forms

my $prom = ask(format => 'prom')->{data};
my (%type, %help, @bad, $family);
for my $line (split /\n/, $prom) {
    if ($line =~ /^# HELP (\w+) (.+)$/) {
        push @bad, $line if $help{$1}++;
        $family = $1;
    } elsif ($line =~ /^# TYPE (\w+) (counter|gauge|histogram)$/) {
        push @bad, $line if $type{$1} || $1 ne $family;
        $type{$1} = $2;
    } elsif ($line =~ /^([a-z_0-9]+)(\{\w+="[^"\\]*"(?:,\w+="[^"\\]*")*\})?
            [ ]-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?)$/x)
    {
        my $name = $1;
        my $base = $name =~ s/_(?:bucket|sum|count)$//r;
        my $of = $type{$name} ? $name : $base;
        push @bad, $line if $of ne $family;
        push @bad, $line
            if ($type{$of} // '') eq 'counter' && $of !~ /_total$/;
    } else {
        push @bad, $line;
    }
}
is("@bad", '', 'the form of Prometheus is kept');
ok(!(grep { !$help{$_} } keys %type), 'each has a help');
cmp_ok(scalar keys %type, '>', 20, 'there are many');
like($prom, qr/^veil_http_request_duration_seconds_bucket\{le="\+Inf"\}\ (\d+)
    \n.*_sum\ .*\n.*_count\ \1$/mx, 'the last bucket is the count');

my $table = ask(format => 'table', match => 'veil_http_responses_*')->{data};
like($table, qr/^veil_http_responses_total\{status="4xx"\} +2$/m, 'a table');
unlike($table, qr/veil_conn/, 'only of what was asked for');

my $json = JSON::PP::true();
my $by = ask(workers => $json, match => 'veil_http_responses_total')->{data};
my $sum = 0;
my %who;
for my $v (@{ $by->{veil_http_responses_total}{values} }) {
    $who{ $v->{labels}{process} }++;
    $sum += $v->{value} if $v->{labels}{status} eq '2xx';
}
is($sum, $had, 'processes and the dead are the sum');
is(join(',', sort keys %who), 'ended,keeper,master,worker', 'all of them');

is(ask(format => 'xml')->{err}{code}, 'E_ARGUMENT', 'no other form');
is_deeply(ask(match => 'nothing*')->{data}, {}, 'no such metric');

# --- the page about it

open my $f, '<', 'docs/modules/metrics.md' or die "metrics.md: $!\n";
my $page = do { local $/; <$f> };
close $f;
my %on_page = map { $_ => 1 } $page =~ /`(veil_[a-z0-9_]+)/g;
is(join(' ', grep { !$on_page{$_} } sort keys %type), '',
    'every metric is on the page');
is(join(' ', grep { !$type{$_} && !/^veil_http_?$/ } sort keys %on_page), '',
    'and nothing else') if $type{veil_http2_guard_closed_total};

done_testing;
