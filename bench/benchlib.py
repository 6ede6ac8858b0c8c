"""Servers to measure: their configurations, their processes, their cost.

Used by bench/run and bench/idle.  Standard library only.  Everything listens
on 127.0.0.1 on ports that the kernel chose, and every process started here is
stopped by its pid, also when the script is interrupted.
"""

import atexit
import ctypes
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HELLO = "Hello, world!\n"
KB = "0123456789abcde\n" * 64
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cores():
    """The core of the server and the core of everything else."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


# ------------------------------------------------------------------- /proc --


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def tree(pid):
    """A process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read(f"/proc/{name}/stat")
            if stat:
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def workers(pid):
    """Those that serve: named so, else the ends of the tree."""
    pids = tree(pid)
    named = [
        p for p in pids if "worker process" in read(f"/proc/{p}/cmdline")
    ]
    if named:
        return named
    return [p for p in pids if len(tree(p)) == 1]


def cpu_ns(pid):
    """CPU time of a server's processes so far, in ns.

    schedstat has nanoseconds, but only of threads that still exist (the
    kernel starts and ends some for io_uring); stat has all, in ticks.  The
    caller takes the first unless the second shows that something is missing.
    """
    precise = ticks = 0
    for p in tree(pid):
        stat = read(f"/proc/{p}/stat").rpartition(")")[2].split()
        if len(stat) > 12:
            ticks += int(stat[11]) + int(stat[12])
        try:
            tasks = os.listdir(f"/proc/{p}/task")
        except OSError:
            continue
        for t in tasks:
            s = read(f"/proc/{p}/task/{t}/schedstat").split()
            if s:
                precise += int(s[0])
    return precise, ticks * 1_000_000_000 // TICK


def cpu_between(before, after, processes=3):
    precise = after[0] - before[0]
    coarse = after[1] - before[1]
    slack = (processes + 1) * 1_000_000_000 // TICK
    return precise if precise > 0 and abs(coarse - precise) <= slack else coarse


def memory(pid):
    """Private and proportional memory of one process, in bytes."""
    values = {}
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        m = re.match(r"(\w+):\s+(\d+) kB", line)
        if m:
            values[m[1]] = int(m[2]) * 1024
    return {k: values.get(k, 0) for k in ("Anonymous", "Private_Dirty", "Pss")}


# ----------------------------------------------------------------- servers --

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
        keepalive 1100;
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

{tls}}}
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
pid {dir}/backend.pid;
error_log {dir}/backend.error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    default_type text/plain;
{temp_paths}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        return 200 "{kb}";
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


def tls_context():
    """TLS 1.3 for Python's clients, who trust everybody."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    return c


def escaped(text):
    return text.replace("\n", "\\n")


class Server:
    """One server under test, or the backend."""

    def __init__(self, name, command, version):
        self.name = name
        self.command = command
        self.version = version
        self.is_other = False  # of those given by a path
        self.process = None
        self.port = None
        self.tls_port = None  # P-256
        self.rsa_port = None

    @property
    def pid(self):
        return self.process.pid


class Bench:
    """A directory with files to serve, and the servers started in it."""

    def __init__(self, veil=None):
        self.dir = tempfile.mkdtemp(prefix="veil-bench-")
        os.chmod(self.dir, 0o755)
        self.running = []
        self.veil = veil
        self.others = {}  # further ones by their name: paths
        atexit.register(self.close)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, self._interrupted)

        html = os.path.join(self.dir, "html")
        os.mkdir(html)
        for name, text in (("1k", KB), ("1m", KB * 1024)):
            with open(os.path.join(html, name), "w") as f:
                f.write(text)

    def _interrupted(self, sig, frame):
        sys.exit(128 + sig)

    def close(self):
        for s in reversed(self.running):
            self.stop(s)
        shutil.rmtree(self.dir, ignore_errors=True)

    # Which are there, and what they call themselves.

    def find(self, name):
        if name == "veil":
            path = self.veil
        elif name in self.others:
            path = self.others[name]
        else:
            path = shutil.which(
                name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
            )
        if not path or not os.access(path, os.X_OK):
            return None
        flag = "-v" if name != "haproxy" else "-vv"
        out = subprocess.run(
            [os.path.abspath(path), flag],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10,
        ).stdout
        version = out.splitlines()[0].strip() if out else name
        version = re.sub(r"^(?:\w+ version: |HAProxy version )", "", version)
        if name == "haproxy":
            version = "haproxy/" + version.split()[0].split("-")[0]
        server = Server(name, os.path.abspath(path), version)
        server.is_other = name in self.others
        return server

    def spawn(self, server, args, core):
        libc = ctypes.CDLL(None)

        def child():
            os.sched_setaffinity(0, {core})
            libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

        log = open(os.path.join(self.dir, server.name + ".out"), "w")
        server.process = subprocess.Popen(
            [server.command] + args,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=child,
        )
        log.close()
        self.running.append(server)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
                return
            except OSError:
                pass
            if server.process.poll() is not None or (
                time.monotonic() > deadline
            ):
                out = read(os.path.join(self.dir, server.name + ".out"))
                sys.exit(f"{server.name} does not start:\n{out}")
            time.sleep(0.02)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def start_backend(self, core):
        server = self.find("nginx")
        if not server:
            sys.exit("the backend needs nginx: apt-get install nginx-light")
        server.name = "backend"
        server.port = free_port()
        conf = self.write(
            "backend.conf",
            BACKEND_CONF.format(
                dir=self.dir,
                port=server.port,
                kb=escaped(KB),
                temp_paths=NGINX_TEMP.format(dir=self.dir),
            ),
        )
        self.spawn(
            server,
            ["-p", self.dir, "-c", conf, "-e", self.dir + "/backend.log"],
            core,
        )
        return server

    def has_tls(self, server):
        """Whether it can take part in what is about TLS."""
        if server.name == "haproxy":
            return False
        flag = "-V" if server.version.startswith("nginx/") else "-m"
        out = subprocess.run(
            [server.command, flag],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10,
        ).stdout
        return re.search(r"(?<![a-z])(?:http_)?ssl(?:_module)?\b", out)

    def make_certificates(self):
        """One of P-256, one of RSA-2048; signed by themselves."""
        for name, kind in (
            ("ecdsa", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("rsa", ["rsa:2048"]),
        ):
            path = os.path.join(self.dir, name)
            if os.path.exists(path + ".crt"):
                continue
            subprocess.run(
                ["openssl", "req", "-x509", "-nodes", "-newkey", *kind,
                 "-keyout", path + ".key", "-out", path + ".crt",
                 "-subj", "/CN=localhost", "-days", "30"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )

    def openssl_conf(self):
        """The path of what OPENSSL_CONF should be for a client."""
        return self.write("openssl.cnf", OPENSSL_CONF)

    def start(self, server, core, backend_port, connections=8192, tls=False):
        server.port = free_port()
        values = dict(
            dir=self.dir,
            name=server.name,
            port=server.port,
            backend=backend_port,
            hello=escaped(HELLO),
            connections=connections,
            temp_paths="",
            tls="",
        )
        if tls and self.has_tls(server):
            self.make_certificates()
            server.tls_port, server.rsa_port = free_port(), free_port()
            values["tls_port"] = server.tls_port
            values["rsa_port"] = server.rsa_port
            values["tls"] = TLS_CONF.format(**values)
        if server.name == "haproxy":
            text = HAPROXY_CONF.format(**values)
            conf = self.write("haproxy.cfg", text)
            args = ["-db", "-f", conf]
        else:
            # Debian's nginx has temporary files in fixed places.
            if server.version.startswith("nginx/"):
                values["temp_paths"] = NGINX_TEMP.format(dir=self.dir)
            text = NGINX_CONF.format(**values)
            conf = self.write(server.name + ".conf", text)
            log = f"{self.dir}/{server.name}.error.log"
            args = ["-p", self.dir, "-c", conf, "-e", log]
        server.config = text.replace(self.dir, "DIR")
        self.spawn(server, args, core)

    def stop(self, server):
        if server in self.running:
            self.running.remove(server)
        p = server.process
        if not p or p.poll() is not None:
            return
        pids = tree(p.pid)
        p.terminate()
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            p.wait()

    def check(self, server, path, body, tls_port=None):
        """The answer must be the right one before its speed means anything."""
        if tls_port:
            c = http.client.HTTPSConnection(
                "127.0.0.1", tls_port, timeout=10, context=tls_context()
            )
        else:
            c = http.client.HTTPConnection(
                "127.0.0.1", server.port, timeout=10
            )
        for _ in range(2):
            c.request("GET", path)
            r = c.getresponse()
            got = r.read()
            if r.status != 200 or got != body.encode():
                sys.exit(
                    f"{server.name}: {path} answers {r.status} with"
                    f" {len(got)} bytes instead of 200 with {len(body)}"
                )
        c.close()


def machine():
    info = read("/proc/cpuinfo")
    m = re.search(r"model name\s*:\s*(.*)", info)
    return {
        "cpu": m[1].strip() if m else os.uname().machine,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
        # Of the minute before: what else the machine was doing.
        "load": round(os.getloadavg()[0], 1),
    }
