/*
 * shm.c -- shared zones: declared by name, mapped from a memfd.
 *
 * A zone's memory is a memfd rather than an anonymous shared mapping because
 * it has to outlive the processes that use it: the master holds the
 * descriptor and hands it to the next generation.  Its size never changes
 * after it was made, and it is sealed against shrinking, since a process that
 * touches memory behind the end of a file dies.
 */

#include "core/platform.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>

#include "core/assert.h"
#include "core/cycle.h"
#include "core/shm.h"

/* Less than this is written faster than given back. */
#define SHM_SPARSE (256 * 1024)

static veil_shm_zone_t *
shm_find(const veil_cycle_t *cycle, veil_str_t name)
{
    veil_list_t *l;
    veil_shm_zone_t *zone;

    veil_list_foreach (l, &cycle->zones) {
        zone = veil_list_entry(l, veil_shm_zone_t, link);
        if (veil_str_eq(zone->name, name)) {
            return zone;
        }
    }
    return NULL;
}

veil_shm_zone_t *
veil_shm_zone_add(veil_conf_t *cf, veil_str_t name, size_t size,
                  const void *tag)
{
    veil_shm_zone_t *zone = shm_find(cf->cycle, name);

    if (zone == NULL) {
        zone = VEIL_POOL_NEW(cf->cycle->pool, veil_shm_zone_t);
        zone->name = veil_pool_str(cf->cycle->pool, name);
        zone->size = size;
        zone->tag = tag;
        zone->fd = -1;
        zone->node = cf->node;
        veil_list_append(&cf->cycle->zones, &zone->link);
        return zone;
    }
    if (zone->tag != tag) {
        veil_conf_error(cf,
                        "the shared memory zone \"%.*s\" is already declared "
                        "for a different use",
                        VEIL_STR_ARG(name));
        return NULL;
    }
    if (size != 0 && zone->size != 0 && zone->size != size) {
        veil_conf_error(cf,
                        "the size %zu of shared memory zone \"%.*s\" "
                        "conflicts with already declared size %zu",
                        size, VEIL_STR_ARG(name), zone->size);
        return NULL;
    }
    if (zone->size == 0 && size != 0) {
        zone->size = size;
        zone->node = cf->node;
    }
    return zone;
}

static int
shm_create(const veil_shm_zone_t *zone)
{
    char name[64];
    int fd, rc;

    veil_snprintf(name, sizeof(name), "veil:%.*s", VEIL_STR_ARG(zone->name));
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, (off_t) zone->size) != 0
        || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
               != 0)
    {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int
veil_shm_zone_map(veil_shm_zone_t *zone, int fd)
{
    bool fresh = fd < 0;
    struct stat st;
    void *addr;
    int rc;

    VEIL_ASSERT(zone->addr == NULL && zone->size != 0);
    if (fresh) {
        fd = shm_create(zone);
        if (fd < 0) {
            return fd;
        }
    } else if (fstat(fd, &st) != 0) {
        return -errno;
    } else if (st.st_size != (off_t) zone->size) {
        return -EINVAL;
    }

    addr = mmap(NULL, zone->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (addr == MAP_FAILED) {
        rc = -errno;
        if (fresh) {
            close(fd);
        }
        return rc;
    }
    zone->addr = addr;
    zone->fd = fd;
    return 0;
}

void
veil_shm_zero(void *addr, size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t whole = size - size % page;

    /* Of a file only; it makes a hole in it (madvise(2)). */
    if (whole < SHM_SPARSE || (uintptr_t) addr % page != 0
        || madvise(addr, whole, MADV_REMOVE) != 0)
    {
        whole = 0;
    }
    memset((char *) addr + whole, 0, size - whole);
}

void
veil_shm_zone_unmap(veil_shm_zone_t *zone)
{
    if (zone->addr != NULL) {
        munmap(zone->addr, zone->size);
        zone->addr = NULL;
    }
    if (zone->fd >= 0) {
        close(zone->fd);
        zone->fd = -1;
    }
}
