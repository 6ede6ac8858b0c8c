#!/usr/bin/perl

# Variables: each of nginx's is there or docs/modules/variables.md says that
# it is not; their values beside nginx's for the same requests.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

use Cwd ();
use File::Basename ();

my $top = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$f>;
}

# --- each of nginx's

my @nginx_has = map { /^http\t(\w+)$/ ? $1 : () }
    split /\n/, slurp("$top/docs/design/nginx-variables.tsv");
cmp_ok(scalar @nginx_has, '>', 100, 'the list of nginx variables');

# Prefixes are asked for with something behind them.
my %asked = map { ($_ => /_$/ ? $_ . 'x' : $_) } @nginx_has;
my (%unknown, @unsaid);
my @left = @nginx_has;
# An error report ends after twenty.
while (my @some = splice @left, 0, 15) {
    my $text = join ' ', map {"\${$asked{$_}}"} @some;
    my $check = Test::Veil->new(name => 'check');
    $check->config(
        "http { server { listen %%PORT_80%%; set \$all '$text'; } }");
    my (undef, $out) = $check->command('-t');
    for my $name (@some) {
        next unless $out =~ /unknown "$asked{$name}" variable(.*)/;
        $unknown{$name} = 1;
        push @unsaid, $name unless $1 =~ /^, nginx has it, this version of /;
    }
}

my $doc = slurp("$top/docs/modules/variables.md");
my ($built, $missing) = $doc =~ /\A(.*?)^## Not there$(.*)\z/ms
    or die "no section \"Not there\"\n";
my %documented = map { $_ => 1 } $built =~ /^\| `\$(\w+)`/gm;
my %absent = map { $_ => 1 } $missing =~ /`\$(\w+)`/g;

my @silent = sort grep { $unknown{$_} && !$absent{$_} } @nginx_has;
is("@silent", '', 'each that is not there is in "Not there" of variables.md');
is("@unsaid", '', 'the error says of each that nginx has it');
my @there = sort grep { !$unknown{$_} } keys %absent;
is("@there", '', 'none that is there is in that list: take it out');
my @own = map { /^    \{ "(\w+)", / ? $1 : () } map { split /\n/, slurp($_) }
    glob "$top/src/modules/variables/*.c";
cmp_ok(scalar @own, '>', 50, 'the tables of variables');
my @undocumented = sort grep { !$documented{$_} } @own;
is("@undocumented", '', 'each of src/modules/variables is documented');

# --- values

my $veil = Test::Veil->new(name => 'veil');
my $nginx = -x '/usr/sbin/nginx' ? Test::Veil->new(binary => 'nginx') : undef;
my $dir = $veil->testdir;
$veil->write_file('html/file.txt', 'file');
$veil->write_file('html/index.html', 'index');
$veil->write_file('real/file.txt', 'real');
symlink "$dir/real", "$dir/link" or die;

my @names = qw/args query_string is_args uri document_uri request_uri request
    request_method scheme https server_protocol host server_name content_type
    content_length remote_user request_length document_root realpath_root
    request_filename remote_addr server_addr connection_requests pipe
    limit_rate http_user_agent http_x_own http_cookie
    cookie_a cookie_b arg_x arg_y http_host http_x_forwarded_for
    proxy_protocol_addr proxy_protocol_port/;
my $all = join '\n', map {"$_=\${$_}"} @names;
my @logged = qw/status bytes_sent body_bytes_sent request_completion
    sent_http_content_type sent_http_content_length sent_http_location
    sent_http_last_modified sent_http_etag sent_http_connection
    sent_http_keep_alive sent_http_transfer_encoding sent_http_x_own
    sent_http_cache_control sent_http_link request_uri uri/;
my $line = join '|', map {"$_=\$$_"} @logged;

my $config = <<"EOC";
http {
    default_type text/plain;
    log_format all '$line';
    access_log %%TESTDIR%%/all.log all;
    keepalive_timeout 60s 20s;
    server {
        listen %%PORT_80%%;
        server_name first.example second.example;
        root $dir/html;
        add_header X-Own mine;
        add_header Cache-Control no-cache;
        add_header Link "</a>; rel=x";
        location /all { return 200 "$all\\n"; }
        location /alias { alias $dir/html; return 200 "$all\\n"; }
        location /link { root $dir/link; return 200 "$all\\n"; }
        location /set {
            set \$args "x=set";
            set \$limit_rate 4k;
            return 200 "\$args \$arg_x \$limit_rate \$is_args \$query_string";
        }
        location /moved { return 301 /all; }
        location /changing { rewrite ^ /all?new=1; }
    }
    server {
        listen %%PORT_80%%;
        server_name "~^(?<sub>[a-z]+)\\.regex\\.example\$";
        location / { return 200 "\$sub \$1 \$server_name \$host"; }
    }
}
EOC

my @requests = (
    [ path => '/all' ],
    [ path => '/all?x=1&y=2&x=3' ],
    [ path => '/all?X=upper&y' ],
    [ path => '/all?' ],
    [ path => '/all?xx=1&=2&&y==3' ],
    [ path => '/all/%61//b/../c?q=%20' ],
    [ path => '/all', version => '1.0' ],
    [ path => '/all', method => 'POST', body => 'hello',
        headers => [ 'Content-Type' => 'text/x' ] ],
    [ path => '/all', host => 'SECOND.Example:1234' ],
    [ path => '/all', host => 'unknown.example.' ],
    [ path => '/all', headers => [ 'User-Agent' => 'me', 'X-Own' => 'a',
        Cookie => 'a=1; b=2; a=3', 'X-Forwarded-For' => '1.2.3.4' ] ],
    [ path => '/all', headers => [ 'X-Forwarded-For' => '1.2.3.4',
        'X-Forwarded-For' => '5.6.7.8', Cookie => 'b="q"; aa=1' ] ],
    [ path => '/all', headers => [ Cookie => 'A=upper;b=no space' ] ],
    [ path => '/all', headers => [ Authorization => 'Basic dTpw' ] ],
    [ path => '/all', headers => [ Authorization => 'basic dTpwOnE=' ] ],
    [ path => '/all', headers => [ Authorization => 'Bearer x' ] ],
    [ path => '/all', headers => [ 'x_own' => 'underscore' ] ],
    [ path => '/alias/sub' ],
    [ path => '/link/file.txt' ],
    [ path => '/set?x=given' ],
    [ path => '/set' ],
    [ path => '/changing?old=1' ],
    [ path => '/file.txt' ],
    [ path => '/' ],
    [ path => '/moved' ],
    [ path => '/none' ],
    [ path => '/file.txt', method => 'HEAD' ],
    [ path => '/all', host => 'www.regex.example' ],
);

my %log;

sub answers {
    my ($t) = @_;
    my @answers;
    for my $r (@requests) {
        my $answer = $t->request(host => 'first.example', @$r);
        my $status = $answer->status;
        push @answers, $status =~ /^[34]/ ? $status : $answer->body;
    }
    $t->wait_for(sub { ($t->log('all.log') =~ tr/\n//) >= @requests });
    my $log = $t->log('all.log');
    my $port = $t->port(80);
    # Heads and pages of errors have other sizes.
    $log =~ s/\bbytes_sent=\d+/bytes_sent=N/g;
    $log =~ s/^(status=[34]\d\d\|.*?body_bytes_sent)=\d+/$1=N/gm;
    $log =~ s/^(status=[34]\d\d\|.*?content_length)=\d+/$1=N/gm;
    $log =~ s/:$port/:PORT/g;
    s/:$port\b/:PORT/g for @answers;
    $log{ $t->{name} } = $log;
    return @answers;
}

$veil->config($config);
$veil->run;
my @mine = answers($veil);

like($mine[1], qr/^args=x=1&y=2&x=3\n/m, 'args');
like($mine[1], qr/^arg_x=1$/m, 'the first of two arguments');
like($mine[2], qr/^arg_x=upper$/m, 'arguments in any case');
like($mine[5], qr/^uri=\/all\/a\/c$/m, 'uri is decoded');
like($mine[5], qr/^request_uri=\/all\/%61\/\/b\/\.\.\/c\?q=%20$/m,
    'request_uri is not');
like($mine[7], qr/^content_length=5$/m, 'content_length');
like($mine[8], qr/^host=second\.example$/m, 'host');
like($mine[8], qr/^server_name=first\.example$/m, 'server_name');
like($mine[11], qr/^http_x_forwarded_for=1\.2\.3\.4, 5\.6\.7\.8$/m,
    'fields are joined');
like($mine[13], qr/^remote_user=u$/m, 'remote_user');
like($mine[17], qr/^request_filename=\Q$dir\E\/html\/sub$/m,
    'request_filename below an alias');
like($mine[18], qr/^realpath_root=\Q$dir\E\/real$/m, 'realpath_root');
is($mine[19], 'x=set set 4096 ? x=set', 'args and limit_rate are set');

if ($nginx) {
    $nginx->config($config);
    $nginx->run;
    my @theirs = answers($nginx);
    for my $i (0 .. $#requests) {
        my %r = @{ $requests[$i] };
        is($mine[$i], $theirs[$i], "as nginx: " . ($r{method} // 'GET')
                . " $r{path} @{ $r{headers} // [] }");
    }
    is_deeply([ split /\n/, $log{veil} ], [ split /\n/, $log{nginx} ],
        'as nginx: of responses');
}

# nginx has forgotten by then that the connection goes on.
$veil->request(path => '/file.txt', host => 'first.example', keepalive => 1);
$veil->wait_for(sub { $veil->log('all.log') =~ /keep-alive/ });
like($veil->log('all.log'),
    qr/\|sent_http_connection=keep-alive\|sent_http_keep_alive=timeout=20\|/,
    'of a connection that goes on');

# --- those whose values differ from request to request

my $t = Test::Veil->new(name => 'others');
$t->config(<<'EOC');
http {
    access_log off;
    server {
        listen %%PORT_80%%;
        location / {
            return 200 "$request_id $request_id|$msec|$time_local|$time_iso8601|$pid|$connection|$connection_requests|$connection_time|$request_time|$remote_port|$server_port|$hostname|$nginx_version|$tcpinfo_rtt|$tcpinfo_rttvar|$tcpinfo_snd_cwnd|$tcpinfo_rcv_space|$binary_remote_addr|$request_port|$is_request_port|$client_ip|$veil_version";
        }
        route /docs { return 200 "$path"; }
    }
}
EOC
$t->run;
my $c = $t->connect;
my $before = time;
my @v = map { [ split /\|/, $c->request(path => '/')->body ] } 1, 2;
my $after = time + 1;

like($v[0][0], qr/^([0-9a-f]{32}) \1$/, 'request_id stays in a request');
isnt($v[0][0], $v[1][0], 'and is another in the next');
# The server may have looked at its clock when the last event came.
ok($v[0][1] > $before - 10 && $v[0][1] < $after, 'msec')
    or diag("$before $v[0][1] $after");
like($v[0][1], qr/^\d+\.\d{3}$/, 'msec has three decimals');
like($v[0][2], qr{^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$},
    'time_local');
like($v[0][3], qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/,
    'time_iso8601');
is($v[0][4], ($t->worker_pids)[0], 'pid');
is($v[0][5], $v[1][5], 'connection');
is("$v[0][6] $v[1][6]", '1 2', 'connection_requests');
like($v[1][7], qr/^\d+\.\d{3}$/, 'connection_time');
like($v[1][8], qr/^\d+\.\d{3}$/, 'request_time');
cmp_ok($v[1][8], '<=', $after - $before + 1, 'request_time is no more');
is($v[0][9], $c->local_port, 'remote_port');
is($v[0][10], $t->port(80), 'server_port');
require Sys::Hostname;
is($v[0][11], lc Sys::Hostname::hostname(), 'hostname');
like($v[0][12], qr/^\d+\.\d+\.\d+$/, 'nginx_version');
like($v[0][$_], qr/^\d+$/, 'tcpinfo') for 13 .. 16;
is($v[0][17], "\x7f\0\0\1", 'binary_remote_addr');
is("$v[0][18]$v[0][19]", '', 'request_port: none given');
is($v[0][20], '127.0.0.1', 'client_ip');
like($v[0][21], qr/^\d/, 'veil_version');
my @p = split /\|/, $c->request(path => '/', host => 'a:81')->body;
is("$p[19]$p[18]", ':81', 'request_port: given');
is($t->get('/docs/a/b?c')->body, 'a/b', 'path in a route');

done_testing;
