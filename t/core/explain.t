#!/usr/bin/perl

# "veil --explain" says what would become of a request; here each is sent as
# well, to a server with the same configuration, and must become of it what
# was said: the status, all fields of the response, and of what is proxied the
# URI that comes out.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

use JSON::PP qw/decode_json/;

my $t = Test::Veil->new->has(qw/proxy headers rewrite access try_files map/);
my $dir = $t->testdir;
$t->skip_exit_check('its log has errors only');
my $u = Test::Veil::Upstream->new(handler => sub {
    my ($conn, $req) = @_;
    $conn->reply(body => "$req->{line}\n" . join '',
        sort map { lc($_->[0]) . ": $_->[1]\n" } @{ $req->{headers} });
});
$t->upstream('a', $u);

$t->write_file('html/index.html', 'index');
$t->write_file('html/a.txt', 'a text');
$t->write_file('html/page.html', 'a page');
$t->write_file('html/dir/index.html', 'index of dir');
$t->write_file('html/dir/b.txt', 'b');
$t->write_file('html/errors/404.html', 'not here');
mkdir "$dir/html/empty";

my $tls = $t->has_feature('ssl') ? Test::Veil::TLS->new($t) : undef;
if ($tls) {
    $tls->ca('root');
    $tls->cert('site', ca => 'root', names => ['a.example']);
}
my $secure = !$tls ? '' : <<'EOT';
    server {
        listen %%PORT_443%% ssl;
        server_name a.example;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        add_header Strict-Transport-Security max-age=60 always;
        location / { return 200 "$scheme $host $server_port"; }
        location /to { return 301 /there; }
    }
EOT

$t->config(<<'EOC' =~ s/%%SECURE%%/$secure/r);
error_log %%TESTDIR%%/error.log debug;
http {
    types { text/html html; text/plain txt; }
    default_type application/octet-stream;
    map $arg_m $mapped { default none; one 1; ~^re(.*)$ "re $1"; }
    upstream backend { server %%UPSTREAM_a%%; }
    proxy_set_header X-From $remote_addr;
    add_header X-Http 1;

    server {
        listen %%PORT_80%% default_server;
        server_name one.example *.one.example;
        root %%TESTDIR%%/html;
        set $trail s;
        if ($arg_secret) { return 403 "secret\n"; }
        rewrite ^/moved/(.*)$ /$1 last;
        rewrite ^/gone/(.*)$ http://other.example/$1?x=1 permanent;
        error_page 404 /errors/404.html;
        error_page 418 =200 @tea;

        location / { try_files $uri $uri/ =404; }
        location = /exact { add_header X-Exact 1; return 200 "exact"; }
        location /prefix { return 200 "$uri $args $mapped $trail"; }
        location ^~ /static/ { return 204; }
        location ~ \.txt$ { add_header X-Kind text always; expires 1h; }
        location ~* \.(PNG|gif)$ { return 302 /images$request_uri; }
        location /files/ { alias %%TESTDIR%%/html/; }
        location /dirs { index nothing.html index.html; alias %%TESTDIR%%/html; }
        location /nested/ {
            add_header X-Outer 1;
            location /nested/in { return 200 "inner"; }
            location ~ \.x$ { return 200 "by regex"; }
        }
        location /if {
            set $v 0;
            if ($arg_a = 1) { set $v 1; add_header X-A 1; }
            if ($arg_b ~ ^x(.)$) { return 200 "b $1 $v"; }
            if ($request_method = POST) { return 405; }
            if (-f $request_filename) { return 200 "file"; }
            return 200 "v $v";
        }
        location /old/ {
            set $trail "${trail}o";
            rewrite ^/old/last/(.*)$ /prefix/$1?n=1 last;
            rewrite ^/old/break/(.*)$ /dir/$1 break;
            rewrite ^/old/out/(.*)$ /new/$1? redirect;
        }
        location /loop { rewrite ^ /loop last; }
        location /deny/ { deny all; }
        location /some/ { deny 127.0.0.2; allow 127.0.0.1; deny all; try_files /a.txt =404; }
        location /any/ { satisfy any; allow 127.0.0.3; deny all; try_files /a.txt =404; }
        location /except/ { limit_except GET { deny all; } try_files /a.txt =404; }
        location /tea { return 418; }
        location @tea { return 200 "tea of $uri"; }
        location /internal/ { internal; return 200 "never"; }
        location /errors/ { internal; }
        location /body/ { client_max_body_size 10; proxy_pass http://backend; }
        location /b/ { proxy_pass http://backend; }
        location /front/ {
            proxy_pass http://backend/b/;
            proxy_set_header X-Extra "$arg_e";
            proxy_set_header X-From "$remote_addr!";
            add_header X-Front "$uri" always;
        }
        location /frontx { proxy_pass http://backend/y/; }
        location /var/ { set $where backend; proxy_pass http://$where/fixed?of=$arg_q; }
        location /rwb/ { rewrite ^/rwb/(.*)$ /z/$1 break; proxy_pass http://backend/b/; }
        location /try { try_files /none$uri @back; }
        location @back { proxy_pass http://backend; }
        location /close { return 444; }
        location /redir/ { redirect https://new.example/base status=308 preserve_path; }
        route /r { proxy_pass http://backend/rr; }
        location /slash/ { proxy_pass http://backend; }
        location /removed { remove_header Server; return 200 "x"; }
        location /rate { limit_rate 5k; try_files /a.txt =404; }
    }
    server {
        listen %%PORT_80%%;
        server_name two.example "~^(?<sub>\w+)\.two\.example$" .dot.example tail.*;
        location / { return 200 "two $sub $host $server_name"; }
        location /abs { server_name_in_redirect on; return 301 /there; }
    }
%%SECURE%%
}
EOC

$t->run;

my ($port, $tls_port) = map { $t->port($_) } 80, 443;

sub explained {
    my ($request, %o) = @_;
    my @args = ('--explain', $request, '--json');
    push @args, '--header', $_ for @{ $o{fields} // [] };
    push @args, '--client', $o{client} if $o{client};
    my ($status, $out) = $t->command(@args);
    my $said = eval { decode_json($out) };
    is($status, 0, "$request: explained") or diag($out);
    $said or diag("no JSON: $out");
    return $said // {};
}

# Fields that are about a connection, the time, or a body that is not read.
sub fields {
    my (@pairs) = @_;
    my %skip = map { $_ => 1 } qw/date connection transfer-encoding/;
    return [ sort map { lc($_->[0]) . ': '
        . (lc $_->[0] eq 'expires' ? 'soon' : $_->[1]) }
        grep { !$skip{ lc $_->[0] } } @pairs ];
}

sub same {
    my ($request, %o) = @_;
    my ($method, $path) = $request =~ /^(?:(\w+) )?(.*)/;
    $method //= 'GET';
    my $host = $o{host} // 'one.example';
    my $said = explained("$method http://$host:$port$path", %o);
    my %headers = map { /^([^:]+): ?(.*)/ } @{ $o{fields} // [] };
    my $res = $t->request(method => $method, path => $path, port => 80,
        host => "$host:$port", headers => [ %headers ],
        ($o{body} ? (body => $o{body}) : ()));
    my $shown = "$method $host$path";
    if ($o{closed}) {
        is($said->{response}, undef, "$shown: no response is said");
        is("$res", '', '... nor sent');
        return $said;
    }
    if (($said->{target}{kind} // '') eq 'proxy') {
        my ($line) = $res->body =~ /\A\w+ (\S+)/;
        is($said->{target}{uri}, $line, "$shown: goes out as $line");
        my @said = sort map { lc } grep { /^x-/i }
            split /\n/, $said->{target}{head};
        my @sent = grep { /^x-/ } split /\n/, $res->body;
        is_deeply([ map { s/ $//r } @said ], [ map { lc s/ $//r } @sent ],
            '... with these fields');
        my @added = grep { $_->[0] =~ /^x-/i } @{ $said->{response}{fields} };
        is_deeply(fields(@added), fields(map { [ $_, $res->header($_) ] }
            grep { /^x-/i } $res->header_names), '... and these come back');
        return $said;
    }
    is($said->{response}{status}, $res->status, "$shown: " . $res->status)
        or diag(explain_text($said));
    is_deeply(fields(@{ $said->{response}{fields} }),
        fields(map { my $n = $_; map { [ $n, $_ ] } $res->headers_all($n) }
            uniq($res->header_names)), '... and its fields');
    return $said;
}

sub uniq { my %seen; return grep { !$seen{ lc $_ }++ } @_ }
sub explain_text { return JSON::PP->new->pretty->encode($_[0]) }

for my $path (qw{/ /a.txt /page.html /none /none.txt /dir /dir/ /dir/b.txt
    /empty/ /exact /exact/ /prefix /prefix/x?y=1&m=rez /prefix?m=one /static/x.txt
    /x.png /x.GIF /files/a.txt /files/dir /files/../a.txt /files/none /dirs/
    /dirs/dir/ /nested/in/x /nested/y.x /nested/z /if /if?a=1 /if?b=xy
    /if?a=1&b=xy /old/last/q?z=2 /old/break/b.txt /old/out/x?y /old/none
    /loop /deny/ /some/ /any/ /except/ /tea /internal/x /errors/404.html
    /moved/a.txt /moved/exact /gone/x?y /redir/a/b?c /redir /slash /removed
    /rate /?secret=1 /%61.txt /a%20b /dir%2fb.txt //a.txt /x/./../a.txt
    /b/x?y=1 /b/%41%2f?z /front/x?e=5 /front/ /frontx/q /var/x?q=7 /rwb/k
    /try/it?x /r/a/b?c /r /body/x /bad%zz})
{
    same($path);
}
same('HEAD /a.txt');
same('POST /a.txt', body => 'x', fields => ['Content-Length: 1']);
same('POST /if');
same('DELETE /a.txt');
same('POST /except/', fields => ['Content-Length: 0']);
same('POST /body/x', fields => ['Content-Length: 11'], body => 'x' x 11);
same('TRACE /a.txt');
same('/a.txt', fields => ['Range: bytes=0-1']);
same('/a.txt', fields => ['Range: bytes=90-']);
same('/a.txt', fields => ['If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT']);
same('/close', closed => 1);
for my $host (qw/one.example x.one.example ONE.example two.example a.two.example
    dot.example x.dot.example tail.org unknown.example/)
{
    same('/prefix/h', host => $host);
}
same('/abs', host => 'two.example');

# Who asks.

my $said = explained("http://one.example:$port/any/", client => '127.0.0.3');
is($said->{response}{status}, 200, 'a client that is let in');
$said = explained("http://one.example:$port/some/", client => '127.0.0.2');
is($said->{response}{status}, 403, 'a client that is not');
my ($access) = grep { $_->{module} eq 'access' } @{ $said->{steps} };
like($access->{notes}[0]{text}, qr/"deny 127\.0\.0\.2" is the first rule/,
    'and by which rule');
ok($access->{notes}[0]{line}, 'in which line');

# What is said beside the answer.

$said = explained("http://x.one.example:$port/old/last/q");
like($said->{server}{why}, qr/fits "\*\.one\.example"/, 'why this server');
is($said->{location}{name}, '/prefix', 'the location at the end');
my @notes = map { @{ $_->{notes} } } @{ $said->{steps} };
ok((grep { $_->{about} eq 'rewrite' && $_->{text} eq
    '"/old/last/q" becomes "/prefix/q?n=1"' } @notes), 'a rewrite');
ok((grep { $_->{about} eq 'location' && $_->{text} =~ /does not match/ } @notes),
    'locations that were considered');
ok((grep { $_->{about} eq 'set' && $_->{text} eq '$trail is "so"' } @notes),
    'a variable');
$said = explained("http://one.example:$port/none.txt");
ok((grep { m{"\Q$dir\E/html/none\.txt" failed} } @{ $said->{log} }),
    'what the error log would have');
is(scalar(grep { /back end/ } @{ $said->{log} }), 0, 'and nothing of the loop');
is($said->{limits}{client_max_body_size}, 10485760, 'limits');
is(scalar $t->read_file('error.log') =~ /explain/, '',
    'nothing was logged for it');
my $before = $u->connections;
explained("http://one.example:$port/b/x");
is($u->connections, $before, 'nothing was sent for it');
$said = explained("POST http://one.example:$port/b/x",
    fields => ['Content-Length: 5', 'X-Mine: 1']);
like($said->{target}{head}, qr/^x-mine: 1$/mi, 'a field that is passed on');
ok((grep { /body would be sent/ } @{ $said->{unknown} }), 'the body is not');

# TLS, and addresses.

SKIP: {
    skip 'no TLS', 1 unless $tls;
    $said = explained("https://a.example:$tls_port/");
    is($said->{response}{status}, 200, 'TLS');
    my %f = map { lc($_->[0]) => $_->[1] } @{ $said->{response}{fields} };
    is($f{'strict-transport-security'}, 'max-age=60', 'its field');
    $said = explained("https://a.example:$tls_port/to");
    %f = map { lc($_->[0]) => $_->[1] } @{ $said->{response}{fields} };
    is($f{location}, "https://a.example:$tls_port/there", 'an absolute URL');
    $said = explained("http://a.example:$tls_port/");
    is($said->{response}{status}, 400, 'plain HTTP to a port with TLS');
    my ($status, $out) = $t->command('--explain', "https://one.example:$port/");
    is($status, 1, 'TLS to a port without');
}
my ($status, $out) = $t->command('--explain', 'http://one.example:1/');
is($status, 1, 'a port without a listener');
like($out, qr/no listener is for the URL's port; there are: 127\.0\.0\.1:/,
    'and which there are');
($status, $out) = $t->command('--explain', 'nonsense');
is($status, 1, 'no URL');
($status, $out) = $t->command('--explain', '/exact', '--listen',
    "127.0.0.1:$port");
is($status, 0, 'a path, and the listener');
like($out, qr/^response 200$/m, 'as text');
like($out, qr{^location /exact, exact  \(\S+:\d+\)$}m, 'with the location');
like($out, qr/^  X-Exact: 1$/m, 'and the fields');

$t->write_file('bad.conf', "http {\n    nonsense on;\n}\n");
($status, $out) = $t->command('--explain', '/', '-c', "$dir/bad.conf");
is($status, 1, 'an invalid configuration');
like($out, qr{\A\S+/bad\.conf:2:5: error: unknown directive "nonsense".*\n +nonsense on;\n},
    'is told as a compiler would');
($status, $out) = $t->command('--explain', '/', '-c', "$dir/none.conf", '--json');
is($status, 1, 'none');
is($out =~ tr/\n//, 1, 'is told in one line of JSON');
like(decode_json($out)->{findings}[0]{message}, qr/none\.conf" failed/, 'with the reason');

done_testing;
