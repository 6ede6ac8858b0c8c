"""What bench/run measures: a list of scenarios, as data.

Each names a path, what must come back, how many connections there are and who
takes part; over TLS also how it is loaded (wrk, or tlsload's arguments) and
the certificate; and the most that veil should take of nginx's CPU time.
"""

import benchlib

BODIES = {
    "hello": benchlib.HELLO,
    "kb": benchlib.KB,
    "mb": benchlib.KB * 1024,
}

HTTP1 = [
    ("return-64", "/return", "hello", 64, "veil nginx haproxy"),
    ("return-1024", "/return", "hello", 1024, "veil nginx haproxy"),
    ("static1k-64", "/1k", "kb", 64, "veil nginx"),
    ("static1k-1024", "/1k", "kb", 1024, "veil nginx"),
    ("static1m-16", "/1m", "mb", 16, "veil nginx"),
    ("static1m-64", "/1m", "mb", 64, "veil nginx"),
    ("proxy1k-64", "/proxy", "kb", 64, "veil nginx haproxy"),
    ("proxy1k-1024", "/proxy", "kb", 1024, "veil nginx haproxy"),
    ("tls1k-64", "/1k", "kb", 64, "veil nginx", "wrk", "ecdsa", 0.80),
    ("tls1m-16", "/1m", "mb", 16, "veil nginx", "wrk", "ecdsa", 1.00),
    ("handshake-ecdsa-16", "/1k", "kb", 16, "veil nginx", "full 1.3",
     "ecdsa", 0.85),
    ("handshake-ecdsa12-16", "/1k", "kb", 16, "veil nginx", "full 1.2",
     "ecdsa", None),
    ("handshake-rsa-16", "/1k", "kb", 16, "veil nginx", "full 1.3", "rsa",
     None),
    ("resumed-tls13-16", "/1k", "kb", 16, "veil nginx", "resumed 1.3",
     "ecdsa", 0.85),
    ("resumed-tls12-16", "/1k", "kb", 16, "veil nginx", "resumed 1.2",
     "ecdsa", None),
]

# Over HTTP/2, each with 1, 10 and 100 connections, h2c and over TLS: kind,
# path, what comes back, the targets of h2c by connections.
HTTP2 = [
    ("static1k", "/1k", "kb", {10: 0.75}),
    ("proxy1k", "/proxy", "kb", {10: 0.85}),
    ("static1m", "/1m", "mb", {1: 1.00, 10: 1.00, 100: 1.00}),
    ("proxy1m", "/proxy1m", "mb", {1: 1.00, 10: 1.00, 100: 1.00}),
]
CONNECTIONS = (1, 10, 100)
STREAMS = 100


class Scenario:
    def __init__(self, name, path, body, connections, who, how="plain",
                 certificate=None, target=None):
        self.name = name
        self.path = path
        self.body = BODIES[body]
        self.connections = connections
        self.who = who.split()
        self.h2 = how in ("h2", "h2c")
        self.tls = how not in ("plain", "h2c")
        self.tlsload = how.split() if " " in how else None
        self.certificate = certificate
        self.target = target
        self.rates = {}  # of servers, as found so far; for h2load
        # Proxied, each stream is a connection to the backend.  10,000 of
        # those with 1 MB under way would measure the kernel's memory limits.
        self.streams = STREAMS
        if path == "/proxy1m":
            self.streams = min(STREAMS, 1000 // connections)

    def port(self, server):
        if self.h2:
            return server.h2_port if self.tls else server.h2c_port
        if self.certificate == "rsa":
            return server.rsa_port
        return server.tls_port if self.tls else server.port


def everything():
    found = [Scenario(*s) for s in HTTP1]
    for how in ("h2c", "h2"):
        for kind, path, body, targets in HTTP2:
            for n in CONNECTIONS:
                found.append(Scenario(
                    f"{how}-{kind}-{n}", path, body, n, "veil nginx h2o", how,
                    None, targets.get(n) if how == "h2c" else None,
                ))
    return found
