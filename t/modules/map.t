#!/usr/bin/perl

# map: every kind of key, in which order they are tried, and mistakes.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/map/)->config(<<'EOC');
http {
    map $arg_a $plain {
        default   fallback;
        one       1;
        Two       2;
        ""        empty;
        \default  word;
        \~tilde   tilde;
        "a b"     blank;
        var       "x$arg_b/${request_method}";
        ~^re(\d+)$  digits-$1;
        ~*^CASE(?<part>.*)$  part-$part;
        ~^re      other;
    }
    map $arg_h $host_map {
        hostnames;
        default          none;
        example.com      exact;
        *.example.com    head;
        *.b.example.com  longer;
        www.example.*    tail;
        .dot.example     dot;
        ~\.example\.com$ regex;
    }
    map "$arg_a:$arg_b" $several { "1:2" both; }
    map $several $chained { both yes; default no; }
    map $uri $lasting { ~^/loc/(.*)$ first-$1; ~^/then/(.*)$ second-$1; }
    map $uri $changing {
        volatile;
        ~^/loc/(.*)$ first-$1;
        ~^/then/(.*)$ second-$1;
    }
    map $arg_a $included {
        include %%TESTDIR%%/map.inc;
        default none;
    }
    map $arg_a $looped { default $looped; }
    map_hash_max_size 2048;
    map_hash_bucket_size 64;

    server {
        listen %%PORT_80%%;
        location /plain { return 200 $plain; }
        location /host { return 200 $host_map; }
        location /several { return 200 "$several,$chained"; }
        location /included { return 200 $included; }
        location /loop { return 200 "[$looped]"; }
        location /loc/ {
            set $x $lasting;
            set $y $changing;
            rewrite ^/loc/(.*)$ /then/$1;
        }
        location /then/ { return 200 "$x $lasting, $y $changing"; }
    }
}
EOC
$t->write_file('map.inc', "in file;\nout other;\n");
$t->run;

sub body { return $t->get(@_)->body }

is(body('/plain?a=one'), 1, 'a key');
is(body('/plain?a=ONE'), 1, 'whatever its case');
is(body('/plain?a=two'), 2, 'also in the file');
is(body('/plain?a=three'), 'fallback', 'default');
is(body('/plain'), 'empty', 'the empty key');
is(body('/plain?a=default'), 'word', 'a word escaped');
is(body('/plain?a=~tilde'), 'tilde', 'a tilde escaped');
is(body('/plain?a=var&b=y'), 'xy/GET', 'a value with variables');
is(body('/plain?a=re17'), 'digits-17', 'a regex with a capture');
is(body('/plain?a=rest'), 'other', 'the next regex');
is(body('/plain?a=RE1'), 'fallback', 'regexes look at case');
is(body('/plain?a=caseX'), 'part-X', 'or not, and name their groups');

is(body('/host?h=example.com'), 'exact', 'hostnames: exact');
is(body('/host?h=example.com.'), 'exact', 'hostnames: a dot at the end');
is(body('/host?h=a.example.com'), 'head', 'hostnames: *.x');
is(body('/host?h=A.B.example.com'), 'longer', 'hostnames: the longest *.x');
is(body('/host?h=b.example.com'), 'head', 'hostnames: *.x is not x');
is(body('/host?h=www.example.org'), 'tail', 'hostnames: x.*');
is(body('/host?h=www.example.co.uk'), 'tail', 'hostnames: x.* and more');
is(body('/host?h=www.example.com'), 'head', 'hostnames: *.x before x.*');
is(body('/host?h=dot.example'), 'dot', 'hostnames: .x is x');
is(body('/host?h=a.dot.example'), 'dot', 'hostnames: .x is *.x');
is(body('/host?h=other'), 'none', 'hostnames: default');

is(body('/several?a=1&b=2'), 'both,yes', 'several variables, and a chain');
is(body('/several?a=1'), ',no', 'without a default it is empty');
is(body('/included?a=in'), 'file', 'include');
is(body('/included?a=out'), 'other', 'include, all of it');
is(body('/loc/z'), 'first-z first-z, first-z second-z',
    'a value is kept, unless the map is volatile');
is(body('/loop'), '[]', 'a map of itself is empty');
like($t->log, qr/cycle while evaluating variable "looped"/, 'and is logged');

for (
    [ 'map $arg_a b { }', qr/invalid variable name "b"/ ],
    [ 'map $arg_a { }', qr/invalid number of arguments in "map"/ ],
    [ 'map $arg_a $b { a 1; a 2; }', qr/conflicting parameter "a"/ ],
    [ 'map $arg_a $b { default 1; default 2; }', qr/two defaults/ ],
    [ 'map $arg_a $b { a 1 2; }', qr/a key and a value/ ],
    [ 'map $arg_a $b { host; }', qr/host.*hostnames/s ],
    [ 'map $arg_a $b { ~( 1; }', qr/pcre2_compile\(\) failed/ ],
    [ 'map $arg_a $b { a $nobody; }', qr/unknown "nobody" variable/ ],
    [ 'map $nobody $b { a 1; }', qr/unknown "nobody" variable/ ],
    [ 'map $arg_a $uri { a 1; }', qr/the duplicate "uri" variable/ ],
    )
{
    my ($text, $re) = @$_;
    my $bad = Test::Veil->new->config("http { $text }");
    my ($status, $out) = $bad->command('-t');
    isnt($status, 0, "refused: $text");
    like($out, $re, "says why: $text");
}

done_testing;
