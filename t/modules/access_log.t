#!/usr/bin/perl

# The access log: its lines beside nginx's for the same requests, formats and
# escapes, buffers, conditions, several logs, reopening, a full disk, syslog.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

use Socket qw/SOCK_DGRAM/;

my $nginx = -x '/usr/sbin/nginx' ? Test::Veil->new(binary => 'nginx') : undef;
my $t = Test::Veil->new(name => 'veil');
# /dev/full below.
$t->allow_alerts(qr/write\(\) to "\/dev\/full" failed/);
my $dir = $t->testdir;

my $syslog = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
    Proto => 'udp', Type => SOCK_DGRAM) or die;
my $syslog_port = $syslog->sockport;

my $common = <<'EOC';
    log_format all '$remote_addr|$remote_user|$request|$status|'
        '$body_bytes_sent|$bytes_sent|$request_length|$http_referer|'
        '$http_user_agent|$args|$is_args|$arg_a|$arg_empty|$cookie_c|'
        '$uri|$request_uri|$host|$server_protocol|$request_completion|'
        '$sent_http_content_type|$sent_http_location|$sent_http_x_own|'
        '$sent_http_content_length|$content_type|$content_length|'
        '$connection_requests|$pipe|$scheme|$server_name|$sent_http_none';
    log_format all_json escape=json '{"request":"$request",'
        '"agent":"$http_user_agent","none":"$http_none","a":"$arg_a",'
        '"size":$body_bytes_sent}';
    log_format all_none escape=none '$request [$http_user_agent] '
        '[$http_none] ${status}$arg_a';
    log_format braces "${status}0 ${status}";
EOC

my $compared = <<"EOC";
http {
    default_type text/plain;
$common
    access_log %%TESTDIR%%/combined.log;
    access_log %%TESTDIR%%/all.log all;
    access_log %%TESTDIR%%/json.log all_json;
    access_log %%TESTDIR%%/none.log all_none;
    access_log %%TESTDIR%%/braces.log braces;
    server {
        listen %%PORT_80%%;
        server_name one.example;
        root $dir/html;
        location /text { return 200 "text"; }
        location /moved { return 302 /elsewhere; }
        location /444 { return 444; }
        location /204 { return 204; }
        location /page { error_page 404 /text; }
        location /code { return 418; }
    }
}
EOC

$t->write_file('html/file.txt', 'x' x 1000);
$t->write_file('html/big.txt', 'x' x 100_000);
$t->write_file('html/index.html', 'index');

# --- the same lines as nginx's

my @requests = (
    "GET /file.txt HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n",
    "GET /big.txt?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HEAD /file.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /file.txt HTTP/1.0\r\n\r\n",
    "GET /file.txt?empty=&a= HTTP/1.0\r\nReferer: http://a/\"b\\c\r\n"
        . "User-Agent: tab\tbeyond\x80\xff \"quoted\"\r\n\r\n",
    "GET /none?a=%22x%22 HTTP/1.0\r\nCookie: c=value; d=e\r\n"
        . "User-Agent:\r\n\r\n",
    "GET /text? HTTP/1.0\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n",
    "GET /text HTTP/1.0\r\nAuthorization: Basic OnBhc3M=\r\n\r\n",
    "GET /text HTTP/1.0\r\nAuthorization: Basic ***\r\n\r\n",
    "GET /moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /444 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /page/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "POST /text HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n"
        . "Content-Length: 5\r\nConnection: close\r\n\r\nhello",
    "GET /caf\xc3\xa9 HTTP/1.0\r\n\r\n",
    "GET /text HTTP/1.1\r\nHost: x\r\n\r\n"
        . "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /text HTTP/1.1\r\nHost: ONE.Example:8080\r\nConnection: close\r\n\r\n",
);

sub answers {
    my ($server) = @_;
    for my $request (@requests) {
        my $c = $server->connect;
        $c->write($request);
        $c->read_all(5);
    }
    $server->wait_for(sub {
        my $lines = () = $server->log('braces.log') =~ /\n/g;
        return $lines >= @requests + 1;
    });
}

# What depends on the server's own pages and on time is left out.
sub lines {
    my ($server, $name) = @_;
    my $text = $server->log($name);
    $text =~ s/\[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]/[TIME]/g;
    # The sizes of error pages and of heads differ.
    if ($name eq 'all.log') {
        $text =~ s/\|(404|302|418)\|\d+\|\d+\|/|$1|N|N|/g;
        $text =~ s/^((?:[^|]*\|){5})\d+\|/$1N|/gm;
        $text =~ s/\|\d+\|([^|]*\|[^|]*\|\d+\|[.p]\|)/|N|$1/g
            if $text =~ /\|404\|/;
        # nginx does not count a body that nobody reads.
        $text =~ s/(\|POST [^|]*\|200\|4\|N)\|\d+/$1|N/g;
        my $port = $server->port(80);
        $text =~ s/:$port/:PORT/g;
    }
    $text =~ s/" (404|302) \d+ "/" $1 N "/g;
    $text =~ s/"size":\d+\}/"size":N}/g if $name eq 'json.log';
    return [ split /\n/, $text ];
}

$t->config($compared);
$t->run;
answers($t);
like($t->log('combined.log'),
    qr{^127\.0\.0\.1 - - \[[^]]+\] "GET /file\.txt HTTP/1\.1" 200 1000 "-" "-"\n},
    'combined');
like($t->log('combined.log'), qr{"GET /444 HTTP/1\.1" 444 0 "-" "-"\n},
    'a connection dropped on purpose');
like($t->log('combined.log'), qr{ - user \[}, 'the name of a user');
like($t->log('json.log'),
    qr/"agent":"tab\\tbeyond\x80\xff \\"quoted\\"","none":""/,
    'escape=json');
like($t->log('none.log'), qr/\[tab\tbeyond\x80\xff "quoted"\] \[\]/,
    'escape=none');
like($t->log('combined.log'),
    qr/"tab\\x09beyond\\x80\\xFF \\x22quoted\\x22"/,
    'escape=default');
like($t->log('braces.log'), qr/^2000 200$/m, 'names in braces');

if ($nginx) {
    $nginx->config($compared);
    $nginx->run;
    answers($nginx);
    for my $log (qw/combined.log all.log json.log none.log braces.log/) {
        is_deeply(lines($t, $log), lines($nginx, $log), "$log as nginx's");
    }
}
$t->stop;

# --- the rest on another server

my $s = Test::Veil->new(name => 'more');
$s->allow_alerts(qr/write\(\) to "\/dev\/full" failed/);
$s->config(<<"EOC");
http {
    default_type text/plain;
    log_format short '\$request_uri';
    log_format tag 'tag:\$request_uri';
    access_log %%TESTDIR%%/main.log short;
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location / { return 200 ok; }
        location /off { access_log off; return 200 ok; }
        location /off/and/on {
            access_log %%TESTDIR%%/off.log short;
            access_log off;
            access_log %%TESTDIR%%/off.log short;
            return 200 ok;
        }
        location /off/first {
            access_log off;
            access_log %%TESTDIR%%/off.log short;
            return 200 ok;
            location /off/first/on {
                access_log %%TESTDIR%%/off.log short;
                return 200 ok;
            }
        }
        location /own { access_log %%TESTDIR%%/own.log short; return 200 ok; }
        location /two {
            access_log %%TESTDIR%%/own.log short;
            access_log %%TESTDIR%%/two.log tag;
            return 200 ok;
        }
        location /if {
            access_log %%TESTDIR%%/if.log short if=\$arg_log;
            return 200 ok;
        }
        location /var {
            access_log %%TESTDIR%%/var-\$arg_name.log short;
            return 200 ok;
        }
        location /noroot {
            root /nonexistent;
            access_log %%TESTDIR%%/noroot-\$arg_name.log short;
            return 200 ok;
        }
        location /buffer {
            access_log %%TESTDIR%%/buffer.log short buffer=100;
            return 200 ok;
        }
        location /flush {
            access_log %%TESTDIR%%/flush.log short buffer=64k flush=50ms;
            return 200 ok;
        }
        location /full {
            access_log /dev/full short;
            return 200 ok;
        }
        location /syslog {
            access_log syslog:server=127.0.0.1:$syslog_port,facility=local7,tag=me,severity=warn short;
            return 200 ok;
        }
        location /inherit {
            access_log off;
            return 200 ok;
            location /inherit/on { access_log %%TESTDIR%%/own.log short; return 200 ok; }
        }
    }
}
EOC
$s->write_file('html/file', 'there is a root');
$s->run;

sub has_line {
    my ($log, $line, $what) = @_;
    $s->wait_for(sub { $s->log($log) =~ /^\Q$line\E$/m });
    like($s->log($log), qr/^\Q$line\E$/m, $what);
}

$s->get('/plain');
has_line('main.log', '/plain', 'the log of http');
$s->get('/off');
$s->get('/off/and/on');
$s->get('/off/first');
$s->get('/off/first/on');
has_line('off.log', '/off/first/on', 'below one that is off and more');
is($s->log('off.log'), "/off/first/on\n",
    '"off" wins over other logs of its block, as in nginx');
$s->get('/own');
has_line('own.log', '/own', 'a log of its own');
$s->get('/two');
has_line('own.log', '/two', 'two logs: the first');
has_line('two.log', 'tag:/two', 'two logs: the second, in its format');
$s->get('/if');
$s->get('/if?log=0');
$s->get('/if?log=1');
has_line('if.log', '/if?log=1', 'if=: true');
is($s->log('if.log'), "/if?log=1\n", 'if=: empty and 0 are not');
$s->get('/inherit/on');
has_line('own.log', '/inherit/on', 'below a location that is off');
$s->get('/inherit');
$s->get('/var?name=a');
$s->get('/var?name=b');
has_line('var-a.log', '/var?name=a', 'a variable in the path');
has_line('var-b.log', '/var?name=b', 'and another');
$s->get('/noroot?name=a');
$s->get('/last');
has_line('main.log', '/last', 'the order of lines');
ok(!-e $s->testdir . '/noroot-a.log', 'no log where the root is missing');
is($s->log('main.log'), "/plain\n/last\n", 'nothing else went to the first');
like($s->get('/var?name=none/such')->body, qr/ok/,
    'a log that cannot be opened');
$s->wait_for_log(qr{\[crit\] .*open\(\) "\S+/var-none/such\.log" failed});

# Buffers.

$s->get('/buffer?' . 'x' x 60);
$s->get('/last2');
has_line('main.log', '/last2', 'another request');
is($s->log('buffer.log'), '', 'a buffer that is not full');
$s->get('/buffer?' . 'y' x 60);
has_line('buffer.log', '/buffer?' . 'x' x 60, 'one that was full');
unlike($s->log('buffer.log'), qr/y/, 'the next line is kept');
$s->get('/buffer?' . 'z' x 200);
has_line('buffer.log', '/buffer?' . 'z' x 200, 'a line longer than it');
is($s->log('buffer.log'), join('', map {"/buffer?$_\n"}
        'x' x 60, 'y' x 60, 'z' x 200), 'in their order');
$s->get('/flush');
has_line('flush.log', '/flush', 'flush=');

# A disk that is full: requests go on, one complaint.

is($s->get('/full')->body, 'ok', 'a full disk') for 1 .. 3;
$s->wait_for_log(qr{\[alert\] .*write\(\) to "/dev/full" failed \(28: No space});
my $said = () = $s->log =~ /write\(\) to "\/dev\/full" failed/g;
is($said, 1, 'is told once');

# syslog

$s->get('/syslog');
my $datagram = '';
{
    my $set = '';
    vec($set, fileno $syslog, 1) = 1;
    select($set, undef, undef, 30) and $syslog->recv($datagram, 2000);
}
# local7 is 23, warning is 4.
like($datagram, qr/^<188>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ me: \/syslog$/,
    'a line to syslog');

# Rotation.

$s->get('/buffer?kept');
rename $s->testdir . '/main.log', $s->testdir . '/main.log.1' or die;
rename $s->testdir . '/buffer.log', $s->testdir . '/buffer.log.1' or die;
$s->signal('USR1');
$s->wait_for(sub { -e $s->testdir . '/buffer.log' });
$s->wait_for(sub {
    $s->get('/rotated');
    return $s->log('main.log') =~ /rotated/;
});
like($s->log('main.log'), qr{^/rotated$}m, 'USR1 opens the log again');
like($s->log('buffer.log.1'), qr{^/buffer\?kept$}m,
    'what was in the buffer went to the old file');
$s->get('/buffer?end');
$s->stop;
like($s->log('buffer.log'), qr{^/buffer\?end$}m,
    'a buffer is written at the end');

# What is refused.

for my $bad (
    [ 'access_log a.log none;', qr/unknown log format "none"/ ],
    [ 'access_log a.log combined gzip;', qr/"gzip" is not supported/ ],
    [ 'access_log a.log combined gzip=9 buffer=1k;',
        qr/"gzip" is not supported/ ],
    [ 'access_log a.log combined buffer=x;', qr/invalid buffer size "x"/ ],
    [ 'access_log a.log combined buffer=1k flush=x;',
        qr/invalid flush time "x"/ ],
    [ 'access_log a.log combined flush=1s;', qr/"flush" needs "buffer"/ ],
    [ 'access_log a.log combined buffer=1k; access_log a.log combined buffer=2k;',
        qr/conflicting parameters/ ],
    [ 'access_log $host.log combined buffer=1k;',
        qr/cannot have a buffer/ ],
    [ 'access_log syslog:server=127.0.0.1 combined buffer=1k;',
        qr/cannot have a buffer/ ],
    [ 'access_log syslog:nothing=1;', qr/syslog/ ],
    [ 'access_log off combined;', qr/nothing follows "off"/ ],
    [ 'access_log a.log combined what=1;', qr/what=1/ ],
    [ 'log_format combined x;', qr/duplicate "log_format" name "combined"/ ],
    [ 'log_format a x; log_format a y;', qr/duplicate "log_format" name "a"/ ],
    [ 'log_format a escape=xml x;', qr/"escape=xml"|"xml"/ ],
    [ 'log_format a "$";', qr/invalid variable name/ ],
    [ 'log_format a "${status";', qr/invalid variable name/ ],
    [ 'log_format a "$no_such_variable"; access_log a.log a;',
        qr/unknown "no_such_variable" variable/ ])
{
    my ($text, $why) = @$bad;
    my $r = Test::Veil->new(name => 'refused');
    $r->config("http { $text server { listen %%PORT_80%%; } }");
    my ($status, $out) = $r->command('-t');
    isnt($status, 0, "$text is refused");
    like($out, $why, 'and why');
}

done_testing;
