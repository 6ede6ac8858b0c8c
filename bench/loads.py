"""What makes the requests: wrk, tlsload (bench/tlsload.c), h2load.

Each function makes one run and returns {requests, rps, errors, ...}.
"""

import os
import re
import subprocess
import sys


def build(name, veil, root):
    """A program of this directory, built beside the server; None: it cannot."""
    for d in (os.path.dirname(veil), os.path.join(root, "objs")):
        if not os.path.exists(os.path.join(d, "Makefile")):
            continue
        made = subprocess.run(
            ["make", "-s", "-C", root, "-f",
             os.path.join(os.path.abspath(d), "Makefile"), "bench-" + name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if made.returncode == 0:
            return os.path.join(d, "bench", name)
        print(made.stdout)
    return None


def output(args, core, seconds, **more):
    return subprocess.run(
        ["taskset", "-c", str(core)] + args,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 60,
        **more,
    ).stdout


def tlsload(a, server, scenario, seconds, core):
    """One run of tlsload: handshakes count as requests."""
    kind, version = scenario.tlsload
    out = output(
        [a.tlsload, str(scenario.port(server)), kind, version,
         str(scenario.connections), str(seconds), scenario.path],
        core, seconds,
    )
    m = re.match(
        r"handshakes (\d+) resumed (\d+) seconds ([\d.]+) errors (\d+)"
        r" agreed (.*)", out
    )
    if not m or m[1] == "0":
        sys.exit(f"tlsload failed on {server.name}:\n" + out)
    count, resumed, errors = int(m[1]), int(m[2]), int(m[4])
    # Only the first of each place has nothing to resume.
    full = count - resumed
    wrong = kind == "resumed" and full > scenario.connections + errors
    return {
        "requests": count,
        "rps": count / float(m[3]),
        "agreed": m[5],
        "errors": (f"{errors} errors" if errors else "")
        + (f" {full} not resumed" if wrong else ""),
    }


def wrk(a, server, scenario, seconds, core):
    """One run of wrk: requests, requests/s, latencies, errors."""
    scheme = "https" if scenario.tls else "http"
    url = f"{scheme}://127.0.0.1:{scenario.port(server)}{scenario.path}"
    # On a machine that has other things to do, it may not get to any request.
    for _ in range(3):
        out = output(
            ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s",
             "--latency", "--timeout", "10s", url],
            core, seconds, env=dict(os.environ, OPENSSL_CONF=a.openssl_conf),
        )
        if not re.search(r"^\s*0 requests in", out, re.M):
            break

    def number(pattern):
        m = re.search(pattern, out)
        return float(m[1]) if m else 0

    def microseconds(percent):
        m = re.search(percent + r"%\s+([\d.]+)(us|ms|s)", out)
        scale = {"us": 1, "ms": 1e3, "s": 1e6}
        return float(m[1]) * scale[m[2]] if m else None

    requests = number(r"(\d+) requests in")
    if not requests:
        sys.exit("wrk failed:\n" + out)
    m = re.search(r"Socket errors: (.*)", out)
    bad = int(number(r"Non-2xx or 3xx responses: (\d+)"))
    return {
        "requests": int(requests),
        "rps": number(r"Requests/sec:\s+([\d.]+)"),
        "p50_us": microseconds("50"),
        "p99_us": microseconds("99"),
        "errors": (m[1] if m else "") + (f" status {bad}" if bad else ""),
    }


def h2load(a, server, scenario, seconds, core):
    """One run of h2load, with so many requests that they should take the time.

    A number and not a time, as of 10,000 answers that are under way, or of
    1 MB each, many are cut off when time is up, and were worked for.  The
    windows are 256 KB and 4 MB, which is between those of browsers; with
    h2load's own, of 1 GB, nginx 1.22 takes large answers for a flood.
    """
    n = int(scenario.rates.get(server.name, 0) * seconds)
    n = max(n, scenario.connections
            * (scenario.streams if len(scenario.body) <= 1024 else 10))
    scheme = "https" if scenario.tls else "http"
    url = f"{scheme}://127.0.0.1:{scenario.port(server)}{scenario.path}"
    hung = 0
    while True:
        try:
            out = output(
                ["h2load", "-t1", f"-c{scenario.connections}",
                 f"-m{scenario.streams}", f"-n{n}", "-w18", "-W22",
                 "--groups=X25519",
                 "--tls13-ciphers=TLS_AES_128_GCM_SHA256", url],
                core, seconds,
            )
            break
        except subprocess.TimeoutExpired:
            hung += 1
            print(f"h2load waits for {server.name} without an end")
            if hung == 3:
                sys.exit("three times, that is enough")
    took = re.search(r"^finished in ([\d.]+)(us|ms|s|m),", out, re.M)
    counts = re.search(r" (\d+) done, (\d+) succeeded, ", out)
    agreed = re.search(r"^Application protocol: (.*)$", out, re.M)
    if not took or not counts or counts[2] == "0":
        sys.exit(f"h2load failed on {server.name}:\n" + out)
    took = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[took[2]]
    good = int(counts[2])
    wrong = not agreed or agreed[1] != ("h2" if scenario.tls else "h2c")
    scenario.rates[server.name] = good / took
    return {
        "requests": good,
        "rps": good / took,
        "errors": (f"{n - good} failed" if good != n else "")
        + (" not HTTP/2" if wrong else "")
        + (f" {hung} hung" if hung else ""),
    }


def load(a, server, scenario, seconds, core):
    if scenario.h2:
        run = h2load
    else:
        run = tlsload if scenario.tlsload else wrk
    return run(a, server, scenario, seconds, core)
