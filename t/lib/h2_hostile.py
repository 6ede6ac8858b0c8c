# h2_hostile.py LOG -- servers of HTTP/2 that misbehave, each in a way of its
# own and on a port of its own.
#
# Prints a line "name port expectation" for each, and an empty one; then
# serves.  An expectation is what a client of a proxy in front should see:
# a status, or "cut": not a complete answer with 200.  What it heard goes to
# LOG: "name connection event".

import os
import threading

import hpack

from h2_raw import *

log = open(sys.argv[1], 'a', buffering=1)
SETTINGS_ONLY = settings()
KB16 = 16384
ALL = []


class Gone(Exception):
    pass


class Peer:
    def __init__(self, sock, name, number):
        self.sock = sock
        self.name = name
        self.number = number
        self.buffer = b''
        self.decoder = hpack.Decoder()

    def note(self, what):
        log.write('%s %d %s\n' % (self.name, self.number, what))

    def send(self, *data):
        try:
            self.sock.sendall(b''.join(data))
        except OSError:
            raise Gone from None

    def need(self, n):
        while len(self.buffer) < n:
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b''
            if not data:
                self.note('end')
                raise Gone
            self.buffer += data

    def take(self):
        """The next frame."""
        self.need(9)
        size = int.from_bytes(self.buffer[:3], 'big')
        self.need(9 + size)
        kind, flags, stream = struct.unpack('>BBI', self.buffer[3:9])
        payload = self.buffer[9:9 + size]
        self.buffer = self.buffer[9 + size:]
        if kind == GOAWAY:
            self.note('goaway %s' % ERRORS[int.from_bytes(payload[4:8],
                                                          'big')])
        elif kind == RST_STREAM:
            self.note('reset %d %s' % (stream & 0x7fffffff, ERRORS[
                int.from_bytes(payload, 'big')]))
        return kind, flags, stream & 0x7fffffff, payload

    def preface(self):
        self.need(len(PREFACE))
        self.buffer = self.buffer[len(PREFACE):]

    def request(self):
        """The stream of the next request."""
        while True:
            kind, flags, stream, payload = self.take()
            if kind == HEADERS:
                self.note('request %d %s' % (stream, dict(
                    self.decoder.decode(payload))[':method']))
                return stream

    def drain(self):
        while True:
            self.take()

    def start(self, *pairs):
        self.preface()
        self.send(settings(*pairs))
        return self.request()


def head(stream, more=(), status='200', flags=END_HEADERS):
    fields = ([(':status', status)] if status else []) + list(more)
    return frame(HEADERS, flags, stream, literal(fields))


def ok(stream):
    return head(stream) + frame(DATA, END_STREAM, stream, b'ok')


def peer(name, expected):
    """Registers what follows: called with a connection."""
    def decorate(run):
        ALL.append((name, str(expected), run))
        return run
    return decorate


def says(name, expected, what):
    """A peer that answers its first request with the bytes of what(stream),
    then waits for the end."""
    @peer(name, expected)
    def run(c):
        n = c.start()
        c.send(what(n))
        c.drain()


def floods(name, expected, what, first=lambda n: b''):
    @peer(name, expected)
    def run(c):
        n = c.start()
        c.send(first(n))
        # What is sent is what the other side has read, and little more.
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        try:
            for i in range(12000):
                c.send(what(n) * 25)
        except Gone:
            c.note('over after %d' % (25 * i))
            raise


# --- before anything is said

@peer('closes', 502)
def run(c):
    pass


@peer('resets', 502)
def run(c):
    c.preface()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      struct.pack('ii', 1, 0))


@peer('silent', 504)
def run(c):
    c.note('connected')
    c.drain()


@peer('late', 200)
def run(c):
    c.preface()
    n = c.request()
    time.sleep(0.2)
    c.send(SETTINGS_ONLY, ok(n))
    c.drain()


@peer('http1', 502)
def run(c):
    c.send(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
    c.drain()


@peer('noise', 502)
def run(c):
    c.send(bytes(range(1, 256)) * 20)
    c.drain()


@peer('no-settings', 502)
def run(c):
    c.preface()
    c.send(ok(c.request()))
    c.drain()


@peer('never', 504)
def run(c):
    c.start()
    c.drain()


@peer('streams-0', 504)
def run(c):
    c.send(settings((3, 0)))
    c.preface()
    c.drain()


@peer('streams-0-refused', 502)
def run(c):
    c.send(settings((3, 0)))
    c.preface()
    while True:
        c.send(frame(RST_STREAM, 0, c.request(), struct.pack('>I', 7)))


# --- frames that are wrong

U32 = struct.Struct('>I').pack
for name, expected, what in (
        ('data-on-0', 502, lambda n: frame(DATA, 0, 0, b'x')),
        ('data-on-idle', 502, lambda n: frame(DATA, 0, n + 2, b'x')),
        ('data-first', 502, lambda n: frame(DATA, 0, n, b'x')),
        ('data-padding', 'cut',
         lambda n: head(n) + frame(DATA, PADDED, n, b'\xffx')),
        ('headers-on-0', 502, lambda n: head(0)),
        ('headers-on-even', 502, lambda n: head(2)),
        ('headers-on-idle', 502, lambda n: head(n + 2)),
        ('headers-empty', 502, lambda n: frame(HEADERS, 4, n)),
        ('priority-4', 502, lambda n: frame(PRIORITY, 0, n, b'1234')),
        ('rst-on-0', 502, lambda n: frame(RST_STREAM, 0, 0, U32(8))),
        ('rst-on-idle', 502, lambda n: frame(RST_STREAM, 0, n + 2, U32(8))),
        ('rst-3', 502, lambda n: frame(RST_STREAM, 0, n, b'123')),
        ('settings-5', 502, lambda n: frame(SETTINGS, 0, 0, b'12345')),
        ('settings-on-1', 502, lambda n: frame(SETTINGS, 0, n)),
        ('settings-ack-6', 502, lambda n: frame(SETTINGS, ACK, 0, b'123456')),
        ('settings-push', 502, lambda n: settings((2, 1))),
        ('settings-window', 502, lambda n: settings((4, 1 << 31))),
        ('settings-frame', 502, lambda n: settings((5, 100))),
        ('push', 200,
         lambda n: frame(PUSH_PROMISE, END_HEADERS, n,
                         U32(2) + literal(request() + [('x-pushed', '1')]))
         + ok(n)),
        ('ping-7', 502, lambda n: frame(PING, 0, 0, b'1234567')),
        ('ping-on-1', 502, lambda n: frame(PING, 0, n, b'12345678')),
        ('goaway-on-1', 502, lambda n: frame(GOAWAY, 0, n, U32(0) + U32(0))),
        ('goaway-4', 502, lambda n: frame(GOAWAY, 0, 0, U32(0))),
        ('window-0', 502, lambda n: frame(WINDOW_UPDATE, 0, n, U32(0))),
        ('window-0-all', 502, lambda n: frame(WINDOW_UPDATE, 0, 0, U32(0))),
        ('window-over', 502,
         lambda n: frame(WINDOW_UPDATE, 0, n, U32(0x7fffffff)) * 2),
        ('window-over-all', 502,
         lambda n: frame(WINDOW_UPDATE, 0, 0, U32(0x7fffffff)) * 2),
        ('window-on-idle', 502,
         lambda n: frame(WINDOW_UPDATE, 0, n + 2, U32(1))),
        ('continuation', 502, lambda n: frame(CONTINUATION, 4, n)),
        ('interleaved', 502,
         lambda n: frame(HEADERS, 0, n, literal([(':status', '200')]))
         + frame(PING, 0, 0, b'12345678')),
        ('too-long', 'cut',
         lambda n: head(n) + frame(DATA, 0, n, b'x' * (KB16 + 1))),
        ('unknown', 200,
         lambda n: frame(77, 255, n, b'whatever') + ok(n)),
        # --- HPACK
        ('hpack-index', 502, lambda n: frame(HEADERS, 5, n, b'\xff\x40')),
        ('hpack-zero', 502, lambda n: frame(HEADERS, 5, n, b'\x80')),
        ('hpack-cut', 502, lambda n: frame(HEADERS, 5, n, b'\x00\x7f')),
        ('hpack-huffman', 502,
         lambda n: frame(HEADERS, 5, n, b'\x88\x00\x81\xff\x81\xff')),
        ('hpack-size', 502,
         lambda n: frame(HEADERS, 5, n, b'\x3f\xff\xff\xff\x07\x88')),
        ('hpack-number', 502,
         lambda n: frame(HEADERS, 5, n, b'\xff' * 12)),
        # --- heads
        ('no-status', 502, lambda n: head(n, [('a', 'b')], status=None,
                                          flags=5)),
        ('two-status', 502,
         lambda n: head(n, [(':status', '200')], flags=5)),
        ('status-letters', 502, lambda n: head(n, status='abc', flags=5)),
        ('status-99', 502, lambda n: head(n, status='99', flags=5)),
        ('status-4', 502, lambda n: head(n, status='2000', flags=5)),
        ('status-101', 502, lambda n: head(n, status='101', flags=5)),
        ('interim-end', 502, lambda n: head(n, status='103', flags=5)),
        ('interim-data', 502,
         lambda n: head(n, status='103') + frame(DATA, 1, n, b'x')),
        ('pseudo-path', 502, lambda n: head(n, [(':path', '/')], flags=5)),
        ('pseudo-late', 502,
         lambda n: head(n, [('a', 'b'), (':status', '200')], status=None,
                        flags=5)),
        ('name-upper', 502, lambda n: head(n, [('Abc', 'b')], flags=5)),
        ('name-empty', 502, lambda n: head(n, [('', 'b')], flags=5)),
        ('name-space', 502, lambda n: head(n, [('a b', 'b')], flags=5)),
        ('name-crlf', 502, lambda n: head(n, [('a\r\nb', 'b')], flags=5)),
        ('value-crlf', 502,
         lambda n: head(n, [('a', 'b\r\nset-cookie: c')], flags=5)),
        ('value-nul', 502, lambda n: head(n, [('a', 'b\0c')], flags=5)),
        ('connection', 502,
         lambda n: head(n, [('connection', 'close')], flags=5)),
        ('chunked', 502,
         lambda n: head(n, [('transfer-encoding', 'chunked')], flags=5)),
        ('length-text', 502,
         lambda n: head(n, [('content-length', 'x')], flags=5)),
        ('length-twice', 502,
         lambda n: head(n, [('content-length', '2')] * 2)
         + frame(DATA, 1, n, b'ok')),
        ('length-end', 502,
         lambda n: head(n, [('content-length', '2')], flags=5)),
        ('big', 502,
         lambda n: frame(HEADERS, 1, n, literal([(':status', '200'),
                                                 ('a', 'x' * 15000)]))
         + frame(CONTINUATION, 4, n, literal([('b', 'x' * 15000)]))),
        # --- bodies
        ('length-short', 'cut',
         lambda n: head(n, [('content-length', '5')])
         + frame(DATA, 1, n, b'ok')),
        ('length-long', 'cut',
         lambda n: head(n, [('content-length', '1')])
         + frame(DATA, 1, n, b'ok')),
        ('trailers-open', 'cut',
         lambda n: head(n) + frame(DATA, 0, n, b'ok')
         + head(n, [('a', 'b')], status=None)),
        ('trailers-pseudo', 'cut',
         lambda n: head(n) + frame(DATA, 0, n, b'ok') + head(n, flags=5)),
        ('two-heads', 'cut', lambda n: head(n) + head(n)),
        ('data-after-end', 200, lambda n: ok(n) + frame(DATA, 0, n, b'x')),
        ('headers-after-end', 200, lambda n: ok(n) + head(n)),
        ('big-trailers', 'cut',
         lambda n: head(n) + frame(DATA, 0, n, b'ok')
         + head(n, [('a', 'x' * 15000)], status=None, flags=5)),
        ('goaway-half', 'cut',
         lambda n: head(n) + frame(DATA, 0, n, b'ok')
         + frame(GOAWAY, 0, 0, U32(0) + U32(0))),
        ('goaway-last', 200,
         lambda n: frame(GOAWAY, 0, 0, U32(n) + U32(0)) + ok(n)),
        ('goaway-error', 200,
         lambda n: frame(GOAWAY, 0, 0, U32(n) + U32(2)) + ok(n)),
        ('padded', 200,
         lambda n: head(n) + frame(DATA, 9, n, b'\x03ok' + bytes(3))),
):
    says(name, expected, what)

for code, error in enumerate(ERRORS):
    if error not in ('REFUSED_STREAM', 'HTTP_1_1_REQUIRED'):
        says('rst-' + error.lower().replace('_', '-'), 502,
             lambda n, code=code: frame(RST_STREAM, 0, n, U32(code)))
says('rst-unknown', 502, lambda n: frame(RST_STREAM, 0, n, U32(12345)))
says('half-rst', 'cut',
     lambda n: head(n) + frame(DATA, 0, n, b'ok')
     + frame(RST_STREAM, 0, n, U32(0)))


@peer('half-close', 'cut')
def run(c):
    n = c.start()
    c.send(head(n), frame(DATA, 0, n, b'ok'))


@peer('half-frame', 'cut')
def run(c):
    n = c.start()
    c.send(head(n), frame(DATA, 0, n, b'okok')[:-2])


@peer('half-silent', 'cut')
def run(c):
    n = c.start()
    c.send(head(n), frame(DATA, 0, n, b'ok'))
    c.drain()


@peer('window-shut', 504)           # of a POST
def run(c):
    c.start((4, 0))
    c.drain()


# --- floods

floods('ping-flood', 502, lambda n: frame(PING, 0, 0, b'12345678'))
floods('ping-ack-flood', 502, lambda n: frame(PING, ACK, 0, b'12345678'))
floods('settings-flood', 502, lambda n: settings((3, 100)))
floods('settings-ack-flood', 502, lambda n: frame(SETTINGS, ACK, 0))
floods('priority-flood', 502,
       lambda n: frame(PRIORITY, 0, n, U32(0) + b'1'))
floods('window-flood', 502, lambda n: frame(WINDOW_UPDATE, 0, 0, U32(1)))
floods('unknown-flood', 502, lambda n: frame(99, 0, n, b'x'))
floods('goaway-flood', 502,
       lambda n: frame(GOAWAY, 0, 0, U32(n) + U32(0)))
floods('empty-data-flood', 'cut', lambda n: frame(DATA, 0, n), head)
floods('padding-flood', 'cut', lambda n: frame(DATA, PADDED, n, b'\0'), head)
floods('interim-flood', 502, lambda n: head(n, status='103'))
floods('continuation-flood', 502, lambda n: frame(CONTINUATION, 0, n),
       lambda n: frame(HEADERS, 0, n, literal([(':status', '200')])))
floods('continuation-fields', 502,
       lambda n: frame(CONTINUATION, 0, n, literal([('a', 'x' * 200)])),
       lambda n: frame(HEADERS, 0, n, literal([(':status', '200')])))
floods('rst-flood', 502, lambda n: frame(RST_STREAM, 0, n, U32(2)))
# One field into the table, then one byte for each more.
floods('hpack-bomb', 502, lambda n: frame(CONTINUATION, 0, n, b'\xbe' * KB16),
       lambda n: frame(HEADERS, 0, n, literal([(':status', '200')]) + b'\x40'
                       + number(1, 7, 0) + b'b' + number(3000, 7, 0)
                       + b'x' * 3000))


@peer('body-flood', 'cut')           # beyond the windows
def run(c):
    n = c.start()
    c.send(head(n))
    while True:
        c.send(frame(DATA, 0, n, b'x' * KB16) * 16)


@peer('reads-nothing', 504)          # of a POST
def run(c):
    c.preface()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send(settings((4, 0x7fffffff)), frame(WINDOW_UPDATE, 0, 0,
                                            U32(0x7fff0000)))
    time.sleep(20)


# --- many at once: the connection dies with all of them half-way

@peer('dies', 'cut')
def run(c):
    c.preface()
    c.send(settings((3, 1000)))
    n = [c.request() for i in range(100)]
    c.send(*[head(s) + frame(DATA, 0, s, b'half') for s in n])
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      struct.pack('ii', 1, 0))


@peer('dies-first', 502)
def run(c):
    c.preface()
    c.send(settings((3, 1000)))
    for i in range(100):
        c.request()


# All are refused on the first connection, in one way or another.
def refuses(name, how):
    seen = []

    @peer(name, 200)
    def run(c):
        n = c.start((3, 1000))
        seen.append(c)
        if len(seen) == 1:
            c.send(how(n))
        else:
            c.send(ok(n))
            while True:
                c.send(ok(c.request()))
        c.drain()


refuses('refused', lambda n: frame(RST_STREAM, 0, n, U32(7)))
refuses('goaway-0', lambda n: frame(GOAWAY, 0, 0, U32(0) + U32(0)))
refuses('goaway-0-error', lambda n: frame(GOAWAY, 0, 0, U32(0) + U32(11)))


@peer('wants-http1', 200)
def run(c):
    c.need(3)
    if c.buffer[:3] == b'PRI':
        c.send(frame(RST_STREAM, 0, c.start(), U32(13)))
        c.drain()
    c.note('request 0 ' + c.buffer[:4].decode().strip())
    c.send(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    c.drain()


@peer('good', 200)
def run(c):
    c.preface()
    c.send(settings((3, 100)))
    while True:
        c.send(ok(c.request()))


def serve(sock, name, number, run):
    try:
        run(Peer(sock, name, number))
    except Gone:
        pass
    except Exception as e:
        log.write('%s %d error %r\n' % (name, number, e))
    sock.close()


def listen(listening, name, run):
    number = 0
    while True:
        sock, _ = listening.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        threading.Thread(target=serve, args=(sock, name, number, run),
                         daemon=True).start()


for name, expected, run in ALL:
    listening = socket.create_server(('127.0.0.1', 0), backlog=200)
    print(name, listening.getsockname()[1], expected)
    threading.Thread(target=listen, args=(listening, name, run),
                     daemon=True).start()
print(flush=True)
while True:
    time.sleep(1000)
