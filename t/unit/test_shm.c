/*
 * test_shm.c -- zones: declared in the configuration, mapped twice, sealed.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_fixture.h"
#include "core/shm.h"

static const char tag_a, tag_b;

Test(shm, declared_once_by_one_owner)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    veil_shm_zone_t *zone, *other;

    zone = veil_shm_zone_add(&cf, VEIL_STR("a"), 0, &tag_a);
    cr_assert_neq(zone, NULL);
    cr_assert_eq(zone->fd, -1);
    cr_assert_eq(veil_shm_zone_add(&cf, VEIL_STR("a"), 8192, &tag_a), zone);
    cr_assert_eq(zone->size, 8192);
    cr_assert_eq(veil_shm_zone_add(&cf, VEIL_STR("a"), 0, &tag_a), zone);
    cr_assert_eq(veil_shm_zone_add(&cf, VEIL_STR("a"), 8192, &tag_a), zone);
    other = veil_shm_zone_add(&cf, VEIL_STR("ab"), 4096, &tag_b);
    cr_assert_neq(other, zone);
    cr_assert_str_eq(fixture_lines, "");

    cr_assert_eq(veil_shm_zone_add(&cf, VEIL_STR("a"), 4096, &tag_a), NULL);
    cr_assert_eq(veil_shm_zone_add(&cf, VEIL_STR("a"), 8192, &tag_b), NULL);
    cr_assert_str_eq(fixture_lines,
                     "emerg: the size 4096 of shared memory zone \"a\" "
                     "conflicts with already declared size 8192\n"
                     "emerg: the shared memory zone \"a\" is already declared "
                     "for a different use\n");
    cr_assert_eq(cf.errors, 2);
    fixture_done(&cf);
}

Test(shm, mapped_twice_it_is_one_memory)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    veil_shm_zone_t *zone =
        veil_shm_zone_add(&cf, VEIL_STR("a"), 12288, &tag_a);
    veil_shm_zone_t second = *zone, third = *zone;

    cr_assert_eq(veil_shm_zone_map(zone, -1), 0);
    cr_assert_geq(zone->fd, 0);
    cr_assert_eq(((char *) zone->addr)[12287], 0);
    memcpy(zone->addr, "hello", 6);

    cr_assert_eq(veil_shm_zone_map(&second, dup(zone->fd)), 0);
    cr_assert_neq(second.addr, zone->addr);
    cr_assert_str_eq(second.addr, "hello");
    cr_assert_eq(ftruncate(second.fd, 4096), -1, "sealed");

    third.size = 4096;
    cr_assert_eq(veil_shm_zone_map(&third, zone->fd), -EINVAL);
    cr_assert_eq(third.addr, NULL);

    veil_shm_zone_unmap(&second);
    cr_assert_eq(second.fd, -1);
    cr_assert_eq(second.addr, NULL);
    veil_shm_zone_unmap(&second);
    fixture_done(&cf);
}

static blkcnt_t
blocks(const veil_shm_zone_t *zone)
{
    struct stat st;

    cr_assert_eq(fstat(zone->fd, &st), 0);
    return st.st_blocks;
}

Test(shm, zeroing_gives_pages_back)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    size_t size = (2u << 20) + 100;
    veil_shm_zone_t *zone =
        veil_shm_zone_add(&cf, VEIL_STR("a"), size, &tag_a);
    char *private = malloc(size + 1);
    size_t i;

    cr_assert_eq(veil_shm_zone_map(zone, -1), 0);
    cr_assert_eq(blocks(zone), 0, "nothing was touched");
    memset(zone->addr, 'x', size);
    cr_assert_geq(blocks(zone), 4096);
    veil_shm_zero(zone->addr, size);
    cr_assert_leq(blocks(zone), 8, "the last page");
    for (i = 0; i < size; i++) {
        cr_assert_eq(((char *) zone->addr)[i], 0);
    }
    memset(zone->addr, 'x', size);
    veil_shm_zero((char *) zone->addr + 1, size - 1);
    cr_assert_eq(*(char *) zone->addr, 'x', "not aligned");
    cr_assert_eq(((char *) zone->addr)[1], 0);
    cr_assert_eq(((char *) zone->addr)[size - 1], 0);

    memset(private, 'x', size + 1);
    veil_shm_zero(private, size);
    cr_assert_eq(private[0], 0);
    cr_assert_eq(private[size - 1], 0);
    cr_assert_eq(private[size], 'x');
    free(private);
    veil_shm_zone_unmap(zone);
    fixture_done(&cf);
}
