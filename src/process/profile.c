/*
 * profile.c -- a worker looks where it spends its time.
 *
 * A timer on the thread's own processor time sends SIGPROF to it, and the
 * handler writes down the return addresses of the stack, into memory that was
 * there before.  So a worker that sleeps is not woken, and what is measured
 * is work.  backtrace(3) loads a library at its first call, which must not
 * happen in a handler: it is called once before.
 *
 * Names are looked up when all is over.  Most functions are static, of which
 * the dynamic linker knows nothing, so they are read from the program's own
 * table of symbols; of libraries the dynamic linker's names will do.  A
 * program that was stripped shows addresses.
 *
 * What this does not do: other threads (they read files and sign), and time
 * spent waiting.
 */

#include "core/platform.h"

#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/profile.h"

#define PROFILE_HZ 101
#define PROFILE_DEPTH 62
/* The handler, and what the kernel puts between it and the rest. */
#define PROFILE_SKIP 2

typedef struct {
    int n;
    void *pc[PROFILE_DEPTH];
} profile_sample_t;

/* A function of the program. */
typedef struct {
    uintptr_t start;
    uintptr_t end;
    const char *name;
} profile_symbol_t;

static struct {
    bool on;
    timer_t timer;
    veil_timer_t end;
    profile_sample_t *samples;
    unsigned max;
    volatile unsigned n;
    volatile unsigned lost;
    uint64_t ms;
    veil_profile_fn *fn;
    void *data;
    struct sigaction before;

    profile_symbol_t *symbols; /* sorted */
    size_t nsymbols;
    void *file; /* the program, mapped; NULL: it cannot be read */
    size_t file_size;
} profile;

static void
profile_on_signal(int signo)
{
    int saved = errno;
    profile_sample_t *s;

    (void) signo;
    if (profile.n < profile.max) {
        s = &profile.samples[profile.n];
        s->n = backtrace(s->pc, PROFILE_DEPTH);
        profile.n++;
    } else {
        profile.lost++;
    }
    errno = saved;
}

/* --- names -------------------------------------------------------------- */

static int
profile_compare(const void *a, const void *b)
{
    const profile_symbol_t *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static int
profile_base(struct dl_phdr_info *info, size_t size, void *data)
{
    (void) size;
    *(uintptr_t *) data = info->dlpi_addr;
    return 1; /* the first one is the program */
}

/* Whether [offset, offset + size) lies in the file. */
static bool
profile_has(uint64_t offset, uint64_t size)
{
    return offset <= profile.file_size && size <= profile.file_size - offset;
}

static void
profile_take_symbols(const ElfW(Shdr) * table, const ElfW(Shdr) * names)
{
    const char *file = profile.file;
    const ElfW(Sym) *sym = (const void *) (file + table->sh_offset);
    size_t i, n = table->sh_size / sizeof(*sym);
    profile_symbol_t *to;
    uintptr_t base = 0;

    (void) dl_iterate_phdr(profile_base, &base);
    profile.symbols = veil_alloc((n + 1) * sizeof(*profile.symbols));
    for (i = 0; i < n; i++) {
        if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || sym[i].st_value == 0
            || sym[i].st_size == 0 || sym[i].st_name >= names->sh_size)
        {
            continue;
        }
        to = &profile.symbols[profile.nsymbols++];
        to->start = base + sym[i].st_value;
        to->end = to->start + sym[i].st_size;
        to->name = file + names->sh_offset + sym[i].st_name;
    }
    qsort(profile.symbols, profile.nsymbols, sizeof(*profile.symbols),
          profile_compare);
}

static void
profile_find_symbols(void)
{
    const ElfW(Ehdr) *head = profile.file;
    const ElfW(Shdr) * section, *names;
    unsigned i;

    if (!profile_has(0, sizeof(*head))
        || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0
        || head->e_shentsize != sizeof(*section)
        || !profile_has(head->e_shoff,
                        (uint64_t) head->e_shnum * sizeof(*section)))
    {
        return;
    }
    section = (const void *) ((const char *) profile.file + head->e_shoff);
    for (i = 0; i < head->e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB
            || section[i].sh_link >= head->e_shnum) {
            continue;
        }
        names = &section[section[i].sh_link];
        /* Names end within their table: its last byte is a zero. */
        if (profile_has(section[i].sh_offset, section[i].sh_size)
            && profile_has(names->sh_offset, names->sh_size)
            && names->sh_size != 0
            && ((const char *)
                    profile.file)[names->sh_offset + names->sh_size - 1]
                   == '\0')
        {
            profile_take_symbols(&section[i], names);
            return;
        }
    }
}

static void
profile_open_program(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *file;

    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        file = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED) {
            profile.file = file;
            profile.file_size = (size_t) st.st_size;
            profile_find_symbols();
        }
    }
    close(fd);
}

static void
profile_close_program(void)
{
    if (profile.file != NULL) {
        (void) munmap(profile.file, profile.file_size);
        profile.file = NULL;
    }
    veil_free(profile.symbols);
    profile.symbols = NULL;
    profile.nsymbols = 0;
}

static const char *
profile_symbol(uintptr_t pc)
{
    size_t low = 0, high = profile.nsymbols, mid;

    while (low < high) {
        mid = low + (high - low) / 2;
        if (profile.symbols[mid].start <= pc) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 && pc < profile.symbols[low - 1].end
               ? profile.symbols[low - 1].name
               : NULL;
}

/* ';' and blanks would break the line's form; symbols have neither. */
static void
profile_print(FILE *out, void *pc)
{
    const char *name = profile_symbol((uintptr_t) pc);
    const char *file;
    Dl_info info;

    if (name != NULL) {
        fputs(name, out);
    } else if (dladdr(pc, &info) == 0 || info.dli_fname == NULL) {
        fprintf(out, "%p", pc);
    } else if (info.dli_sname != NULL) {
        fputs(info.dli_sname, out);
    } else {
        file = strrchr(info.dli_fname, '/');
        fprintf(out, "[%s]", file == NULL ? info.dli_fname : file + 1);
    }
}

/* --- the result --------------------------------------------------------- */

/* The stack, the outermost function first; the caller frees it. */
static char *
profile_fold(const profile_sample_t *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int i;

    VEIL_ASSERT(out != NULL);
    for (i = s->n - 1; i >= PROFILE_SKIP; i--) {
        /* A return address may be that of the next function already. */
        profile_print(out, (char *) s->pc[i] - (i > PROFILE_SKIP));
        if (i > PROFILE_SKIP) {
            fputc(';', out);
        }
    }
    VEIL_ASSERT(fclose(out) == 0);
    return text;
}

typedef struct {
    const char *stack;
    json_int_t n;
} profile_line_t;

static int
profile_compare_lines(const void *a, const void *b)
{
    const profile_line_t *x = a, *y = b;

    if (x->n != y->n) {
        return x->n > y->n ? -1 : 1;
    }
    return strcmp(x->stack, y->stack);
}

static json_t *
profile_folded(json_t *stacks)
{
    size_t n = json_object_size(stacks), i = 0;
    profile_line_t *lines = veil_zalloc((n + 1) * sizeof(*lines));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    const char *key;
    json_t *value, *folded;

    VEIL_ASSERT(out != NULL);
    json_object_foreach(stacks, key, value)
    {
        lines[i].stack = key;
        lines[i++].n = json_integer_value(value);
    }
    qsort(lines, n, sizeof(*lines), profile_compare_lines);
    for (i = 0; i < n; i++) {
        fprintf(out, "%s %" JSON_INTEGER_FORMAT "\n", lines[i].stack,
                lines[i].n);
    }
    VEIL_ASSERT(fclose(out) == 0);
    folded = json_string(text);
    free(text);
    veil_free(lines);
    return folded;
}

static json_t *
profile_result(void)
{
    json_t *stacks = json_object();
    json_t *result = json_object();
    json_int_t n;
    unsigned i;
    char *text;

    profile_open_program();
    for (i = 0; i < profile.n; i++) {
        text = profile_fold(&profile.samples[i]);
        n = json_integer_value(json_object_get(stacks, text));
        json_object_set_new(stacks, text, json_integer(n + 1));
        free(text);
    }
    profile_close_program();
    json_object_set_new(result, "pid", json_integer(getpid()));
    json_object_set_new(result, "ms", json_integer((json_int_t) profile.ms));
    json_object_set_new(result, "hz", json_integer(PROFILE_HZ));
    json_object_set_new(result, "samples", json_integer(profile.n));
    json_object_set_new(result, "lost", json_integer(profile.lost));
    json_object_set_new(result, "folded", profile_folded(stacks));
    json_decref(stacks);
    return result;
}

/* --- beginning and end -------------------------------------------------- */

static void
profile_stop(void)
{
    (void) timer_delete(profile.timer);
    /* One that is under way would end the process once nobody takes it. */
    profile.max = 0;
    (void) signal(SIGPROF, SIG_IGN);
    (void) sigaction(SIGPROF, &profile.before, NULL);
    veil_timer_cancel(&profile.end);
    profile.on = false;
}

static void
profile_over(veil_timer_t *t)
{
    unsigned max = profile.max;
    json_t *result;

    (void) t; /* there is one */
    profile_stop();
    profile.max = max;
    result = profile_result();
    veil_free(profile.samples);
    profile.samples = NULL;
    profile.fn(profile.data, result);
}

void
veil_profile_cancel(void)
{
    if (profile.on) {
        profile_stop();
        veil_free(profile.samples);
        profile.samples = NULL;
    }
}

static int
profile_start_timer(void)
{
    struct itimerspec every = { .it_interval = { .tv_nsec = 1000000000
                                                            / PROFILE_HZ } };
    struct sigaction sa;
    struct sigevent event;
    int rc;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = profile_on_signal;
    sa.sa_flags = SA_RESTART;
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGPROF, &sa, &profile.before) != 0) {
        return -errno;
    }
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = (pid_t) syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &profile.timer) != 0) {
        rc = -errno;
        (void) sigaction(SIGPROF, &profile.before, NULL);
        return rc;
    }
    every.it_value = every.it_interval;
    if (timer_settime(profile.timer, 0, &every, NULL) != 0) {
        rc = -errno;
        profile_stop();
        return rc;
    }
    return 0;
}

int
veil_profile_start(veil_loop_t *loop, uint64_t ms, veil_profile_fn *fn,
                   void *data)
{
    void *first[4];
    int rc;

    if (profile.on) {
        return -EBUSY;
    }
    (void) backtrace(first, 4);
    profile.max = (unsigned) (ms * PROFILE_HZ / 1000 + PROFILE_HZ);
    profile.samples = veil_alloc(profile.max * sizeof(*profile.samples));
    profile.n = 0;
    profile.lost = 0;
    profile.ms = ms;
    profile.fn = fn;
    profile.data = data;
    veil_timer_init(&profile.end, profile_over);
    rc = profile_start_timer();
    if (rc < 0) {
        veil_free(profile.samples);
        profile.samples = NULL;
        return rc;
    }
    profile.on = true;
    veil_timer_set(loop, &profile.end, ms);
    return 0;
}
