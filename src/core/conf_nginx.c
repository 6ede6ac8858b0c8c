/*
 * conf_nginx.c -- the names that nginx has and veil has not.
 *
 * Who brings a file from nginx should not have to guess whether "auth_basic"
 * is a typing error or a gap: an unknown directive or variable that stands
 * here is told apart, and no other name is suggested instead.
 *
 * The two lists are written by auto/doc, from the lists of nginx 1.31 in
 * docs/design and from what is built; t/build/directives.t and
 * t/modules/variables.t hold them against both.  A directive that veil has
 * and this build was configured without is not in them, nor is what stands in
 * stream {} only.
 */

#include "core/platform.h"

#include "core/conf.h"

/* made by auto/doc: directives */
static const char conf_nginx_directives[] = "add_after_body\n"
                                            "add_before_body\n"
                                            "addition_types\n"
                                            "auth_basic\n"
                                            "auth_basic_user_file\n"
                                            "auth_delay\n"
                                            "auth_request\n"
                                            "auth_request_set\n"
                                            "autoindex\n"
                                            "autoindex_exact_size\n"
                                            "autoindex_format\n"
                                            "autoindex_localtime\n"
                                            "charset\n"
                                            "charset_map\n"
                                            "charset_types\n"
                                            "client_body_early_read\n"
                                            "empty_gif\n"
                                            "geo\n"
                                            "gunzip\n"
                                            "gunzip_buffers\n"
                                            "gzip\n"
                                            "gzip_buffers\n"
                                            "gzip_comp_level\n"
                                            "gzip_disable\n"
                                            "gzip_hash\n"
                                            "gzip_http_version\n"
                                            "gzip_min_length\n"
                                            "gzip_no_buffer\n"
                                            "gzip_proxied\n"
                                            "gzip_static\n"
                                            "gzip_types\n"
                                            "gzip_vary\n"
                                            "gzip_window\n"
                                            "http3\n"
                                            "http3_hq\n"
                                            "http3_max_concurrent_streams\n"
                                            "http3_stream_buffer_size\n"
                                            "least_time\n"
                                            "limit_conn\n"
                                            "limit_conn_dry_run\n"
                                            "limit_conn_log_level\n"
                                            "limit_conn_status\n"
                                            "limit_conn_zone\n"
                                            "limit_req\n"
                                            "limit_req_dry_run\n"
                                            "limit_req_log_level\n"
                                            "limit_req_status\n"
                                            "limit_req_zone\n"
                                            "mirror\n"
                                            "mirror_request_body\n"
                                            "override_charset\n"
                                            "post_action\n"
                                            "postpone_gzipping\n"
                                            "proxy_cache\n"
                                            "proxy_cache_background_update\n"
                                            "proxy_cache_bypass\n"
                                            "proxy_cache_convert_head\n"
                                            "proxy_cache_key\n"
                                            "proxy_cache_lock\n"
                                            "proxy_cache_lock_age\n"
                                            "proxy_cache_lock_timeout\n"
                                            "proxy_cache_max_range_offset\n"
                                            "proxy_cache_methods\n"
                                            "proxy_cache_min_uses\n"
                                            "proxy_cache_path\n"
                                            "proxy_cache_revalidate\n"
                                            "proxy_cache_use_stale\n"
                                            "proxy_cache_valid\n"
                                            "proxy_no_cache\n"
                                            "proxy_store\n"
                                            "proxy_store_access\n"
                                            "quic_active_connection_id_limit\n"
                                            "quic_gso\n"
                                            "quic_host_key\n"
                                            "quic_retry\n"
                                            "random_index\n"
                                            "real_ip_header\n"
                                            "real_ip_recursive\n"
                                            "referer_hash_bucket_size\n"
                                            "referer_hash_max_size\n"
                                            "secure_link\n"
                                            "secure_link_md5\n"
                                            "secure_link_secret\n"
                                            "set_real_ip_from\n"
                                            "slice\n"
                                            "source_charset\n"
                                            "split_clients\n"
                                            "sticky\n"
                                            "stream\n"
                                            "stub_status\n"
                                            "sub_filter\n"
                                            "sub_filter_last_modified\n"
                                            "sub_filter_once\n"
                                            "sub_filter_types\n"
                                            "valid_referers\n";
/* end */

/* A name that ends in "_" stands for all that begin so. */
/* made by auto/doc: variables */
static const char conf_nginx_variables[] = "connections_active\n"
                                           "connections_reading\n"
                                           "connections_waiting\n"
                                           "connections_writing\n"
                                           "http3\n"
                                           "limit_conn_status\n"
                                           "limit_req_status\n"
                                           "proxy_add_via\n"
                                           "proxy_internal_chunked\n"
                                           "proxy_protocol_tlv_\n"
                                           "realip_remote_addr\n"
                                           "realip_remote_port\n";
/* end */

static bool
conf_nginx_lists(const char *list, veil_str_t word)
{
    veil_str_t name;

    for (; *list != '\0'; list += name.len + 1) {
        name = veil_str_n(list, strcspn(list, "\n"));
        if (veil_str_eq(word, name)
            || (name.data[name.len - 1] == '_' && word.len > name.len
                && veil_str_starts(word, name)))
        {
            return true;
        }
    }
    return false;
}

bool
veil_conf_nginx_has_directive(veil_str_t name)
{
    return conf_nginx_lists(conf_nginx_directives, name);
}

bool
veil_conf_nginx_has_variable(veil_str_t name)
{
    return conf_nginx_lists(conf_nginx_variables, name);
}
