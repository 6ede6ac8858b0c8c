#!/usr/bin/perl

# What "veil --lint" finds: for each rule configurations that it is about, at
# the line marked "# here", and others that look alike and are well.  A finding
# that is wrong is worse than one that is missing.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;
use Test::Veil::TLS;

use Cwd qw/abs_path/;
use File::Copy qw/copy/;
use JSON::PP qw/decode_json/;

my $t = Test::Veil->new->has(qw/proxy headers rewrite access try_files/);
my $dir = $t->testdir;
mkdir "$dir/logs";
mkdir "$dir/html";
my $run = 0;

sub lint {
    my ($text, @args) = @_;
    $t->config("http {\n$text\n}\n");
    my ($status, $out) = $t->command('--lint', '--json', '--notes', @args);
    my $said = eval { decode_json($out) };
    $said or diag("no JSON: $out");
    return ($status, $said // { findings => [] });
}

sub codes {
    my ($said) = @_;
    return map { $_->{code} } @{ $said->{findings} };
}

# The configuration has a server around it unless it begins with one.

sub wrap {
    my ($text) = @_;
    return $text if $text =~ /^http:/;
    return "server {\nlisten %%PORT_80%%;\n$text\n}";
}

sub bad {
    my ($code, $text, %o) = @_;
    my $wrapped = wrap($text) =~ s/^http://r;
    my ($status, $said) = lint($wrapped);
    my ($shown) = $text =~ /([^\n]*# here)/;
    my @lines = split /\n/, "http {\n$wrapped";
    my ($want) = grep { $lines[$_ - 1] =~ /# here/ } 1 .. @lines;
    my @found = grep { $_->{code} eq $code } @{ $said->{findings} };
    is(scalar @found, 1, "$code: " . ($shown // $text))
        or diag(join ', ', codes($said));
    return unless @found;
    is($found[0]{line}, $want, "$code: in its line");
    like($found[0]{advice} // '', qr/\w/, "$code: says what to do");
    like($found[0]{message}, $o{says}, "$code: says what happens") if $o{says};
    my $severity = $o{severity} // 'warning';
    is($found[0]{severity}, $severity, "$code: is $severity");
    is($status, $severity eq 'error' ? 1 : 0, "$code: the exit status")
        unless grep { $_->{severity} eq 'error' && $_->{code} ne $code }
            @{ $said->{findings} };
}

sub good {
    my ($code, $text) = @_;
    my ($status, $said) = lint(wrap($text) =~ s/^http://r);
    is_deeply([ grep { $_ eq $code || $_ eq 'L001' } codes($said) ], [],
        "not $code: " . ($text =~ s/\s+/ /gr))
        or diag(map { "$_->{code}: $_->{message}\n" } @{ $said->{findings} });
}

# --- inheritance

bad('L101', "add_header X-A 1; add_header X-B 1;\nlocation / {\n"
    . "add_header X-C 1; # here\n}", says => qr/lack "X-A" and "X-B" of line 4/);
bad('L101', "http:add_header X-A 1; server {\nlisten %%PORT_80%%;\n"
    . "add_header X-B 1; # here\n}");
bad('L101', "location / { add_header X-A 1; if (\$arg_a) {\n"
    . "add_header X-C 1; # here\n} }");
bad('L101', "add_trailer X-A 1; location / {\nadd_trailer X-B 1; # here\n}",
    says => qr/"add_trailer"/);
good('L101', "add_header X-A 1; location / { expires 1d; }");
good('L101', "add_header X-A 1;\nlocation / { add_header x-a 2; }");
good('L101', "add_header X-A 1;\nlocation / { add_header X-B 2; "
    . "add_header_inherit merge; }");
good('L101', "add_header_inherit merge; add_header X-A 1;\n"
    . "location / { add_header X-B 2; }");
good('L101', "add_header X-A 1;\nlocation / { add_header X-B 2; "
    . "add_header_inherit off; }");

bad('L102', "proxy_set_header Host \$host; location / {\n"
    . "proxy_set_header X-A 1; # here\nproxy_pass http://127.0.0.1:9; }",
    says => qr/without "Host" of line 4/);
good('L102', "proxy_set_header Host \$host; location / {\n"
    . "proxy_set_header X-A 1; proxy_set_header Host \$host;\n"
    . "proxy_pass http://127.0.0.1:9; }");

# --- files

bad('L201', "location /img {\nalias $dir/; # here\n}", severity => 'error',
    says => qr{"/img\.\./x" is answered with "\Q$dir\E/\.\./x"});
bad('L201', "location ^~ /img {\nalias $dir/; # here\n}",
    severity => 'error');
good('L201', "location /img/ { alias $dir/; }");
good('L201', "location = /img { alias $dir/; }");
good('L201', "location /img { alias $dir; }");
good('L201', "route /img { alias $dir/; }");
good('L201', "location ~ ^/img/(.*) { alias $dir/\$1; }");

bad('L202', "location /img/ {\nalias $dir; # here\n}");
good('L202', "location /img/ { alias $dir/; }");
good('L202', "location /img/ { alias $dir\$uri; }");
bad('L203', "location ~ ^/img/ {\nalias $dir/; # here\n}");
good('L203', "location ~ ^/img/(.*)\$ { alias $dir/\$1; }");

bad('L204', "location / { root $dir; }\nlocation ~ \\.png\$ { # here\n"
    . "expires 1d; }", says => qr/default "html"/);
good('L204', "root $dir; location / { root $dir/html; }\n"
    . "location /a { expires 1d; }");
good('L204', "location / { root $dir; }\n"
    . "location /a { proxy_pass http://127.0.0.1:9; }\n"
    . "location /b { return 204; }\nlocation /c { alias $dir; }");
good('L204', "location / { root $dir; location ~ \\.png\$ { expires 1d; } }");

bad('L205', "location / {\ntry_files \$uri \$uri/; # here\n}");
good('L205', "location / { try_files \$uri \$uri/ =404; }");
good('L205', "location / { try_files \$uri /index.html; }");
bad('L206', "location / {\ntry_files \$uri \@app; # here\n}",
    severity => 'error');
bad('L206', "location / {\nerror_page 404 \@app; # here\n}",
    severity => 'error');
good('L206', "location / { try_files \$uri \@app; } "
    . "location \@app { return 204; }");
good('L206', "http:error_page 404 \@app; server { listen %%PORT_80%%; "
    . "location \@app { return 204; } }");
bad('L207', "location / {\ntry_files \$uri =404 /index.html; # here\n}");
bad('L207', "location / {\ntry_files \@app /index.html; # here\n}");
bad('L208', "location / {\ntry_files index.html =404; # here\n}");
bad('L208', "location / {\ntry_files \$uri index.html; # here\n}");
good('L208', "location / { try_files \$uri /a.html \$uri/index.html =404; }");

# --- rewrite

bad('L301', "location / {\nif (\$arg_a) { # here\nexpires 1d; } }",
    severity => 'note', says => qr/"expires" holds instead/);
good('L301', "location / { if (\$arg_a) { return 204; } "
    . "if (\$arg_b) { set \$x 1; rewrite ^ /x break; } }");
good('L301', "location / { if (\$request_method = OPTIONS) { "
    . "add_header X-A 1; return 204; } }");
bad('L302', "location / { if (\$arg_a) { expires 1d; }\n"
    . "if (\$arg_b) { # here\nadd_header X-B 1; } }", says => qr/"expires"/);
good('L302', "location / { if (\$arg_a) { return 204; } "
    . "if (\$arg_b) { add_header X-B 1; } }");
bad('L303', "location / { return 204;\nset \$x 1; # here\n}");
bad('L303', "location / { break;\nrewrite ^ /x; # here\n}");
good('L303', "location / { set \$x 1; if (\$arg_a) { return 204; } "
    . "rewrite ^ /x break; return 200 \$x; add_header X-A 1; }");
bad('L304', "location / {\nreturn 301 https://a.example\$uri; # here\n}");
bad('L304', "\nrewrite ^ https://a.example\${uri} permanent; # here\n");
bad('L304', "location / {\nreturn https://a.example\$document_uri; # here\n}");
good('L304', "location / { return 301 https://a.example\$request_uri; }");
good('L304', "location / { return 200 \$uri; }");
good('L304', "location / { rewrite ^ /x\$uri; }");
good('L304', "set \$urix 1; location / { return 301 /\$urix; }");

# --- locations

bad('L401', "location ~ \\.php\$ { return 204; }\n"
    . "location ~ \\.php\$ { # here\nreturn 205; }");
bad('L401', "location ~* \\.php\$ { return 204; }\n"
    . "location ~ \\.php\$ { # here\nreturn 205; }");
good('L401', "location ~ \\.php\$ { return 204; }\n"
    . "location ~* \\.php\$ { return 205; }");
for my $all ('/', '.', '.*', '^/', '^', '^/.*$', '^(.*)$', '^/(?<x>.*)') {
    bad('L402', "location ~ $all { return 204; }\n"
        . "location ~ \\.php\$ { # here\nreturn 205; }");
}
for my $some ('^/$', '/$', '^/a', '\.', '^/.+', '.html$', '^/[^/]*$') {
    good('L402', "location ~ $some { return 204; }\n"
        . "location ~ \\.php\$ { return 205; }");
}
bad('L403', "location ~ .* { return 204; }\nlocation /a { # here\n"
    . "return 205; }");
good('L403', "location ~ .* { return 204; }\nlocation ^~ /a { return 205; } "
    . "location = /b { return 205; } route /c { return 205; }");
good('L403', "location ~ .* { return 204; }\nlocation /a { "
    . "location = /a/b { return 205; } }");
bad('L404', "location ^~ /a/ { return 204; }\n"
    . "location ~ ^/a/.*\\.js\$ { # here\nreturn 205; }");
bad('L404', "route /a { return 204; }\nlocation ~ ^/a/b\\.js\$ { # here\n"
    . "return 205; }");
good('L404', "location ^~ /a/ { return 204; }\n"
    . "location ~ ^/a { return 205; }");
good('L404', "location ^~ /a/ { return 204; }\n"
    . "location ~* ^/a/x { return 205; }");
good('L404', "location ^~ /a/ { return 204; } location /a/b { return 206; }\n"
    . "location ~ ^/a/.*\\.js\$ { return 205; }");
good('L404', "location ^~ /a/ { return 204; }\n"
    . "location ~ ^/a/?x|^/b { return 205; }");
good('L404', "location ^~ /a/ { return 204; }\n"
    . "location ~ ^/a/?x { return 205; }");
good('L404', "route /a { return 204; }\nlocation ~ ^/ab/c { return 205; }");
bad('L405', "\nlocation img { # here\nreturn 204; }");
bad('L405', "\nlocation = img { # here\nreturn 204; }");
bad('L405', "\nlocation ~ ^img { # here\nreturn 204; }");
good('L405', "location ~ img { return 204; } location /img { return 204; } "
    . "location ~ ^.img { return 204; }");
for my $name ('/a//b', '/a/../b', '/a%20b', '/a?b=c', '/a/..') {
    bad('L406', "\nlocation $name { # here\nreturn 204; }");
}
good('L406', "location /a/..b { return 204; } location /%zz { return 204; } "
    . "location ~ //+ { return 204; }");
good('L406', "merge_slashes off; location /a//b { return 204; }");
bad('L407', "\nlocation ~ ^/a\\?id=(\\d+) { # here\nreturn 204; }");
good('L407', "location ~ ^/a/?id=1 { return 204; }");
bad('L408', "\nlocation ~ .php\$ { # here\nreturn 204; }",
    severity => 'note');
good('L408', "location ~ \\.php\$ { return 204; } "
    . "location ~ ^/x/.*\\.js { return 204; } location ~ [.]js { return 204; }");

# --- servers

my $listen = 'listen %%PORT_80%%;';

# The load says of each name that it is taken; the rule, what comes of it.
bad('L501', "http:server { $listen server_name a.example; }\n"
    . "server { # here\n$listen server_name a.example; }",
    says => qr/server in line 2/);
good('L501', "http:server { $listen server_name a.example; }\n"
    . "server { $listen server_name b.example; }\n"
    . "server { $listen server_name *.example; }\n"
    . "server { $listen server_name ~^x\$; }");
good('L501', "http:server { $listen server_name a.example; }\n"
    . "server { listen %%PORT_81%%; server_name a.example; }");
bad('L502', "http:server { $listen server_name a.example; }\n"
    . "server { # here\n$listen }");
good('L502', "http:server { $listen }\n"
    . "server { $listen server_name a.example; }");
good('L502', "http:server { $listen server_name a.example; }\n"
    . "server { listen %%PORT_80%% default_server; }");
bad('L503', "http:server {\n$listen # here\nserver_name a.example; }\n"
    . "server { $listen server_name b.example; }", severity => 'note');
good('L503', "http:server { listen %%PORT_80%% default_server; "
    . "server_name a.example; }\nserver { $listen server_name b.example; }");
good('L503', "http:server { $listen server_name _; }\n"
    . "server { $listen server_name b.example; }");
bad('L504', "\nserver_name ~^a\\.example; # here\n", says => qr/at its end/);
bad('L504', "\nserver_name ~a\\.example\$; # here\n",
    says => qr/at its beginning/);
bad('L504', "\nserver_name ~^www.example\$; # here\n",
    says => qr/any character/);
good('L504', "server_name ~^(?<u>.+)\\.a\\.example\$ www.example;");
bad('L505', "\nserver_name a.example:80; # here\n");
bad('L505', "\nserver_name a.example,b.example; # here\n");
bad('L505', "\nserver_name \$host; # here\n");
good('L505', "server_name a.example *.b.example c.* .d.example _ \"\";");

# --- proxying

my $to = 'http://127.0.0.1:9';
bad('L701', "location /a/ {\nproxy_pass $to/v1; # here\n}",
    says => qr{"/a/b" goes out as "/v1b"});
bad('L701', "location /a {\nproxy_pass $to/; # here\n}",
    says => qr{"/a/b" goes out as "//b"});
good('L701', "location /a/ { proxy_pass $to/; } location /b { proxy_pass $to; }"
    . " location /c { proxy_pass $to/d; } location = /e { proxy_pass $to/; }"
    . " location / { proxy_pass $to/; } route /f { proxy_pass $to/; }");
bad('L702', "location /a/ {\nproxy_pass $to/v1/; # here\n}",
    severity => 'note', says => qr{"/a/b" goes out as "/v1/b"});
good('L702', "location / { proxy_pass $to/; } location /a/ { proxy_pass $to; }");
bad('L703', "set \$b 127.0.0.1; location / {\nproxy_pass http://\$b/v1/; # here\n}",
    says => qr{every request goes out as "/v1/"});
good('L703', "set \$b 127.0.0.1; location / { proxy_pass http://\$b; } "
    . "location /a { proxy_pass http://\$b/v1\$request_uri; }");
bad('L704', "set \$b 127.0.0.1; location / {\nproxy_pass http://\$b\$uri; # here\n}");
good('L704', "set \$b 127.0.0.1; location / { "
    . "proxy_pass http://\$b\$request_uri; }");
for my $open ('$arg_to', '$http_x_to', '$http_host', '$cookie_to:80', '$host') {
    bad('L705', "location / {\nproxy_pass http://$open; # here\n}");
}
good('L705', "http:map \$host \$b { default 127.0.0.1; } "
    . "server { $listen location / { proxy_pass http://\$b; } }");
good('L705', "http:server { $listen return 444; }\nserver { $listen "
    . "server_name a.example; location / { proxy_pass http://\$host:9; } }");
good('L705', "location / { internal; proxy_pass http://\$http_x_to; }");
bad('L706', "location /a/ { rewrite ^/a/b /c break;\n"
    . "proxy_pass $to/v1/; # here\n}");
good('L706', "location /a/ { rewrite ^/a/b /c break; proxy_pass $to; }");
good('L706', "location /a/ { rewrite ^/a/b /c last; proxy_pass $to/v1/; }");

# --- access

bad('L801', "location / { deny all;\nallow 10.0.0.1; # here\n}");
good('L801', "location / { allow 10.0.0.1; deny all; }");
bad('L802', "location / {\nallow 10.0.0.0/8; # here\n}");
good('L802', "location / { allow 10.0.0.0/8; deny all; } "
    . "location /a { allow all; } "
    . "location /b { satisfy any; allow 10.0.0.0/8; }");
bad('L803', "location / { deny 10.0.0.1;\nreturn 301 /x; # here\n}");
good('L803', "location / { deny all; return 404; }");
good('L803', "location / { deny all; if (\$arg_a) { return 301 /x; } }");

# --- a comment silences a rule, by code or name, and no other

sub silenced {
    my ($comment) = @_;
    my (undef, $said) = lint(wrap("location /img {\n$comment\n}"));
    return join ' ', codes($said);
}

is(silenced("alias $dir/;"), 'L201', 'said');
is(silenced("alias $dir/; # lint-ignore: L201"), '', 'not by its code');
is(silenced("# lint-ignore: L100, alias-traversal\nalias $dir/;"), '',
    'not by its name, in the line before');
is(silenced("alias $dir/; # lint-ignore: L202"), 'L201', 'another code');
is(silenced("alias $dir/; # L201"), 'L201', 'a comment of another kind');

# --- the exit status, the text, an invalid file

my ($status, $said) = lint(wrap("location / {\nallow 10.0.0.1;\n}"),
    '--strict');
is($status, 1, 'strict: warnings fail');
($status, $said) = lint(wrap("location ~ .js\$ { return 204; }"), '--strict');
is($status, 0, 'strict: notes do not');
($status, $said) = lint(wrap("location / { nonsense on; }"));
is($status, 1, 'invalid: fails');
is(join(' ', codes($said)), 'L001', 'invalid: says why, and nothing else');
is($said->{errors}, 1, 'invalid: counted');

$t->config("http {\nserver {\nlisten %%PORT_80%%;\nlocation /img { alias $dir/; }\n"
    . "location ~ .js\$ { return 204; } } }\n");
($status, my $out) = $t->command('--lint');
my ($caret) = $out =~ /^ {4}(location.*\n {4} *\^)$/m;
like($out, qr{^\S+/veil\.conf:4:23: error: .* \[L201 alias-traversal\]$}m,
    'text: a place and a code');
is(index((split /\n/, $caret // '')[1] // '', '^'), 4 + 22,
    'text: the caret is under it');
like($out, qr{^1 error, 0 warnings, 1 note in }m, 'text: counts');
unlike($out, qr/location-bare-dot/, 'text: no notes unless asked for');

# --- certificates

SKIP: {
    skip 'no TLS', 1 unless $t->has_feature('ssl');
    my $tls = Test::Veil::TLS->new($t);
    $tls->ca('root');
    $tls->cert('site', ca => 'root', names => [ 'a.example', '*.b.example' ]);
    $tls->cert('old', ca => 'root', names => ['a.example'], expired => 1);
    $tls->cert('new', ca => 'root', names => ['a.example'], future => 1);
    my $ssl = sub {
        my ($cert, $rest) = @_;
        return "http:server {\nlisten %%PORT_80%% ssl;\n"
            . "ssl_certificate $dir/$cert.crt; ssl_certificate_key $dir/$cert.key;"
            . "\n$rest\n}";
    };
    chmod 0600, "$dir/$_.key" for qw/site old new/;
    my $mark = sub { $_[0] =~ s/\.key;$/.key; # here/mr };

    bad('L602', $ssl->('site', 'server_name a.example c.example; # here'),
        says => qr/"c\.example"/);
    bad('L602', $ssl->('site', 'server_name x.y.b.example; # here'));
    good('L602', $ssl->('site', 'server_name a.example x.b.example '
        . '*.b.example _ localhost ~^x$;'));
    bad('L603', $mark->($ssl->('old', 'server_name a.example;')),
        severity => 'error', says => qr/ended \d+ days? ago/);
    bad('L605', $mark->($ssl->('new', 'server_name a.example;')),
        severity => 'error');
    good('L603', $ssl->('site', 'server_name a.example;'));
    (undef, $said) = lint($ssl->('site', '') =~ s/^http://r,
        '--expires-in', '30000d');
    is(join(' ', codes($said)), 'L604', 'L604: as asked');
    good('L604', $ssl->('site', ''));
    (undef, $said) = lint($ssl->('old', '') =~ s/^http://r);
    is(join(' ', codes($said)), 'L603', 'once: not by the load, too');
    chmod 0644, "$dir/site.key";
    bad('L606', $mark->($ssl->('site', '')), says => qr/mode 0644/);
    chmod 0640, "$dir/site.key";
    good('L606', $ssl->('site', ''));
    bad('L601', $ssl->('site', '') . "\nserver {\n"
        . "listen %%PORT_80%% ssl; # here\nserver_name c.example; }");
    bad('L506', $ssl->('site', '') . "\nserver {\n"
        . "listen %%PORT_80%%; # here\nserver_name c.example; }");
    bad('L607', $ssl->('site', "ssl_protocols TLSv1.1 TLSv1.2; # here"));
    good('L607', $ssl->('site', "ssl_protocols TLSv1.2 TLSv1.3;"));
}

# --- what is shipped is well

for my $file (glob('conf/*.conf'), glob('examples/*/*.conf')) {
    open my $f, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$f> };
    close $f;
    $t->config($text);
    copy('conf/mime.types', "$dir/mime.types") or die "mime.types: $!\n";
    ($status, $out) = $t->command('--lint', '--json');
    is($status, 0, "$file: no errors");
    $said = eval { decode_json($out) } // { findings => [] };
    is_deeply([ map { "$_->{code}: $_->{message}" }
        grep { $_->{message} !~ /does not exist$/ } @{ $said->{findings} } ],
        [], "$file: and nothing else");
}

# A configuration made to use everything has traps; these are all real.

my ($compat) = do { local (@ARGV, $/) = 't/compat/nginx.t'; <> }
    =~ /^my \$config = <<'EOC';\n(.*?)^EOC$/ms;
mkdir "$dir/html/dir";
$compat =~ s/%%DOCROOT%%/$dir\/html/g;
$compat =~ s/%%BACKEND%%/127.0.0.1:9/g;
$t->config($compat);
($status, $out) = $t->command('--lint', '--json');
is($status, 0, 't/compat/nginx.t: no errors');
$said = eval { decode_json($out) } // { findings => [] };
my %found;
$found{ $_->{code} }++ for @{ $said->{findings} };
is_deeply(\%found, { L101 => 5, L102 => 1, L304 => 1, L701 => 2, L802 => 1 },
    't/compat/nginx.t: what is one, and nothing else') or diag($out);

# --- each rule is in the documentation

my $page = do { local (@ARGV, $/) = 'docs/lint.md'; <> };
my %page = map { $_ => 1 } $page =~ /\b(L\d{3})\b/g;
my %rules;
for my $source (glob('src/*/*.c src/*/*/*.c')) {
    my $text = do { local (@ARGV, $/) = $source; <> };
    while ($text =~ /veil_lint_rule_t \w+ = \{\s*"(L\d+)",\s*"([\w-]+)"/g) {
        ok(!$rules{$1}++, "$1 is one rule");
        like($page, qr/\| $1 \| `\Q$2\E` \|/, "$1 $2 is documented");
    }
}
is_deeply([ sort grep { !$rules{$_} } keys %page ], [],
    'no rule is documented that is not there');

done_testing;
