/*
 * transfer.c -- a client that asks for files over TLS and looks whether all of
 * each arrived; runs in the virtual machine of vm.t, where curl and Perl are
 * not.
 *
 *     transfer make DIR N         writes the files 0 to N-1
 *     transfer PORT N FILES SEED  N requests for files out of FILES
 *     transfer PORT hold          one that is answered and stays open
 *     transfer PORT cbc           one with a suite that no kernel knows
 *     transfer PORT upload N      N requests whose body comes back
 *     transfer PORT echo          serves that on PORT, without TLS
 *
 * What a file holds follows from its number.  Versions, suites, the room for
 * what arrives and the pauses in reading are random, so that the server's
 * socket is full at any point of a record when it closes.  An answer counts
 * when its SHA-256 is right and close_notify came.  Ends with the line
 * "transfer: N whole" and 0, or says what was wrong, and 1.
 */

#include "core/platform.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_MAX_SIZE 900000
/* One is larger than what a sendfile moves in one turn of the server. */
#define FILE_LARGE 63
#define FILE_LARGE_SIZE 5000001

static uint64_t dice;

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t x;

    *state += 0x9e3779b97f4a7c15u;
    x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void
die(const char *what, const char *why)
{
    printf("transfer: %s: %s\n", what, why);
    ERR_print_errors_fp(stdout);
    exit(1);
}

/* Small ones, those around records, and large ones. */
static size_t
file_size(unsigned number)
{
    uint64_t state = number;
    uint64_t r = next_random(&state);

    if (number == FILE_LARGE) {
        return FILE_LARGE_SIZE;
    }
    switch (number % 4) {
    case 0:
        return 1 + r % 16384;
    case 1:
    case 2:
        return 16384 * (1 + r % 16) - 2 + (r >> 32) % 5;
    default:
        return 1 + r % FILE_MAX_SIZE;
    }
}

static unsigned char *
file_content(unsigned number, size_t *len)
{
    uint64_t state = number * 77777u + 1;
    unsigned char *data;
    uint64_t word;
    size_t i;

    *len = file_size(number);
    data = malloc(*len + sizeof(word));
    if (data == NULL) {
        die("memory", "none");
    }
    for (i = 0; i < *len; i += sizeof(word)) {
        word = next_random(&state);
        memcpy(data + i, &word, sizeof(word));
    }
    return data;
}

static int
make_files(const char *dir, unsigned n)
{
    char path[256];
    unsigned char *data;
    unsigned i;
    size_t len;
    FILE *f;

    for (i = 0; i < n; i++) {
        (void) snprintf(path, sizeof(path), "%s/%u", dir, i);
        data = file_content(i, &len);
        f = fopen(path, "w");
        if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
            die(path, "cannot be written");
        }
        free(data);
    }
    return 0;
}

/* -- one connection */

static SSL_CTX *ctx;

static SSL *
open_connection(int port, int version, const char *cipher, int room)
{
    struct sockaddr_in sin = { .sin_family = AF_INET };
    struct timeval tv = { .tv_sec = 60 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL *ssl = SSL_new(ctx);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);
    (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    if (room > 0) {
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    }
    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect", "refused");
    }
    (void) SSL_set_min_proto_version(ssl, (uint16_t) version);
    (void) SSL_set_max_proto_version(ssl, (uint16_t) version);
    if (cipher != NULL && !SSL_set_cipher_list(ssl, cipher)) {
        die(cipher, "not known");
    }
    SSL_set_fd(ssl, fd);
    return ssl;
}

static void
close_connection(SSL *ssl)
{
    (void) close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static const char *
random_cipher(int version)
{
    static const char *const ciphers[] = { "ECDHE+AES128+AESGCM",
                                           "ECDHE+AES256+AESGCM",
                                           "ECDHE+CHACHA20" };

    return version == TLS1_3_VERSION ? NULL : ciphers[next_random(&dice) % 3];
}

/* Reads to the end; *closed: by close_notify. */
static unsigned char *
read_all(SSL *ssl, size_t *len, unsigned pause, int *closed)
{
    size_t cap = FILE_LARGE_SIZE + 4096;
    unsigned char *data = malloc(cap);
    int n;

    *len = 0;
    if (pause > 0) {
        /* Until the server's socket is full, or it has closed. */
        (void) usleep((unsigned) (next_random(&dice) % 60000));
    }
    for (;;) {
        if (pause > 0 && next_random(&dice) % 8 == 0) {
            (void) usleep((unsigned) (next_random(&dice) % pause));
        }
        if (*len == cap) {
            die("answer", "longer than any file");
        }
        n = SSL_read(ssl, data + *len, (int) (cap - *len));
        if (n <= 0) {
            break;
        }
        *len += (size_t) n;
    }
    *closed = SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
    ERR_clear_error();
    return data;
}

/* What is wrong with an answer whose body shall be this; NULL: nothing. */
static const char *
judge(const unsigned char *answer, size_t len, const unsigned char *body,
      size_t body_len)
{
    uint8_t is[SHA256_DIGEST_LENGTH], shall[SHA256_DIGEST_LENGTH];
    const unsigned char *p;

    if (len < 16 || memcmp(answer, "HTTP/1.1 200", 12) != 0) {
        return "no 200";
    }
    p = memmem(answer, len, "\r\n\r\n", 4);
    if (p == NULL) {
        return "no end of the head";
    }
    p += 4;
    SHA256(p, len - (size_t) (p - answer), is);
    SHA256(body, body_len, shall);
    return memcmp(is, shall, sizeof(is)) == 0 ? NULL : "not the whole body";
}

static int
get_file(int port, unsigned number)
{
    int version = next_random(&dice) % 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
    int room = next_random(&dice) % 2 ? 0 : 20000;
    unsigned pause = next_random(&dice) % 2 ? 0 : 4000;
    SSL *ssl = open_connection(port, version, random_cipher(version), room);
    unsigned char *answer, *body;
    size_t len, body_len;
    const char *why;
    char head[128];
    int n, closed;

    n = snprintf(head, sizeof(head),
                 "GET /%u HTTP/1.1\r\nHost: localhost\r\n"
                 "Connection: close\r\n\r\n",
                 number);
    if (SSL_connect(ssl) != 1 || SSL_write(ssl, head, n) != n) {
        die("handshake", SSL_get_version(ssl));
    }
    answer = read_all(ssl, &len, pause, &closed);
    body = file_content(number, &body_len);
    why = judge(answer, len, body, body_len);
    if (why == NULL && !closed) {
        why = "no close_notify";
    }
    if (why != NULL) {
        printf("transfer: file %u of %zu bytes, %s %s: %s (%zu bytes came)\n",
               number, body_len, SSL_get_version(ssl), SSL_get_cipher(ssl),
               why, len);
    }
    free(body);
    free(answer);
    close_connection(ssl);
    return why == NULL;
}

/* A body that is sent back; large ones need both directions at once. */
static int
upload(int port, unsigned number)
{
    int version = next_random(&dice) % 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL *ssl = open_connection(port, version, random_cipher(version), 0);
    unsigned char *answer, *body;
    size_t len, body_len;
    const char *why;
    char head[160];
    int n, closed;

    body = file_content(number, &body_len);
    n = snprintf(head, sizeof(head),
                 "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                 body_len);
    if (SSL_connect(ssl) != 1 || SSL_write(ssl, head, n) != n
        || SSL_write(ssl, body, (int) body_len) != (int) body_len)
    {
        die("upload", SSL_get_version(ssl));
    }
    answer = read_all(ssl, &len, 0, &closed);
    why = judge(answer, len, body, body_len);
    if (why != NULL) {
        printf("transfer: upload %u of %zu bytes, %s: %s (%zu bytes came)\n",
               number, body_len, SSL_get_version(ssl), why, len);
    }
    free(body);
    free(answer);
    close_connection(ssl);
    return why == NULL && closed;
}

/* One connection: a request whose body is the answer's, again and again. */
static void
echo_one(int fd)
{
    static char data[FILE_LARGE_SIZE + 4096];
    char head[100];
    size_t have = 0, len;
    char *end, *field;
    ssize_t n;

    for (;;) {
        data[have] = '\0';
        end = strstr(data, "\r\n\r\n");
        field = strcasestr(data, "\r\nContent-Length:");
        len = field == NULL ? 0 : strtoul(field + 17, NULL, 10);
        if (end != NULL && have >= (size_t) (end + 4 - data) + len) {
            n = snprintf(head, sizeof(head),
                         "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                         len);
            if (write(fd, head, (size_t) n) != n
                || write(fd, end + 4, len) != (ssize_t) len)
            {
                return;
            }
            have = 0;
            continue;
        }
        n = read(fd, data + have, sizeof(data) - 1 - have);
        if (n <= 0) {
            return;
        }
        have += (size_t) n;
    }
}

static int
echo(int port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET };
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;

    (void) signal(SIGCHLD, SIG_IGN);
    (void) setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);
    if (bind(listener, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(listener, 100) == -1)
    {
        die("echo", "cannot listen");
    }
    for (;;) {
        fd = accept(listener, NULL, NULL);
        if (fork() == 0) {
            echo_one(fd);
            _exit(0);
        }
        (void) close(fd);
    }
}

static int
hold(int port)
{
    static const char head[] = "GET /0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    SSL *ssl = open_connection(port, TLS1_3_VERSION, NULL, 0);
    char data[100];

    if (SSL_connect(ssl) != 1
        || SSL_write(ssl, head, sizeof(head) - 1) != (int) sizeof(head) - 1
        || SSL_read(ssl, data, sizeof(data)) <= 0)
    {
        die("hold", "no answer");
    }
    printf("transfer: 1 whole\n");
    (void) fflush(stdout);
    (void) pause();
    return 0;
}

/* CBC: answered in user space, or refused. */
static int
cbc(int port)
{
    static const char head[] =
        "GET /0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    SSL *ssl =
        open_connection(port, TLS1_2_VERSION,
                        "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA", 0);
    size_t len;
    int closed;

    if (SSL_connect(ssl) != 1
        || SSL_write(ssl, head, sizeof(head) - 1) != (int) sizeof(head) - 1)
    {
        die("refused", "in the handshake");
    }
    (void) read_all(ssl, &len, 0, &closed);
    if (len == 0) {
        die("refused", "after the handshake");
    }
    printf("transfer: %d whole\n", closed);
    return 0;
}

int
main(int argc, char **argv)
{
    unsigned i, n, files, whole = 0;
    int port, is_upload;

    if (argc == 4 && strcmp(argv[1], "make") == 0) {
        return make_files(argv[2], (unsigned) atoi(argv[3]));
    }
    ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    port = argc > 2 ? atoi(argv[1]) : 0;
    if (argc == 3 && strcmp(argv[2], "hold") == 0) {
        return hold(port);
    }
    if (argc == 3 && strcmp(argv[2], "cbc") == 0) {
        return cbc(port);
    }
    if (argc == 3 && strcmp(argv[2], "echo") == 0) {
        return echo(port);
    }
    is_upload = argc == 4 && strcmp(argv[2], "upload") == 0;
    if (argc != 5 && !is_upload) {
        die("usage", "see transfer.c");
    }
    n = (unsigned) atoi(argv[is_upload ? 3 : 2]);
    files = is_upload ? 100 : (unsigned) atoi(argv[3]);
    dice = is_upload ? 1 : (uint64_t) atoll(argv[4]);
    for (i = 0; i < n; i++) {
        unsigned number = (unsigned) (next_random(&dice) % files);

        whole += (unsigned) (is_upload ? upload(port, number)
                                       : get_file(port, number));
    }
    printf("transfer: %u whole\n", whole);
    return whole == n ? 0 : 1;
}
