#!/usr/bin/perl

# What a configuration may say of gRPC, and what it may not.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has('grpc')->has('v2_upstream');

sub tested {
    my ($location, $http) = (@_, '');
    $t->config(<<"EOC");
http {
    $http
    server {
        listen %%PORT_80%%;
        location / { $location }
    }
}
EOC
    return $t->command('-t');
}

sub refused {
    my ($location, $why, $http) = @_;
    my ($status, $out) = tested($location, $http // '');
    like($out, $why, $location);
    isnt($status, 0, 'it is an error');
}

sub accepted {
    my ($location, $http) = @_;
    my ($status, $out) = tested($location, $http // '');
    is($status, 0, $location) or diag($out);
}

my $group = 'upstream app { server 127.0.0.1:1; }';

accepted("grpc_pass $_;", $group)
    for qw{grpc://127.0.0.1:1 127.0.0.1:1 GRPC://127.0.0.1:1 app grpc://app
        unix:/tmp/x grpc://unix:/tmp/x [::1]:1 $host grpc://$host:1};
accepted('grpc_pass 127.0.0.1:1; grpc_max_timeout 10s; grpc_read_timeout 1h;'
    . ' grpc_set_header TE ""; grpc_next_upstream error http_503 off;'
    . ' grpc_next_upstream_tries 2; grpc_next_upstream_timeout 3s;'
    . ' grpc_buffer_size 16k; grpc_bind 127.0.0.1; grpc_socket_keepalive on;'
    . ' grpc_socket_rcvbuf 64k; grpc_socket_sndbuf 64k;'
    . ' grpc_connect_timeout 1s; grpc_send_timeout 1s;'
    . ' grpc_intercept_errors on; grpc_hide_header X-A;'
    . ' grpc_pass_header Server; grpc_ignore_headers X-Accel-Redirect;');

refused('grpc_pass http://127.0.0.1:1;',
    qr{takes no "http://"; did you mean "grpc://127\.0\.0\.1:1"\?.*:5:}s);
refused('grpc_pass https://app;',
    qr{takes no "https://"; did you mean "grpcs://app"\?});
refused('grpc_pass grpc://app/;', qr{no URI.*did you mean "grpc://app"\?},
    $group);
refused('grpc_pass 127.0.0.1:1/a.Service;',
    qr{no URI.*did you mean "127\.0\.0\.1:1"\?});
refused('grpc_pass unix:/tmp/x:/uri;',
    qr{no URI.*did you mean "unix:/tmp/x"\?});
refused('grpc_pass ftp://app;', qr{invalid URL prefix in "ftp://app"});
refused('grpc_pass grpc://;', qr{invalid host in "grpc://"});
refused('grpc_pass unix:;', qr{no path in the unix domain socket});
refused('grpc_pass;', qr{number of arguments in "grpc_pass"});
refused('grpc_next_upstream sometimes;', qr{sometimes});
refused('grpc_max_timeout soon;', qr{grpc_max_timeout.*soon}s);
refused('', qr{grpc_pass.*not allowed here}s, 'grpc_pass 127.0.0.1:1;');
refused('grpc_passs app;', qr{did you mean "grpc_pass"});
if ($t->has_feature('ssl')) {
    accepted('grpc_pass grpcs://127.0.0.1:1;');
    refused('grpc_pass grpcs://app;', qr{the URL says grpcs://},
        'upstream app { server http://127.0.0.1:1; }');
} else {
    refused('grpc_pass grpcs://127.0.0.1:1;', qr{grpcs:// needs TLS});
}

done_testing();
