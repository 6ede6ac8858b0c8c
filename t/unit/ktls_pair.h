/*
 * ktls_pair.h -- two ends of a TCP connection whose TLS is in the kernel.
 *
 * The keys are fixed, nobody shook hands: for tests of what sockets do.  The
 * kernel of a machine that builds may well have no TLS; then the test is
 * skipped, and t/ktls/vm.t runs it in a kernel that has.
 */

#ifndef VEIL_T_UNIT_KTLS_PAIR_H
#define VEIL_T_UNIT_KTLS_PAIR_H

#include "bed.h"

#include <linux/tls.h>
#include <netinet/tcp.h>

/* 0 or -errno. */
static inline int
ktls_on(int fd, int tx, int rx)
{
    struct tls12_crypto_info_aes_gcm_128 info = {
        .info = { .version = TLS_1_3_VERSION,
                  .cipher_type = TLS_CIPHER_AES_GCM_128 },
        .iv = { 1, 2, 3, 4, 5, 6, 7, 8 },
        .key = { 'k', 'e', 'y' },
        .salt = { 's', 'a', 'l', 't' },
    };

    if (setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof("tls")) == -1
        || (tx && setsockopt(fd, SOL_TLS, TLS_TX, &info, sizeof(info)) == -1)
        || (rx && setsockopt(fd, SOL_TLS, TLS_RX, &info, sizeof(info)) == -1))
    {
        return -errno;
    }
    return 0;
}

/* Skips the test when the kernel has no TLS. */
static inline end_t *
ktls_open(bed_t *b, int *peer)
{
    end_t *e = end_open_tcp(b, peer);
    int err = ktls_on(e->handle.fd, 1, 1);

    if (err == 0) {
        err = ktls_on(*peer, 1, 1);
    }
    if (err == -ENOENT || err == -ENOPROTOOPT) {
        (void) close(*peer);
        end_close(b, e);
        bed_close(b);
        cr_skip_test("this kernel has no TLS");
    }
    cr_assert_eq(err, 0, "TLS in the kernel: %s", strerror(-err));
    return e;
}

/* sendmsg(2) with a record type. */
static inline ssize_t
ktls_send_record(int fd, uint8_t type, const void *data, size_t len)
{
    union {
        struct cmsghdr c;
        char bytes[CMSG_SPACE(sizeof(type))];
    } control = { 0 };
    struct iovec iov = { (void *) (uintptr_t) data, len };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control.bytes) };

    control.c.cmsg_level = SOL_TLS;
    control.c.cmsg_type = TLS_SET_RECORD_TYPE;
    control.c.cmsg_len = CMSG_LEN(sizeof(type));
    memcpy(CMSG_DATA(&control.c), &type, sizeof(type));
    return sendmsg(fd, &msg, 0);
}

#endif
