#!/usr/bin/perl

# server_name: which server, and which default; compared with nginx.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $config = <<'EOC';
http {
    server_names_hash_bucket_size 128;
    server { listen %%PORT_80%%; server_name first; return 200 "first $server_name"; }
    server { listen %%PORT_80%%; server_name a.example b.example; return 200 "ab $server_name $host"; }
    server { listen %%PORT_80%%; server_name *.example; return 200 "head $server_name"; }
    server { listen %%PORT_80%%; server_name *.long.example; return 200 longhead; }
    server { listen %%PORT_80%%; server_name www.*; return 200 tail; }
    server { listen %%PORT_80%%; server_name www.long.*; return 200 longtail; }
    server { listen %%PORT_80%%; server_name .dot.test; return 200 dot; }
    server { listen %%PORT_80%%; server_name "~^(?<who>[a-z]+)\d+\.re\.test$"; return 200 "re $who $1 $server_name"; }
    server { listen %%PORT_80%%; server_name ~^x.*\.re\.test$; return 200 re2; }
    server { listen %%PORT_80%%; server_name ""; return 200 empty; }
    server { listen %%PORT_80%%; server_name 127.0.0.2 [::1]; return 200 address; }
    server { listen %%PORT_80%%; server_name UPPER.test; return 200 upper; }
    server { listen %%PORT_80%%; server_name _; return 200 underscore; }

    server { listen %%PORT_81%%; server_name c; return 200 c; }
    server { listen %%PORT_81%% default_server; server_name d; return 200 d; }
    server { listen %%PORT_81%%; listen %%PORT_80%%; server_name both; return 200 both; }
}
EOC

my @hosts = (
    qw{first a.example b.example A.Example a.example:80 a.example:8080
    a.example. x.example x.y.example example long.example x.long.example
    x.y.long.example www.org www.example www.example.org www.long.org
    www.long.co.uk www www. dot.test x.dot.test xdot.test joe17.re.test
    JOE17.re.test x1.re.test xx.re.test re.test 127.0.0.1 127.0.0.2 [::1]
    [::1]:80 [::2] upper.test _ unknown unknown.example.com localhost
    both c a_b.example -.example a-b.example xn--a.example 1.example
    a..example .example}, undef);

sub ask {
    my ($t, $port, $host) = @_;
    my $r = $t->request(path => '/', port => $port,
        defined $host ? (host => $host) : (host => undef, version => '1.0'));
    my $body = $r->body;
    $body =~ s/<.*//s;
    return $r->status . ' ' . $body;
}

sub name { return defined $_[0] ? $_[0] : 'no Host' }

my $t = Test::Veil->new->config($config)->run;
my %got = map { my $p = $_; map { ("$p " . name($_) => ask($t, $p, $_)) }
    @hosts } 80, 81;

my %want = (
    '80 first' => '200 first first', '80 unknown' => '200 first first',
    '80 b.example' => '200 ab a.example b.example',
    '80 A.Example' => '200 ab a.example a.example',
    '80 x.y.example' => '200 head *.example',
    '80 x.long.example' => '200 longhead', '80 www.org' => '200 tail',
    '80 www.example' => '200 head *.example',
    '80 www.long.org' => '200 longtail',
    '80 dot.test' => '200 dot', '80 x.dot.test' => '200 dot',
    '80 upper.test' => '200 upper', '80 no Host' => '200 empty',
    '80 xx.re.test' => '200 re2', '80 both' => '200 both',
    '81 c' => '200 c', '81 both' => '200 both', '81 first' => '200 d',
    '81 no Host' => '200 d',
);
is($got{$_}, $want{$_}, $_) for sort keys %want;

SKIP: {
    my ($bin) = grep { -x } $ENV{TEST_NGINX_BINARY} // '',
        map {"$_/nginx"} split(/:/, $ENV{PATH}), '/usr/sbin';
    skip 'no nginx to compare with', 2 * @hosts unless $bin;
    my $n = Test::Veil->new(binary => 'nginx')->config($config)->run;
    for my $port (80, 81) {
        is($got{"$port " . name($_)}, ask($n, $port, $_),
            "as nginx: $port " . name($_)) for @hosts;
    }
}

# A name twice is worth a word; the first server has it.

my $twice = Test::Veil->new->config(<<'EOC');
http {
    server { listen %%PORT_80%%; server_name x; return 200 one; }
    server { listen %%PORT_80%%; server_name x; return 200 two; }
}
EOC
my ($status, $out) = $twice->command('-t');
is($status, 0, 'a name twice is no error');
like($out, qr/\[warn\].*conflicting server name "x".*veil\.conf:\d+:/,
    'but said');
$twice->run;
is($twice->get('/', host => 'x')->body, 'one', 'and the first has it');

# Ten thousand names.

my $many = join ' ', map {"host$_.example"} 1 .. 10_000;
my $big = Test::Veil->new->config(<<"EOC")->run;
http {
    server { listen %%PORT_80%%; return 200 default; }
    server { listen %%PORT_80%%; server_name $many; return 200 \$host; }
}
EOC
is($big->get('/', host => "host$_.example")->body, "host$_.example",
    "one of 10000: $_") for 1, 5000, 10000;
is($big->get('/', host => 'host10001.example')->body, 'default', 'none');

done_testing;
