"""Configurations of the servers that are measured; "DIR" in braces and so on
are filled in by benchlib.
"""

NGINX_CONF = """\
worker_processes 1;
daemon off;
pid {dir}/{name}.pid;
error_log {dir}/{name}.error.log error;

events {{
    worker_connections {connections};
}}

http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=600s;
    open_file_cache_valid 600s;
    default_type text/plain;
{temp_paths}
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive {keepalive};
    }}

    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {dir}/html;

        location = /return {{
            return 200 "{hello}";
        }}

        location = /proxy {{
            proxy_pass http://backend/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}

{tls}{h2}}}
"""

# Both servers get the same certificates, the same protocols and the same
# kind of resumption; the clients offer one suite and one group each (X25519,
# AES-128-GCM), so there is nothing to choose.
TLS_CONF = """\
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256;
    ssl_session_tickets on;
    ssl_session_timeout 1h;

    server {{
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {dir}/ecdsa.crt;
        ssl_certificate_key {dir}/ecdsa.key;
        root {dir}/html;

        location = /return {{
            return 200 "{hello}";
        }}
    }}

    server {{
        listen 127.0.0.1:{rsa_port} ssl backlog=4096;
        ssl_certificate {dir}/rsa.crt;
        ssl_certificate_key {dir}/rsa.key;
        root {dir}/html;
    }}
"""

# HTTP/2: h2c and, where there is TLS, the same over that.  The backend speaks
# HTTP/1.1, as nginx 1.22 can do no other.  A client that takes its time makes
# nobody write a file.
H2_CONF = """\
    server {{
        listen 127.0.0.1:{h2c_port} http2 backlog=4096;
{h2_tls}        root {dir}/html;

        location = /proxy {{
            proxy_pass http://backend/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}

        location = /proxy1m {{
            proxy_pass http://backend/1m;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }}
    }}
"""

H2_TLS_CONF = """\
        listen 127.0.0.1:{h2_port} ssl http2 backlog=4096;
        ssl_certificate {dir}/ecdsa.crt;
        ssl_certificate_key {dir}/ecdsa.key;
"""

H2O_CONF = """\
num-threads: 1
max-connections: {connections}
error-log: {dir}/h2o.error.log
http1-request-timeout: 600
http2-idle-timeout: 600
http2-max-concurrent-requests-per-connection: 128
proxy.timeout.keepalive: 600000
hosts:
  default:
    listen:
      host: 127.0.0.1
      port: {h2c_port}
    listen:
      host: 127.0.0.1
      port: {h2_port}
      ssl:
        certificate-file: {dir}/ecdsa.crt
        key-file: {dir}/ecdsa.key
        ocsp-update-interval: 0
    paths:
      /1k:
        file.file: {dir}/html/1k
      /1m:
        file.file: {dir}/html/1m
      /proxy:
        proxy.reverse.url: http://127.0.0.1:{backend}/
      /proxy1m:
        proxy.reverse.url: http://127.0.0.1:{backend}/1m
"""

# For clients on OpenSSL (wrk, Python): what TLS_CONF relies on.
OPENSSL_CONF = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = client
[client]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""

NGINX_TEMP = "".join(
    f"    {n}_temp_path {{dir}}/{n}_temp;\n"
    for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)

BACKEND_CONF = """\
worker_processes 1;
daemon off;
pid {dir}/{name}.pid;
error_log {dir}/{name}.error.log error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    default_type text/plain;
{temp_paths}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {dir}/html;

        location / {{
            return 200 "{kb}";
        }}

        location = /1m {{
            sendfile on;
        }}
    }}
}}
"""

HAPROXY_CONF = """\
global
    nbthread 1
    maxconn {connections}
    tune.maxaccept 256

defaults
    mode http
    http-reuse always
    timeout connect 10s
    timeout client 600s
    timeout server 600s

frontend f
    bind 127.0.0.1:{port} backlog 4096
    http-request return status 200 content-type text/plain string "{hello}" \
if {{ path /return }}
    default_backend b

backend b
    http-request set-path /
    server s 127.0.0.1:{backend} pool-max-conn 1100
"""
