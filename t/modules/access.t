#!/usr/bin/perl

# allow and deny, allowed_ips and denied_ips, and how they go together.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/access/)->config(<<'EOC');
http {
    server {
        listen %%PORT_80%%;
        listen unix:%%TESTDIR%%/sock;
        root %%TESTDIR%%/html;

        location /deny {
            deny all;
            location /deny/inner { }
            location /deny/open { allow all; }
        }
        location /first { allow 127.0.0.0/8; deny 127.0.0.1; }
        location /second { deny 127.0.0.1; allow all; }
        location /other { deny 10.0.0.0/8; deny 2001:db8::/32; }
        location /unix { allow unix:; deny all; }
        location /notunix { deny unix:; }
        location /ips/allowed { allowed_ips 127.0.0.0/8 10.0.0.1; }
        location /ips/others { allowed_ips 10.0.0.0/8; }
        location /ips/denied { allowed_ips 127.0.0.0/8; denied_ips 127.0.0.1; }
        location /ips/order { denied_ips 127.0.0.1; allowed_ips 127.0.0.1; }
        location /ips/more { denied_ips 10.0.0.1; denied_ips 127.0.0.1; }
        location /ips/more/replaced { denied_ips 10.0.0.1; }
        location /both { allowed_ips 127.0.0.1; deny all; }
        location /both2 { denied_ips 127.0.0.1; allow all; satisfy any; }
        location /redirect { deny all; redirect http://other.example/; }
        location /return { deny all; return 200 "before access"; }
        location /except {
            limit_except GET { deny all; }
        }
        location /except/open {
            deny all;
            limit_except POST { allow all; }
        }
        location /any { satisfy any; allow 10.0.0.1; deny all; }
        location /page {
            deny all;
            error_page 403 /403.html;
        }
        location = /403.html { allow all; }
    }
    server {
        listen %%PORT_81%%;
        root %%TESTDIR%%/html;
        deny all;
        location / { }
        location /in { allow all; }
    }
}
EOC
$t->write_file("html/$_", 'a file') for qw{
    deny/inner/x deny/open/x first second other unix notunix ips/allowed
    ips/others ips/denied ips/order ips/more/replaced/x both both2 except
    in any page};
$t->write_file('html/403.html', 'go away');
$t->write_file('html/ips/more/x', '');
$t->run;

sub status { return $t->get(@_)->status }

is(status('/deny'), 403, 'deny all');
is(status('/deny/inner/x'), 403, 'is inherited');
is(status('/deny/open/x'), 200, 'unless there are own rules');
is(status('/first'), 200, 'the first rule that matches decides');
is(status('/second'), 403, 'here it is the other one');
is(status('/other'), 200, 'no rule matches');
is(status('/unix'), 403, 'allow unix: is not for TCP');
is(status('/notunix'), 200, 'deny unix: neither');
is(status('/unix', unix => $t->testdir . '/sock'), 200, 'but for these');
is(status('/notunix', unix => $t->testdir . '/sock'), 403, 'and denies');
is(status('/second', unix => $t->testdir . '/sock'), 200,
    'a unix socket has no IP address');

is(status('/ips/allowed'), 200, 'allowed_ips');
is(status('/ips/others'), 403, 'allowed_ips denies all others');
is(status('/ips/denied'), 403, 'denied_ips wins');
is(status('/ips/order'), 403, 'whatever the order');
is(status('/ips/more/x'), 403, 'denied_ips accumulates');
is(status('/ips/more/replaced/x'), 200, 'in one block, not over blocks');
is(status('/both'), 403, 'both pairs must agree');
is(status('/both2'), 403, 'both pairs must agree, also with satisfy any');

is(status('/redirect'), 403, 'access comes before redirect');
is($t->get('/return')->body, 'before access', 'but after return, as in nginx');

is(status('/except'), 200, 'limit_except: GET');
is($t->head('/except')->status, 200, 'limit_except: GET means HEAD');
is($t->post('/except', 'x')->status, 403, 'limit_except: others');
is($t->request(method => 'DELETE', path => '/except')->status, 403,
    'limit_except: DELETE');
is($t->post('/except/open', 'x')->status, 403,
    'limit_except: its rules are not for the method named');

is(status('/any'), 403, 'satisfy any: nobody allows');
my $r = $t->get('/page');
is($r->status, 403, 'error_page for 403');
is($r->body, 'go away', 'has its page');

is(status('/', port => 81), 403, 'in a server');
is(status('/in', port => 81), 200, 'a location has its own');

like($t->log, qr/access forbidden by rule, client: 127\.0\.0\.1, server: ,/,
    'the log says why');

# Mistakes.

for (
    [ 'deny 10.0.0.0/33;', qr/invalid address "10\.0\.0\.0\/33"/ ],
    [ 'allow localhost;', qr/invalid address "localhost"/ ],
    [ 'allowed_ips 127.0.0.1 nobody;', qr/invalid address "nobody"/ ],
    [ 'deny;', qr/invalid number of arguments in "deny"/ ])
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config(
        "http { server { listen %%PORT_80%%; $text } }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}
my $warn = Test::Veil->new->config(
    'http { server { listen %%PORT_80%%; deny 10.0.0.1/8; } }');
my ($status, $out) = $warn->command('-t');
is($status, 0, 'low address bits are no error');
like($out, qr/\[warn\].*low address bits of "10\.0\.0\.1\/8" are meaningless/,
    'but worth a word');

done_testing;
