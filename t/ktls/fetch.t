#!/usr/bin/perl

# veil and veil-fetch with TLS in the kernel on both sides, in a virtual
# machine: files by sendfile in both directions, ciphers, resumption, both
# back ends.  See vm.t.

use strict;
use warnings;

use Digest::SHA qw/sha256_hex/;
use File::Basename qw/dirname/;
use File::Temp qw/tempdir/;
use Test::More;

use lib 't/lib';
use Test::Veil::VM;

my $veil = $ENV{TEST_VEIL_BINARY} || 'objs/veil';
my $fetch = dirname($veil) . '/veil-fetch';

if (!-x $fetch || `$veil -V 2>&1` !~ /^built with \S*SSL /m) {
    die "this build was to have veil-fetch and TLS\n"
        if ($ENV{VEIL_EXPECT_FEATURES} // '') =~ /\ball\b/;
    plan skip_all => "no veil-fetch beside $veil, or no TLS";
}

my $vm = Test::Veil::VM->new;
my $why = $vm->prepare;
if (defined $why) {
    plan skip_all => "NO VIRTUAL MACHINE, TLS IN THE KERNEL IS NOT TESTED:"
        . " $why";
}

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$f>;
}

my $tmp = tempdir(CLEANUP => 1);
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    . " -keyout $tmp/key -out $tmp/crt -subj /CN=guest -days 30"
    . " -addext subjectAltName=IP:127.0.0.1 2> $tmp/err") == 0
    or die slurp("$tmp/err");
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 100_000;
my $sum = sha256_hex($large);

my $conf = <<'EOC';
daemon off;
user root;
worker_processes 1;
error_log /tmp/error.log info;
pid /tmp/pid;
http {
    access_log off;
    client_body_temp_path /tmp/bodies;
    proxy_temp_path /tmp/proxy;
    client_max_body_size 10m;
    server {
        listen 127.0.0.1:8443 ssl;
        ssl_certificate /crt;
        ssl_certificate_key /key;
        ssl_ktls on;
        ssl_ktls_fallback off;
        location /put {
            client_body_in_file_only on;
            proxy_pass http://127.0.0.1:8080/;
        }
        location /until {
            chunked_transfer_encoding off;
            proxy_buffering off;
            proxy_pass http://127.0.0.1:8081;
        }
        location / { root /www; }
    }
    server {
        listen 127.0.0.1:8080;
        location / { return 200 taken; }
    }
}
EOC

# What answers at port 8081.
my $backend = <<'EOC';
#!/bin/sh
while read -r line; do
    case $line in
        GET*)   what=$line ;;
        ?)      break ;;
    esac
done
printf 'HTTP/1.0 200 OK\r\n\r\nuntil the end'
case $what in */late*) sleep 600 ;; esac
EOC

my $script = <<'EOF';
bad=0
no() { bad=1; say "not ok $what"; cat /tmp/out /tmp/said; tail -n 20 /tmp/error.log; }
yes() { say "ok $what"; }
# try WHAT SAYS ARGUMENTS: veil-fetch says so, and exits with 0.
try() {
    what=$1
    says=$2
    shift 2
    if veil-fetch --cacert /crt "$@" > /tmp/out 2> /tmp/said \
        && grep -qF "$says" /tmp/said
    then
        return 0
    fi
    no
    return 1
}
same() {
    if [ "$(sha256sum < "$1")" = "SUM  -" ]; then yes; else no; fi
}
get() {
    rm -f /tmp/got
    try "$@" -o /tmp/got https://127.0.0.1:8443/large && same /tmp/got
}
put() {
    rm -f /tmp/bodies/*
    try "$@" https://127.0.0.1:8443/put && same "$(find /tmp/bodies -type f)"
}
both="Using kTLS (kernel TLS) + io_uring"
veil -c /veil.conf -p /tmp/ -e /tmp/error.log &
server=$!
nc -ll -p 8081 -e /backend &
n=0
while ! veil-fetch -q http://127.0.0.1:8080/ > /dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 600 ] || break
    sleep 0.1
done
for v in 1.2 1.3; do
    get "a file, TLS $v" "$both" --ktls on --tls $v
    put "a body from a file, TLS $v" "$both" --ktls on --tls $v -d @/www/large
done
for c in ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305; do
    get "$c" "$both" --ktls on --tls 1.2 --ciphers $c
done
what="a body from a pipe"
rm -f /tmp/bodies/*
if cat /www/large | veil-fetch --cacert /crt --ktls on -d @- \
    https://127.0.0.1:8443/put > /tmp/out 2> /tmp/said
then same "$(find /tmp/bodies -type f)"
else no
fi
get "epoll" "Using kTLS (kernel TLS) + epoll" --ktls on --epoll
get "the client in user space" "(kTLS: switched off)" --ktls off
try "one connection" "$both" -s https://127.0.0.1:8443/large \
    https://127.0.0.1:8443/small https://127.0.0.1:8443/large \
    && if [ "$(grep -c 'kept connection' /tmp/out)" = 2 ]; then yes; else no; fi
try "resumption leaves receiving to the library" \
    "Using kTLS (kernel TLS) for sending, user-space TLS for receiving" \
    -s --tls 1.3 --reconnect https://127.0.0.1:8443/small \
    https://127.0.0.1:8443/large \
    && if grep -q resumed /tmp/out; then yes; else no; fi
# A body without a length, which ends with the connection.
until_the_end() {
    rm -f /tmp/got
    veil-fetch --cacert /crt --ktls on -o /tmp/got \
        https://127.0.0.1:8443/until/$1 > /tmp/out 2> /tmp/said
}
what="a body that ends with a close_notify"
if until_the_end soon && [ "$(cat /tmp/got)" = "until the end" ]
then yes; else no; fi
what="and one that ends without"
rm -f /tmp/got
{
    n=0
    while ! [ -s /tmp/got ] && [ $n -lt 600 ]; do
        n=$((n + 1))
        sleep 0.1
    done
    kill -9 $(sed -n 's/.*start worker process //p' /tmp/error.log)
} &
until_the_end late
if [ $? = 5 ] && grep -q 'without a close_notify' /tmp/said
then yes; else no; fi
kill $server
wait $server
what="a clean end"
: > /tmp/out
if [ ! -s /tmp/error.log ] \
    || grep -v 'exited on signal 9' /tmp/error.log \
        | grep -qE '\[(alert|crit|emerg|error)\]'
then no; else yes; fi
exit $bad
EOF
$script =~ s/SUM/$sum/;

# The newer of the kernels: vm.t has them all.
my $kernel = ($vm->kernels)[-1];
my $r = $vm->boot($kernel, script => $script, programs => [ $veil, $fetch ],
    files => { 'veil.conf' => $conf, crt => slurp("$tmp/crt"),
        key => [ slurp("$tmp/key"), 0600 ],
        backend => [ $backend, 0755 ], 'www/large' => $large,
        'www/small' => "small\n" });
my $where = "Linux $kernel->{series}";

for my $line (@{ $r->{lines} }) {
    ok($line =~ /^ok /, "$where: " . $line =~ s/^(?:not )?ok //r);
}
is(scalar @{ $r->{lines} }, 14, 'all of it');
is($r->{verdict} // 'none', 'passed', sprintf '%s: the verdict'
    . ' (%.0f s, %d tries)', $where, $r->{seconds} // 0, $r->{tries});
diag($r->{console}) if ($r->{verdict} // '') ne 'passed';

done_testing();
