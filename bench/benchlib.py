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
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import configs
from configs import NGINX_TEMP

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
        self.h2c_port = None
        self.h2_port = None  # over TLS, P-256

    @property
    def pid(self):
        return self.process.pid


class Bench:
    """A directory with files to serve, and the servers started in it."""

    def __init__(self, veil=None):
        self.dir = tempfile.mkdtemp(prefix="veil-bench-")
        os.chmod(self.dir, 0o755)
        self.running = []
        self.backends = 0
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
        if name == "h2o":
            version = version.replace(" version ", "/")
        server = Server(name, os.path.abspath(path), version)
        server.is_other = name in self.others
        return server

    def spawn(self, server, args, core=None):
        """Starts it, on that core or on any, and waits until it listens."""
        libc = ctypes.CDLL(None)

        def child():
            if core is not None:
                os.sched_setaffinity(0, {core})
            libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

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
        self.backends += 1
        server.name = f"backend{self.backends}"
        server.port = free_port()
        conf = self.write(
            server.name + ".conf",
            configs.BACKEND_CONF.format(
                dir=self.dir,
                name=server.name,
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
        return self.has(server, r"(?<![a-z])(?:http_)?ssl(?:_module)?\b")

    def has_h2(self, server):
        """Whether it speaks HTTP/2."""
        return self.has(server, r"(?:\bv2\b|http_v2_module)")

    def has(self, server, pattern):
        if server.name == "haproxy":
            return False
        if server.name == "h2o":
            return True
        flag = "-V" if server.version.startswith("nginx/") else "-m"
        out = subprocess.run(
            [server.command, flag],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10,
        ).stdout
        return re.search(pattern, out)

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
        return self.write("openssl.cnf", configs.OPENSSL_CONF)

    def start(self, server, core, backend_port, connections=8192, tls=False,
              h2=False):
        server.port = free_port()
        values = dict(
            dir=self.dir,
            name=server.name,
            port=server.port,
            backend=backend_port,
            hello=escaped(HELLO),
            connections=connections,
            keepalive=connections if h2 else 1100,
            temp_paths="",
            tls="",
            h2="",
        )
        if (tls or h2) and self.has_tls(server):
            self.make_certificates()
            server.tls_port, server.rsa_port = free_port(), free_port()
            values["tls_port"] = server.tls_port
            values["rsa_port"] = server.rsa_port
            values["tls"] = configs.TLS_CONF.format(**values)
        if h2 and self.has_h2(server):
            server.h2c_port = values["h2c_port"] = free_port()
            values["h2_tls"] = ""
            if server.tls_port:
                server.h2_port = values["h2_port"] = free_port()
                values["h2_tls"] = configs.H2_TLS_CONF.format(**values)
            values["h2"] = configs.H2_CONF.format(**values)
        text, args = self.configure(server, values)
        server.config = text.replace(self.dir, "DIR")
        self.spawn(server, args, core)

    def configure(self, server, values):
        """Writes its configuration; that, and the arguments that name it."""
        if server.name == "haproxy":
            text = configs.HAPROXY_CONF.format(**values)
            conf = self.write("haproxy.cfg", text)
            return text, ["-db", "-f", conf]
        if server.name == "h2o":
            server.port = server.h2c_port
            text = configs.H2O_CONF.format(**values)
            return text, ["-c", self.write("h2o.conf", text)]
        # Debian's nginx has temporary files in fixed places.
        if server.version.startswith("nginx/"):
            values["temp_paths"] = NGINX_TEMP.format(dir=self.dir)
        text = configs.NGINX_CONF.format(**values)
        conf = self.write(server.name + ".conf", text)
        log = f"{self.dir}/{server.name}.error.log"
        return text, ["-p", self.dir, "-c", conf, "-e", log]

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

    def check_h2(self, port, tls, path, body):
        """The same over HTTP/2, asked with curl."""
        got = subprocess.run(
            ["curl", "-s", "-k", "-o", "-", "-w", "%{http_version} %{http_code}",
             "--http2" if tls else "--http2-prior-knowledge",
             f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"],
            stdout=subprocess.PIPE,
            timeout=30,
        ).stdout.decode()
        if got != body + "2 200":
            sys.exit(
                f"port {port}: {path} over HTTP/2 answers {len(got)} bytes,"
                f" {got[-20:]!r} at the end"
            )


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
