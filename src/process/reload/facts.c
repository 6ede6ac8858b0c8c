/*
 * facts.c -- what a configuration comes to, beyond its directives.
 *
 * A keeper hands them to the master beside the configuration's text, and the
 * next keeper gets both, to say what is going to change.  The master only
 * keeps the descriptors; the values are read by those who compare.
 *
 * Of certificates and keys the content counts: a renewed one has the name of
 * the one before.  Which directives name such files is known by what they are
 * called ("ssl_certificate", "proxy_ssl_certificate_key", "ssl_crl"); names
 * with variables have no content before there is a request.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/control.h"
#include "core/main_conf.h"
#include "core/murmur.h"
#include "core/pool.h"
#include "process/prepare.h"
#include "process/reload/diff.h"
#include "process/reload/facts.h"
#include "process/text.h"

/* Larger files are no certificates. */
#define FACTS_FILE_MAX (4 * 1024 * 1024)

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a node's link is its beginning");

/* --- files --------------------------------------------------------------- */

/*
 * Two sums and the size: a renewed file is told from the one before, which is
 * all that is asked; nobody gains by making them equal.  False: there is no
 * such file, or none that could be read.
 */
static bool
facts_fingerprint(const char *path, char *text, size_t n)
{
    struct stat st;
    char *data;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > FACTS_FILE_MAX || veil_text_read(fd, &data) < 0)
    {
        close(fd);
        return false;
    }
    close(fd);
    veil_snprintf(text, n, "%08x%08x-%llu",
                  veil_crc32(0, data, (size_t) st.st_size),
                  veil_murmur2(data, (size_t) st.st_size),
                  (unsigned long long) st.st_size);
    veil_free(data);
    return true;
}

static bool
facts_names_files(veil_str_t directive)
{
    return veil_str_ends(directive, VEIL_STR("_certificate"))
           || veil_str_ends(directive, VEIL_STR("_certificate_key"))
           || veil_str_ends(directive, VEIL_STR("_crl"));
}

static void
facts_add_file(json_t *files, veil_conf_t *cf, veil_str_t name)
{
    char print[64];
    veil_str_t path;

    if (veil_str_chr(name, '$') >= 0
        || veil_str_starts(name, VEIL_STR("data:"))) {
        return;
    }
    path = veil_conf_full_path(cf, name, true);
    if (json_object_get(files, path.data) == NULL
        && facts_fingerprint(path.data, print, sizeof(print)))
    {
        /* Fails for a name that is no UTF-8: then it is not told. */
        (void) json_object_set_new(files, path.data, json_string(print));
    }
}

static void
facts_add_files(json_t *files, veil_conf_t *cf, const veil_conf_node_t *block)
{
    const veil_conf_node_t *node;
    const veil_list_t *l;

    veil_list_foreach (l, &block->children) {
        node = (const veil_conf_node_t *) (const void *) l;
        if (node->is_block) {
            facts_add_files(files, cf, node);
        } else if (node->nargs == 2 && facts_names_files(node->args[0].str)) {
            facts_add_file(files, cf, node->args[1].str);
        }
    }
}

static json_t *
facts_files(const veil_cycle_t *cycle)
{
    json_t *files = json_object();
    veil_pool_t *pool = veil_pool_create("facts", 4096);
    veil_conf_t cf = { .pool = pool, .temp_pool = pool };

    /* For the directories alone; nothing is written through it. */
    memcpy(&cf.cycle, &cycle, sizeof(cycle));
    facts_add_files(files, &cf, cycle->tree);
    veil_pool_destroy(&pool);
    return files;
}

/* --- sockets and zones --------------------------------------------------- */

static json_t *
facts_listeners(const veil_cycle_t *cycle)
{
    json_t *listeners = json_object();
    const veil_listen_t *l;
    const veil_list_t *n;
    char address[160];

    veil_list_foreach (n, &cycle->listens) {
        l = (const veil_listen_t *) (const void *) n;
        address[veil_addr_print(&l->addr, address, sizeof(address))] = '\0';
        (void) json_object_set_new(listeners, address,
                                   json_integer(veil_prepare_listen_slots(l)));
    }
    return listeners;
}

_Static_assert(offsetof(veil_listen_t, link) == 0,
               "a listener's link is its beginning");
_Static_assert(offsetof(veil_shm_zone_t, link) == 0,
               "a zone's link is its beginning");

static json_t *
facts_zones(const veil_cycle_t *cycle)
{
    json_t *zones = json_object();
    const veil_list_t *n;
    veil_hold_zone_t z;

    veil_list_foreach (n, &cycle->zones) {
        veil_prepare_zone((const veil_shm_zone_t *) (const void *) n, &z);
        (void) json_object_set_new(zones, z.name,
                                   json_pack("{s:I, s:s}", "size",
                                             (json_int_t) z.size, "owner",
                                             z.tag));
    }
    return zones;
}

json_t *
veil_facts_make(const veil_cycle_t *cycle)
{
    json_t *facts = json_object();

    json_object_set_new(facts, "workers",
                        json_integer(veil_main_conf(cycle)->workers));
    json_object_set_new(facts, "listeners", facts_listeners(cycle));
    json_object_set_new(facts, "zones", facts_zones(cycle));
    json_object_set_new(facts, "files", facts_files(cycle));
    return facts;
}

/* --- keeping ------------------------------------------------------------- */

int
veil_facts_keep(const json_t *value)
{
    int fd = memfd_create("veil facts", MFD_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    if (json_dumpfd(value, fd, JSON_COMPACT) != 0) {
        close(fd);
        return -EIO;
    }
    return fd;
}

json_t *
veil_facts_read(int fd)
{
    json_t *value;
    char *text;

    if (fd < 0 || veil_text_read(fd, &text) < 0) {
        return NULL;
    }
    value = json_loads(text, 0, NULL);
    veil_free(text);
    return value;
}

/* --- comparing ----------------------------------------------------------- */

json_t *
veil_facts_diff(const veil_cycle_t *cycle, veil_str_t running,
                veil_str_t running_facts, const json_t *facts)
{
    veil_pool_t *pool = veil_pool_create("running text", 16384);
    veil_log_t quiet = { .level = VEIL_LOG_OFF };
    veil_conf_t cf = { .pool = pool, .temp_pool = pool, .log = &quiet };
    veil_diff_side_t from = { .tree = NULL };
    veil_diff_side_t to = { .tree = cycle->tree, .facts = facts };
    json_t *before = NULL;
    json_t *diff = NULL;

    memcpy(&cf.cycle, &cycle, sizeof(cycle));
    if (running.len != 0) {
        from.tree = veil_conf_parse(&cf, VEIL_STR("running"), running);
    }
    if (from.tree != NULL && cf.errors == 0) {
        if (running_facts.len != 0) {
            before =
                json_loadb(running_facts.data, running_facts.len, 0, NULL);
        }
        from.facts = before;
        diff = veil_diff_make(&from, &to);
    }
    json_decref(before);
    veil_pool_destroy(&pool);
    return diff;
}
