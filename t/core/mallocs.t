#!/usr/bin/perl

# In the long run a request costs no malloc: all it needs comes from pools
# and buffers that are kept.  Counted by a library that is loaded before the
# C library's, for the master and all its children, in a file in memory.

use strict;
use warnings;
use lib 't/lib';
use Test::Veil;

my $t = Test::Veil->new->has(qw/rewrite proxy static/);
if ($t->is_debug) {
    $t->skip_all('a debug build fills, guards and counts');
}

my $lib = $t->testdir . '/count.so';
$t->write_file('count.c', <<'EOC');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static unsigned long none, *count = &none;

static void one(void) { __atomic_add_fetch(count, 1, __ATOMIC_RELAXED); }

void *malloc(size_t n) { one(); return __libc_malloc(n); }
void *calloc(size_t k, size_t n) { one(); return __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { one(); return __libc_realloc(p, n); }

__attribute__((constructor)) static void init(void)
{
    const char *path = getenv("MALLOC_COUNT");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT, 0666);

    if (fd >= 0 && ftruncate(fd, sizeof(*count)) == 0) {
        void *p = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
                       MAP_SHARED, fd, 0);

        if (p != MAP_FAILED) {
            count = p;
        }
    }
    close(fd);
}
EOC
my $cc = $ENV{CC} || 'cc';
my $dir = $t->testdir;
if (system("$cc -shared -fPIC -O1 -o $lib $dir/count.c 2>$dir/cc.err") != 0) {
    $t->skip_all('no C compiler, or no glibc');
}

sub mallocs { return unpack 'Q', $t->read_file('mallocs') }

$t->write_file('html/small', 'x' x 1024);
$t->write_file('html/large', 'x' x 300_000);
$t->config(<<'EOC');
worker_processes 1;
http {
    access_log %%TESTDIR%%/access.log;
    open_file_cache max=16;
    keepalive_requests 100000;
    upstream b {
        server %%PORT_81%%;
        keepalive 4;
    }
    server {
        listen %%PORT_80%%;
        root %%TESTDIR%%/html;
        location = /return { return 200 "text"; }
        location /variables {
            set $a "$uri of $host";
            add_header X-A $a;
            return 200 "$request_id $a";
        }
        location /rewritten { rewrite ^/(re)written$ /${1}turn last; }
        location /proxied { proxy_pass http://b; }
    }
    server {
        listen %%PORT_81%%;
        return 200 "backend";
    }
}
EOC
$t->env(LD_PRELOAD => $lib, MALLOC_COUNT => "$dir/mallocs");
$t->run;

my $c = $t->connect;

sub ask {
    my ($path, $n) = @_;
    for (1 .. $n) {
        $c->send_request(path => $path);
        die "$path was not answered\n" if $c->read_response->status != 200;
    }
}

my @paths = qw{/return /variables /rewritten /proxied /small /large};
ask($_, 50) for @paths;
for my $path (@paths) {
    my $before = mallocs();
    ask($path, 200);
    my $made = mallocs() - $before;
    cmp_ok($made, '<', 20, "$path: no malloc for each of 200 requests");
}
cmp_ok(mallocs(), '>', 20, 'they are counted');

done_testing;
