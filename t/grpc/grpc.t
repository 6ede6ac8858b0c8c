#!/usr/bin/perl

# Calls of gRPC through veil: a client and a server that others have written
# (python3-grpcio), over h2c and TLS on either side.

use strict;
use warnings;
use lib 't/lib';
use IPC::Open2;
use POSIX ();
use Test::Veil;
use Test::Veil::Guard;
use Test::Veil::TLS;
use Test::Veil::TLSUpstream;

my $t = Test::Veil->new(timeout => 60)->has('v2')->has('grpc');
my ($python) = grep { system("$_ -c 'import grpc' 2> /dev/null") == 0 }
    qw(python3 /usr/bin/python3);
$t->skip_all('no python3-grpcio') unless $python;
my $dir = $t->testdir;
my $tls = Test::Veil::TLS->new($t);
$tls->ca('root');
$tls->cert('site', ca => 'root', names => ['localhost']);
$tls->cert('server', ca => 'root', names => ['localhost']);

# Returns its process and its ports.
sub grpc_server {
    my ($port, $log) = (@_, 0, 'server.log');
    pipe(my $from, my $to) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        close $from;
        open STDOUT, '>&', $to or POSIX::_exit(126);
        Test::Veil::Guard::in_child();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>>', "$dir/grpc_server.err" or POSIX::_exit(126);
        { exec $python, 't/lib/grpc_server.py', "$dir/$log", $port,
            "$dir/server.key", "$dir/server.crt" };
        POSIX::_exit(127);
    }
    Test::Veil::Guard::add($pid);
    close $to;
    my $ports = readline $from;
    return ($pid, split ' ', $ports);
}

# A client that is under way: lines are read from it and written to it.
sub client {
    my ($port, $ca, @words) = @_;
    my $pid = open2(my $out, my $in, $python, 't/lib/grpc_client.py',
        $t->port($port), $ca, @words);
    Test::Veil::Guard::add($pid);
    return { pid => $pid, in => $in, out => $out };
}

sub next_line {
    my ($client) = @_;
    my $line = readline $client->{out};
    return unless defined $line;
    chomp $line;
    return $line;
}

# Its checks up to the line that is told, or all; returns how many there were.
sub checks {
    my ($client, $name, $until) = @_;
    my $n = 0;
    while (defined(my $line = next_line($client))) {
        return $n if defined $until && $line eq "!$until";
        my ($what, $result) = split /\t/, $line, 2;
        is($result, 'ok', "$name: $what");
        $n++;
    }
    waitpid $client->{pid}, 0;
    Test::Veil::Guard::remove($client->{pid});
    fail("$name: told \"$until\"") if defined $until;
    return $n;
}

sub go_on {
    my ($client) = @_;
    syswrite $client->{in}, "\n";
}

my $ca = "$dir/root.crt";
sub group { # (name, port, ca, group, words)
    my ($name, @rest) = @_;
    ok(checks(client(@rest), $name), "$name: there were checks");
}

my ($server, $plain, $secure) = grpc_server();
my ($second, $second_plain) = grpc_server(0, 'second.log');
my $no_alpn = Test::Veil::TLSUpstream->new($tls,
    backend => $t->upstream(old => handler => sub { $_[0]->reply }),
    cert => 'server');
$t->upstream(no_alpn => $no_alpn);
$t->set(PLAIN => "127.0.0.1:$plain", SECURE => "127.0.0.1:$secure",
    SECOND => "127.0.0.1:$second_plain");
my $config = <<'EOC';
http {
    log_format calls '$uri $status $grpc_status "$grpc_internal_trailers"';
    access_log %%TESTDIR%%/calls.log calls;
    client_max_body_size 64m;
    http2 on;
    grpc_ssl_trusted_certificate %%TESTDIR%%/root.crt;
    grpc_ssl_name localhost;
    upstream both {
        server %%PORT_81%%;
        server %%PLAIN%% backup;
    }
    server {
        listen %%PORT_80%%;
        listen %%PORT_443%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        server_name localhost;
        location / {
            grpc_pass grpc://%%PLAIN%%;
            grpc_set_header Set-By "the proxy";
        }
        location /gone/ { grpc_pass %%PORT_81%%; }
        location /moved/ { return 403; }
        location /denied/ {
            deny all;
            grpc_pass %%PLAIN%%;
        }
        location /paged/ {
            error_page 502 = /page;
            grpc_pass %%PORT_81%%;
        }
        location /no-alpn/ { grpc_pass grpcs://%%UPSTREAM_no_alpn%%; }
        location /variable/ {
            set $there %%PLAIN%%;
            rewrite ^/variable(/.*) $1 break;
            grpc_pass grpc://$there;
        }
        location = /page {
            default_type application/grpc;
            add_header grpc-status 5 always;
            add_header grpc-message "from the page" always;
            return 204;
        }
    }
    server {
        listen %%PORT_82%%;
        listen %%PORT_444%% ssl;
        ssl_certificate %%TESTDIR%%/site.crt;
        ssl_certificate_key %%TESTDIR%%/site.key;
        location / {
            grpc_pass grpcs://%%SECURE%%;
            grpc_set_header Set-By "the proxy";
        }
    }
    server {
        listen %%PORT_83%%;
        location / {
            grpc_max_timeout 300ms;
            grpc_pass %%SECOND%%;
        }
    }
    server {
        listen %%PORT_84%%;
        location / { grpc_pass both; }
    }
    server {
        listen %%PORT_85%%;
        keepalive_requests 10;
        location / { grpc_pass %%SECOND%%; }
    }
    server {
        listen %%PORT_86%%;
        location / { grpc_pass %%SECOND%%; grpc_read_timeout 300ms; }
    }
}
EOC
$t->config($config)->run;

group('h2c to h2c', 80, '-', 'basic');
group('TLS to h2c', 443, $ca, 'basic');
group('h2c to TLS', 82, '-', 'basic');
group('TLS to TLS', 444, $ca, 'basic');

group('metadata', 80, '-', 'metadata');
group('metadata over TLS', 444, $ca, 'metadata');
group('statuses', 80, '-', 'statuses');
group('big messages', 80, '-', 'big');
group('big messages over TLS', 444, $ca, 'big');
group('many', 80, '-', 'many');
group('many over TLS', 444, $ca, 'many');
group('deadline', 80, '-', 'deadline');
group('deadlines that pass', 83, '-', 'expire');
$t->wait_for(sub { $t->read_file('second.log') =~ /stream has ended/ });
like($t->read_file('second.log'), qr/hang has ended/,
    'a call past its deadline is cancelled at the server');
like($t->read_file('second.log'), qr/stream has ended/, 'so is a stream');
group('a body of which nothing was sent', 84, '-', 'basic');

done_testing();
