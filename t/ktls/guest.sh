# guest.sh -- what vm.t runs in the virtual machine: the tests of sockets and
# of the transport, then veil itself on both back ends.
#
# "ok WHAT" and "not ok WHAT" become tests of vm.t, "note" is shown.  The
# caller sets UNIT, the names of unit tests, and TRANSFERS, how many on each
# back end.

bad=0

check() {
    what=$1
    shift
    if "$@" > /tmp/out 2>&1; then
        say "ok $what"
    else
        bad=1
        say "not ok $what"
        tail -n 50 /tmp/out
    fi
}

# A skip is a failure: it is what this machine was made for.
unit() {
    timeout 120 "$1" --jobs 1 --verbose > /tmp/unit 2>&1
    status=$?
    if [ $status -ne 0 ] || grep -q SKIP /tmp/unit; then
        grep -v PASS /tmp/unit
        return 1
    fi
}

stat() { awk "\$1 == \"$1\" { print \$2 }" /proc/net/tls_stat; }

# within SECONDS COMMAND ... -- until it succeeds.
within() {
    n=$(($1 * 10))
    shift
    until "$@"; do
        n=$((n - 1))
        test $n -gt 0 || return 1
        usleep 100000
    done
}

listens() { netstat -lnt | grep -q ":$1 "; }
is_gone() { ! test -e "/proc/$1"; }
none_open() { test "$(stat TlsCurrTxSw)" = 0; }

start() {
    sed "s/USE/$1/" /etc/veil.conf > /tmp/veil.conf
    : > /tmp/error.log
    veil -c /tmp/veil.conf -e /tmp/error.log || return 1
    within 60 listens 8446
}

stop() {
    pid=$(cat /tmp/veil.pid)
    kill -QUIT "$pid"
    within 60 is_gone "$pid"
}

# The kernel's own counters, while a connection is open.
is_in_the_kernel() {
    transfer 8443 hold > /tmp/hold &
    within 60 grep -q whole /tmp/hold
    tx=$(stat TlsCurrTxSw) rx=$(stat TlsCurrRxSw)
    kill $!
    echo "TlsCurrTxSw $tx, TlsCurrRxSw $rx"
    test "$tx" -gt 0 && test "$rx" -gt 0
}

# Every transfer was the kernel's, in both directions.
transfers() {
    tx=$(stat TlsTxSw) rx=$(stat TlsRxSw)
    transfer 8443 "$TRANSFERS" 64 "$1" || return 1
    tx=$(($(stat TlsTxSw) - tx)) rx=$(($(stat TlsRxSw) - rx))
    say "note $TRANSFERS transfers, TlsTxSw $tx, TlsRxSw $rx"
    test $tx -eq "$TRANSFERS" && test $rx -eq "$TRANSFERS"
}

is_refused() {
    transfer "$1" cbc
    test $? -eq 1 && within 60 grep -q "connection refused" /tmp/error.log
}

# What the counters of the worker say, against what was done.
counted() {
    line=$(grep 'kTLS: ktls_tx=' /tmp/error.log)
    say "note ${line#*kTLS: }"
    n=${line#*ktls_tx=}
    test "${n%% *}" -gt "$TRANSFERS" || return 1
    n=${line#*ktls_rx=}
    test "${n%% *}" -gt "$TRANSFERS" || return 1
    case $line in *" cipher=2"*) ;; *) return 1 ;; esac
}

nothing_alarming() {
    grep -E '\[(emerg|alert|crit)\]' /tmp/error.log && return 1
    return 0
}

serve() {
    begin=$(date +%s)
    check "$1: veil starts" start "$1"
    check "$1: it says that the kernel has TLS" \
        grep -q "kTLS: the kernel has TLS" /tmp/error.log
    check "$1: both directions are in the kernel" is_in_the_kernel
    check "$1: $TRANSFERS random transfers arrive whole" transfers "$2"
    check "$1: bodies of requests" transfer 8443 upload 20
    check "$1: an upstream, in the kernel" transfer 8445 upload 20
    check "$1: an upstream, sending only" transfer 8446 upload 20
    check "$1: another suite stays in user space" transfer 8443 cbc
    check "$1: or is refused" is_refused 8444
    check "$1: which others are not" transfer 8444 3 64 1
    check "$1: veil ends" stop
    check "$1: connections were counted" counted
    check "$1: nothing alarming is in the log" nothing_alarming
    say "note $1: $(($(date +%s) - begin)) s"
}

# The module is gone: those who may do without it are served.
without() {
    within 60 none_open && within 60 rmmod tls && start epoll \
        && grep "kTLS is required" /tmp/error.log \
        && transfer 8443 3 64 1 && ! transfer 8444 cbc && stop
}

check "the kernel has TLS" test -e /proc/net/tls_stat
for name in $UNIT; do
    check "$name" unit "$name"
done
mkdir -p /tmp/files
check "files are made" transfer make /tmp/files 64
transfer 8080 echo &
within 60 listens 8080
serve io_uring 1
serve epoll 2
check "a kernel without TLS" without
exit $bad
