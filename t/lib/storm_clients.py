# storm_clients.py -- clients that do not stop coming, and forgive nothing.
#
#     storm_clients.py PORT TLS_PORT H2C_PORT CA
#
# HTTP/1.1, the same over TLS, HTTP/2 by prior knowledge and over TLS, some of
# each, with GET and POST, new connections and kept ones.  Between two requests
# of a connection they think for up to 0.3 s, and longer where the machine is
# busy: a server which is replaced is to give an idle one much more than that
# (keepalive_drain_grace).  Every answer is "PID", of the worker that made it.
#
# Until end-of-file on standard input; then one line of JSON:
#
#     {"requests": N, "connections": N,
#      "failed": [[kind, pid, why, when, begun] ...]}
#
# pid is that of the worker the connection was with, 0 if no answer came on it;
# it was begun, and failed when, by the clock.  A line "N" on standard input is answered with the
# number of failures so far, a line "mark" with how many requests there were.

import json
import random
import select
import socket
import ssl
import sys
import threading
import time

sys.dont_write_bytecode = True
import h2_raw  # noqa: E402

THINK = 0.3
PATIENCE = 30

lock = threading.Lock()
failed = []
requests = 0
connections = 0
over = threading.Event()
ports = [int(p) for p in sys.argv[1:4]]
ca = sys.argv[4]


def note(kind, pid, why, begun=0):
    with lock:
        failed.append([kind, pid, why, time.time(), begun])


def counted(what):
    global requests, connections
    with lock:
        if what == 'request':
            requests += 1
        else:
            connections += 1


def think(rng):
    over.wait(rng.uniform(0, THINK))


class H1:
    """A connection of HTTP/1.1, or (context) of that over TLS."""

    def __init__(self, kind, port, context):
        self.kind, self.pid, self.buffer = kind, 0, b''
        self.sock = socket.create_connection(('127.0.0.1', port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.sock = context.wrap_socket(self.sock,
                                            server_hostname='localhost')
        counted('connection')

    def ask(self, body):
        """Whether the connection may be used again."""
        head = b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
        if body:
            head = (b'POST / HTTP/1.1\r\nHost: localhost\r\n'
                    b'Content-Length: %d\r\n\r\n' % len(body))
        self.sock.sendall(head + body)
        while b'\r\n\r\n' not in self.buffer:
            self.fill('before an answer')
        head, _, self.buffer = self.buffer.partition(b'\r\n\r\n')
        lines = head.split(b'\r\n')
        if not lines[0].startswith(b'HTTP/1.1 200'):
            raise OSError('answer: ' + repr(lines[0]))
        fields = dict(line.lower().split(b': ', 1) for line in lines[1:])
        size = int(fields[b'content-length'])
        while len(self.buffer) < size:
            self.fill('within an answer')
        self.pid = int(self.buffer[:size])
        self.buffer = self.buffer[size:]
        counted('request')
        return fields.get(b'connection') != b'close'

    def fill(self, when):
        data = self.sock.recv(65536)
        if not data:
            raise OSError('the connection ended ' + when)
        self.buffer += data

    def close(self):
        self.sock.close()


class H2:
    """A connection of HTTP/2: one to three requests at a time."""

    def __init__(self, kind, port, tls):
        self.kind, self.pid = kind, 0
        self.client = h2_raw.Client(port, tls=tls, wait=PATIENCE)
        counted('connection')

    def ask(self, body, rng):
        c = self.client
        c.pump(0)
        if c.goaway is not None:
            self.is_gone()
            return False
        method = 'POST' if body else 'GET'
        streams = []
        for _ in range(rng.randint(1, 3)):
            stream = c.open(h2_raw.request('/', method), end=not body)
            if body:
                c.send(h2_raw.frame(h2_raw.DATA, h2_raw.END_STREAM, stream,
                                    body))
            streams.append(stream)
        for stream in streams:
            s = c.finish(stream)
            if s.ended and s.status == 200:
                self.pid = int(s.data)
                counted('request')
            elif c.goaways and stream > c.goaways[-1][0] and not s.ended:
                pass  # not begun, and that was said: it may be sent again
            else:
                raise OSError('stream %d: status %s, reset %s, goaways %s, '
                              'closed %s' % (stream, s.status, s.reset,
                                             c.goaways, c.closed))
        return c.goaway is None

    def is_gone(self):
        if self.client.goaway != 'NO_ERROR':
            raise OSError('GOAWAY ' + self.client.goaway)

    def is_early(self):
        """Its end without a GOAWAY."""
        self.client.pump(0)
        return self.client.closed and self.client.goaway is None

    def close(self):
        self.client.close()


def ended(sock):
    """Whether an idle connection was closed by the server."""
    if not select.select([sock], [], [], 0)[0]:
        return False
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.setblocking(False)
            try:
                return sock.recv(1) == b''
            except (ssl.SSLWantReadError, BlockingIOError):
                return False
            finally:
                sock.settimeout(PATIENCE)
        return sock.recv(1, socket.MSG_PEEK) == b''
    except OSError:
        return True


def run(kind, port, context, seed):
    rng = random.Random(seed)
    while not over.is_set():
        c = None
        begun = time.time()
        try:
            if kind.startswith('h2'):
                c = H2(kind, port, ca if context else None)
            else:
                c = H1(kind, port, context)
            for _ in range(rng.choice((1, 5, 50))):
                body = bytes(rng.randrange(0, 3000)) if rng.random() < 0.3 \
                    else b''
                if kind.startswith('h2'):
                    if c.is_early():
                        raise OSError('closed while idle, without a GOAWAY')
                    go_on = c.ask(body, rng)
                else:
                    if ended(c.sock):
                        raise OSError('closed while idle, before its time')
                    go_on = c.ask(body)
                if not go_on or over.is_set():
                    break
                think(rng)
        except Exception as e:  # whatever it is, somebody was not served
            note(kind, c.pid if c is not None else 0,
                 '%s: %s' % (type(e).__name__, e), begun)
            time.sleep(0.02)
        finally:
            if c is not None:
                c.close()


def main():
    context = ssl.create_default_context(cafile=ca)
    threads = []
    for kind, port, n in (('h1', ports[0], 6), ('tls', ports[1], 4),
                          ('h2c', ports[2], 4), ('h2', ports[1], 3)):
        for i in range(n):
            threads.append(threading.Thread(
                target=run, daemon=True,
                args=(kind, port,
                      context if kind in ('tls', 'h2') else None,
                      '%s %d' % (kind, i))))
    for t in threads:
        t.start()
    for line in sys.stdin:
        with lock:
            print(requests if line.strip() == 'mark' else len(failed),
                  flush=True)
    over.set()
    for t in threads:
        t.join(PATIENCE + 5)
        if t.is_alive():
            note('thread', 0, 'a client does not end')
    print(json.dumps({'requests': requests, 'connections': connections,
                      'failed': failed}), flush=True)


main()
