#!/usr/bin/perl

# Mistakes that people make, and what they are told: the place, what is wrong,
# and where there is one, what was probably meant.  Nothing else: one mistake
# is one message.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new;
my $n = 0;

# wrong($text, $message, $line, $column): $message begins the first line;
# "S" in the text stands for a server's beginning.

sub wrong {
    my ($text, $want, $line, $column, %o) = @_;
    my $shown = $text =~ s/\n/\\n/gr;
    $text =~ s/\bS\{/http { server { listen %%PORT_80%%; /;
    $t->config($text, bare => 1);
    my ($status, $out) = $t->command('-t');
    isnt($status, 0, "refused: $shown");
    my @said = map { /\[(?:emerg|alert|crit)\] \S+: (.*)/ ? $1 : () }
        split /\n/, $out;
    like($said[0] // '', $want, "  what it says");
    if (defined $line) {
        my ($l, $c) = ($said[0] // '') =~ /veil\.conf:(\d+):(\d+)/;
        is(($l // '') . ':' . ($c // ''), "$line:$column", '  and where');
    }
    my @messages = grep { !/^ {4}/ } @said;
    is(scalar @messages, $o{messages} // 1, '  in one message')
        or diag($out);
}

# Semicolons, braces, quotes.

wrong("events { }\nhttp {\n    default_type text/html\n    root /x;\n}\n",
    qr/^directive "default_type" is not terminated by ";" in /, 3, 27);
wrong("http { server { listen 80; }\n",
    qr/^unexpected end of file, expecting "}" in /, 2, 1);
wrong("http { server { } } }\n", qr/^unexpected "}" in /, 1, 21);
wrong("http { { } }\n", qr/^unexpected "\{" in /, 1, 8);
wrong("http { server { server_name a;; } }\n", qr/^unexpected ";" in /, 1, 31);
wrong("http {\n    root \"/x;\n}\n",
    qr/^unexpected end of file, probably missing terminating """/, 2, 10);
wrong("http { types { text/html } }\n",
    qr/^directive "text\/html" is not terminated by ";"/, 1, 25);
wrong("http { root /x }\n",
    qr/^directive "root" is not terminated by ";"/, 1, 15);
wrong("http root;\n", qr/^directive "http" has no opening "\{"/, 1, 1);

# Words.

wrong("http { server { lisen 80; } }\n",
    qr/^unknown directive "lisen" in .* \(did you mean "listen"\?\)$/, 1, 17);
wrong("http { server { nonsense_of_all_kinds 80; } }\n",
    qr/^unknown directive "nonsense_of_all_kinds" in [^()]*$/, 1, 17);
wrong("http { server { auth_basic off; } }\n",
    qr/^unknown directive "auth_basic" in \S+ \(nginx has it, this version of /,
    1, 17);
wrong("http {\n    auth_basic x;\n}\n", qr/^unknown directive "auth_basic" [^?]*$/,
    2, 5);
wrong("S{ set \$a \$http3; } }\n",
    qr/^unknown "http3" variable, nginx has it, this version of /);
wrong("listen 80;\n",
    qr/^"listen" directive is not allowed here in .* allowed in: server\)$/,
    1, 1);
wrong("http { location / { } }\n",
    qr/"location" directive is not allowed here .*: server, location\)$/,
    1, 8);
wrong("http { root a b; }\n",
    qr/^invalid number of arguments in "root" .* \(syntax: root path;\)$/,
    1, 8);
wrong("http { root; }\n", qr/^invalid number of arguments in "root"/, 1, 8);
wrong("http { root /a; root /b; }\n",
    qr/^"root" directive is duplicate in /, 1, 17);
wrong("http { } http { }\n", qr/^"http" directive is duplicate in /, 1, 10);

# Values.

wrong("http { sendfile yes; }\n",
    qr/^invalid value "yes" in "sendfile" directive, it must be "on" or "off"/,
    1, 17);
wrong("http { client_max_body_size 10x; }\n",
    qr/^invalid size "10x" in "client_max_body_size" directive in /, 1, 29);
wrong("http { send_timeout soon; }\n",
    qr/^invalid time "soon" in "send_timeout" directive in /, 1, 21);
wrong("http { keepalive_timeout soon; }\n",
    qr/^invalid time "soon" in "keepalive_timeout" directive in /, 1, 26);
wrong("http { keepalive_requests -5; }\n",
    qr/^invalid number "-5" in "keepalive_requests" directive in /, 1, 27);
wrong("worker_processes many;\n",
    qr/^invalid value "many" .*, it must be a number or "auto" in /, 1, 18);
wrong("http { satisfy both; }\n",
    qr/^invalid value "both" .*, it must be "all" or "any" in /, 1, 16);
wrong("events { use kqueue; }\n",
    qr/^invalid event type "kqueue" in .* \(there are: auto, /, 1, 14);
wrong("error_log stderr verbose;\n", qr/^invalid log level "verbose"/, 1, 18);
wrong("user nobody-is-there;\n", qr/^there is no user "nobody-is-there"/,
    1, 6);
wrong("http { open_file_cache inactive=5s; }\n",
    qr/^"open_file_cache" must have the "max" parameter/, 1, 8);
wrong("http { resolver dns.example; }\n",
    qr/^a resolver is an IP address, .*, not "dns\.example"/, 1, 17);

# Servers.

wrong("http { server { listen 999999; } }\n", qr/^invalid address "999999"/,
    1, 24);
wrong("http { server { listen no.such.host:80; } }\n",
    qr/^"listen" needs an address, not the name "no\.such\.host"/, 1, 24);
wrong("http { server { listen 127.0.0.1:80 reuse_port; } }\n",
    qr/^invalid value "reuse_port" in "listen" .*did you mean "reuseport"/,
    1, 37);
wrong("http { server { listen 127.0.0.1:80; listen 127.0.0.1:80; } }\n",
    qr/^a duplicate listen 127\.0\.0\.1:80/, 1, 45);
wrong("http {\n server { listen 127.0.0.1:80 default_server; }\n"
    . " server { listen 127.0.0.1:80 default_server; }\n}\n",
    qr/^a duplicate default server for "127\.0\.0\.1:80"/, 3, 18);
wrong("http {\n server { listen 127.0.0.1:80 backlog=1; }\n"
    . " server { listen 127.0.0.1:80 backlog=2; }\n}\n",
    qr/^duplicate listen options for "127\.0\.0\.1:80"/, 3, 18);
wrong("http { server { listen unix:; } }\n", qr/^invalid address "unix:"/,
    1, 24);
wrong("http { server { server_name *.*.c; } }\n",
    qr/^invalid server name or wildcard "\*\.\*\.c"/, 1, 29);
wrong("http { server { server_name ~(; } }\n", qr/^pcre2_compile\(\) failed/,
    1, 29);

# Zones that no machine has memory for; sizes that are no sizes.

wrong("http {\n upstream u {\n  server 127.0.0.1:1;\n  zone u 60g;\n }\n}\n",
    qr/^zone\ "u"\ would\ have\ 61440\ MB,\ but\ this\ 
        (?:machine|server's\ control\ group)\ has\ \d+\ MB\ of\ memory\ and
        \ swap:\ is\ the\ unit\ of\ its\ size\ right\?/x, 4, 3) if memory() < 60 << 30;
wrong("http { upstream u { server 127.0.0.1:1; zone u 65g; } }\n",
    qr/^zone "u" is too large: 64g is the most/, 1, 41);
wrong("http { upstream u { server 127.0.0.1:1;\nzone u 17179869185g; } }\n",
    qr/^invalid (?:value|size) "17179869185g"/, 2, 8);
wrong("S{ ssl_session_cache builtin:2000000000; } }\n",
    qr/^a cache of 2000000000 sessions would have 1464843 MB, but there are/,
    1, 42) if memory() < 1400 << 30 && $t->has_feature('ssl');

sub memory {
    open my $in, '<', '/proc/meminfo' or die "/proc/meminfo: $!\n";
    my $kb = 0;
    /^(?:MemTotal|SwapTotal):\s+(\d+) kB/ and $kb += $1 while <$in>;
    return $kb * 1024;
}

# Locations, and what stands in them.

wrong("S{ location /a { }\nlocation /a { } } }\n",
    qr/^duplicate location "\/a"/, 2, 10);
wrong("S{\nlocation ~ ^/(a { } } }\n",
    qr/^pcre2_compile\(\) failed: missing closing parenthesis in "\^\/\(a"/,
    2, 12);
wrong("S{\nlocation \@a { alias /x; } } }\n",
    qr/^"alias" cannot be used inside the named location/, 2, 15);
wrong("S{\nerror_page 200 /x; } }\n",
    qr/^value "200" must be between 300 and 599, and not 499/, 2, 12);
wrong("S{\nerror_page 404; } }\n",
    qr/^invalid number of arguments in "error_page"/, 2, 1);
wrong("S{\nreturn 200 \$nothing; } }\n",
    qr/^unknown "nothing" variable in /, 2, 1);
wrong("S{\nreturn 200 \$reqest_uri; } }\n",
    qr/^unknown "reqest_uri" variable, did you mean "request_uri"\?/, 2, 1);
wrong("S{\nset \$mine_own 1; return 200 \$mine_onw; } }\n",
    qr/^unknown "mine_onw" variable, did you mean "mine_own"\?/, 2, 18);
wrong("S{\nreturn 200 \$; } }\n", qr/^invalid variable name/, 2, 1);
wrong("S{\nreturn abc; } }\n", qr/^invalid return code "abc"/, 2, 8);
wrong("S{\nset foo bar; } }\n", qr/^invalid variable name "foo"/, 2, 5);
wrong("S{\nset \$host bar; } }\n",
    qr/^the duplicate "host" variable: it is built in/, 2, 1);
wrong("S{\nif (\$host = b { } } }\n", qr/^a condition ends with "\)"/, 2, 13);
wrong("S{\nif \$host = b { } } }\n",
    qr/^a condition begins with "\(", as in "if \(\$a = b\)"/, 2, 4);
wrong("S{\nif (\$host == b) { } } }\n", qr/^invalid value "==" in "if"/,
    2, 11);
wrong("S{\nrewrite ^/a /b lst; } }\n",
    qr/^invalid value "lst" in "rewrite" .*did you mean "last"/, 2, 16);
wrong("S{\naccess_log /x none_of_these; } }\n",
    qr/^unknown log format "none_of_these"/, 2, 15);
wrong("http {\nlog_format main \"\$nobody\";\naccess_log off; }\n",
    qr/^unknown "nobody" variable/, 2, 1);
wrong("S{\nlocation / { try_files a; } } }\n",
    qr/^invalid number of arguments in "try_files"/, 2, 14);
wrong("S{\nlocation / { internal on; } } }\n",
    qr/^invalid number of arguments in "internal" .*\(syntax: internal;\)/,
    2, 14);

# Files.

wrong("include $0.none;\n", qr/^open\(\) ".*" failed \(2: No such file/,
    1, 9);
$t->write_file('inc.conf', "http {\n    sendfile maybe;\n}\n");
$t->config("include inc.conf;\n", bare => 1);
my ($status, $out) = $t->command('-t');
isnt($status, 0, 'a mistake in an included file');
like($out, qr/invalid value "maybe" .* in \S*inc\.conf:2:14/,
    'is named with that file');
$t->write_file('loop.conf', "include loop.conf;\n");
wrong("include loop.conf;\n", qr/include/, undef, undef);

# A route is named, with its server.

wrong("S{ server_name example.com; route /api/ { proxy_pass invalid-url; } } }",
    qr/^Invalid proxy URL for route 'example\.com:\/api\/': invalid-url /);
wrong("S{ location /api/ { proxy_pass invalid-url; } } }",
    qr/^invalid URL prefix in "invalid-url" /);

# Paths that lead nowhere are a warning, as they may be there later, and as
# nginx does not ask.

$t->write_file('page.html', 'a page');
my $dir = $t->testdir;
for my $case (
    [ "root $dir/none;", qr/"$dir\/none", .* does not exist in \S+:3:1$/m ],
    [ "root $dir/page.html;", qr/page\.html", .* is not a directory in / ],
    [ "location /a { alias $dir/none/; }", qr/none\/", .* does not exist in / ],
    [ "route /r { alias $dir/none; }", qr/none", .* does not exist in / ],
    [ "location /a { alias $dir/page.html; }" ],
    [ "root $dir/;" ],
    [ "root /;" ],
    [ "root $dir/\$host;" ],
    )
{
    my ($text, $says) = @$case;
    $t->config("http {\naccess_log off; server { listen %%PORT_80%%;\n"
        . "$text\n} }\n");
    ($status, $out) = $t->command('-t');
    is($status, 0, "accepted: $text");
    if (defined $says) {
        like($out, $says, '  with a warning');
    } else {
        unlike($out, qr/where files are/, '  without a warning');
    }
}

# Several at once, each with its line and a caret below the word.

$t->config("http {\n    sendfile maybe;\n    root;\n    lsten 80;\n}\n",
    bare => 1);
($status, $out) = $t->command('-t');
is(scalar(() = $out =~ /veil\.conf:\d+:\d+/g), 3, 'all mistakes are found');
like($out, qr/:\s{5}    sendfile maybe;\n.*:\s{5}             \^\n/,
    'the line, and a caret below the word');

# -T shows what was read, included files as well; -t -q says nothing.

$t->write_file('good.inc', "# included\nsendfile on;\n");
$t->config("# top\nhttp { include good.inc; access_log off; }\n"
    . "pid %%TESTDIR%%/veil.pid;\n", bare => 1);
($status, $out) = $t->command('-T');
is($status, 0, '-T');
like($out, qr/^# configuration file \S*veil\.conf:\n# top\nhttp/m,
    'shows the file');
like($out, qr/^# configuration file \S*good\.inc:\n# included\nsendfile on;/m,
    'and those included');
like($out, qr/veil\.conf test is successful/, 'and that it is well');
($status, $out) = $t->command('-t', '-q');
is($status . $out, '0', '-t -q says nothing');
($status, $out) = $t->command('-t');
like($out, qr/syntax is ok\n.*test is successful\n\z/s, '-t says so');

done_testing;
