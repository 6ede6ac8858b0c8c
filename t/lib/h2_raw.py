# h2_raw.py -- an HTTP/2 client that says whatever it is told to.
#
# Frames are made and taken apart by hand, heads are written literally, so
# that a test may break any rule; only what the server compresses is decoded
# by python3-hpack.

import os
import select
import socket
import ssl
import struct
import sys
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, \
    WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
PRIO = 32
# How much longer than on a quiet machine anything may take.
PATIENCE = float(os.environ.get('TEST_VEIL_PATIENCE') or 2)
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
ERRORS = ('NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR '
          'SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM '
          'CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM '
          'INADEQUATE_SECURITY HTTP_1_1_REQUIRED').split()


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] \
        + struct.pack('>BBI', kind, flags, stream) + payload


def number(value, bits, first):
    """An integer of HPACK (RFC 7541, 5.1)."""
    top = (1 << bits) - 1
    if value < top:
        return bytes([first | value])
    out = [first | top]
    value -= top
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def literal(fields):
    """A head without compression."""
    out = b''
    for name, value in fields:
        name = name if isinstance(name, bytes) else name.encode()
        value = value if isinstance(value, bytes) else value.encode()
        out += b'\0' + number(len(name), 7, 0) + name \
            + number(len(value), 7, 0) + value
    return out


def request(path='/ok', method='GET', more=(), authority='localhost'):
    return [(':method', method), (':scheme', 'http'), (':path', path),
            (':authority', authority)] + list(more)


def settings(*pairs):
    return frame(SETTINGS, 0, 0,
                 b''.join(struct.pack('>HI', i, v) for i, v in pairs))


def huffman(text):
    """A string of HPACK in Huffman's code (RFC 7541, 5.2)."""
    text = text if isinstance(text, bytes) else text.encode()
    packed = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES,
        hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(text)
    return number(len(packed), 7, 0x80) + packed


def text(value):
    """A string of HPACK as it is."""
    value = value if isinstance(value, bytes) else value.encode()
    return number(len(value), 7, 0) + value


class Stream:
    def __init__(self):
        self.status = None
        self.packed = []  # heads as they came
        self.heads = []
        self.data = b''
        self.ended = False
        self.reset = None


class Client:
    def __init__(self, port, preface=True, pairs=(), tls=None, wait=10,
                 cert=None, context=None, alpn=('h2',), buffer=None):
        self.sock = socket.socket()
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(('127.0.0.1', port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            context = context or ssl.create_default_context(cafile=tls)
            if alpn:
                context.set_alpn_protocols(list(alpn))
            if cert is not None:
                context.load_cert_chain(*cert)
            self.sock = context.wrap_socket(self.sock,
                                            server_hostname='localhost')
        self.wait = wait * PATIENCE
        self.buffer = b''
        self.closed = False
        self.frames = []
        self.streams = {}
        self.goaway = None
        self.goaways = []
        self.settings = {}
        self.pongs = set()
        self.decoder = hpack.Decoder()
        self.decoder.max_allowed_table_size = 65536
        self.head = None  # of frames that are not complete
        self.next = 1
        self.credit = True  # what comes may come again
        self.ack = True     # SETTINGS are acknowledged
        self.window = {0: 65535}
        if preface:
            self.send(PREFACE + settings(*pairs))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def get(self, stream):
        return self.streams.setdefault(stream, Stream())

    def open(self, fields=None, end=True, stream=None):
        """Sends a head; the stream's number."""
        if stream is None:
            stream = self.next
            self.next += 2
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0),
                        stream, literal(fields or request())))
        return stream

    def room(self, stream):
        return self.window.get(stream, self.settings.get(4, 65535))

    def upload(self, stream, data, end=True, pad=None, seconds=None):
        """Sends data as the windows allow; False when they stay shut, for
        so many seconds if that is what is expected."""
        extra = 0 if pad is None else pad + 1
        while data:
            if not self.until(lambda: self.get(stream).reset is not None
                              or min(self.room(0),
                                     self.room(stream)) > extra, seconds):
                return False
            if self.get(stream).reset is not None or self.closed:
                return False
            n = min(self.room(0), self.room(stream), 16384) - extra
            n = min(n, 16384 - extra, len(data))
            self.window[0] -= n + extra
            self.window[stream] = self.room(stream) - n - extra
            part, data = data[:n], data[n:]
            last = END_STREAM if end and not data else 0
            if pad is None:
                self.send(frame(DATA, last, stream, part))
            else:
                self.send(frame(DATA, last | PADDED, stream,
                                bytes([pad]) + part + bytes(pad)))
            self.pump(0)
        return True

    def _take(self, kind, flags, stream, payload):
        self.frames.append((kind, flags, stream, payload))
        assert self.head is None or (kind, stream) == (
            CONTINUATION, self.head[0]), 'a frame within a head'
        if kind == HEADERS:
            self.head = [stream, flags, payload]
        elif kind == CONTINUATION:
            self.head[2] += payload
        if kind in (HEADERS, CONTINUATION) and flags & END_HEADERS:
            payload = self.head[2]
            flags |= self.head[1]
            kind, self.head = HEADERS, None
            fields = self.decoder.decode(payload)
            s = self.get(stream)
            s.packed.append(payload)
            s.heads.append([(n, v) for n, v in fields])
            status = dict(fields).get(':status')
            if status is not None:
                s.status = int(status)
        elif kind == DATA:
            self.get(stream).data += payload
            if self.credit and payload:
                n = struct.pack('>I', len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, n))
                if not flags & END_STREAM:
                    self.send(frame(WINDOW_UPDATE, 0, stream, n))
        elif kind == WINDOW_UPDATE:
            n, = struct.unpack('>I', payload)
            self.window[stream] = self.room(stream) + n
        elif kind == RST_STREAM:
            self.get(stream).reset = \
                ERRORS[struct.unpack('>I', payload)[0]]
        elif kind == GOAWAY:
            last, code = struct.unpack('>II', payload[:8])
            self.goaway = ERRORS[code]
            self.goaways.append((last, ERRORS[code]))
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                i, v = struct.unpack('>HI', payload[at:at + 6])
                self.settings[i] = v
            if self.ack:
                self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING:
            if flags & ACK:
                self.pongs.add(payload)
            else:
                self.send(frame(PING, ACK, 0, payload))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.get(stream).ended = True

    def pump(self, seconds):
        """Reads once, what is there or comes in that time."""
        if self.closed:
            return False
        pending = getattr(self.sock, 'pending', lambda: 0)()
        if not pending and not select.select([self.sock], [], [], seconds)[0]:
            return False
        try:
            data = self.sock.recv(262144)
        except OSError:
            data = b''
        if not data:
            self.closed = True
            return True
        self.buffer += data
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], 'big')
            if len(self.buffer) < 9 + size:
                break
            kind, flags, stream = struct.unpack('>BBI', self.buffer[3:9])
            assert not stream & 0x80000000, 'a reserved bit'
            payload = self.buffer[9:9 + size]
            self.buffer = self.buffer[9 + size:]
            self._take(kind, flags, stream & 0x7fffffff, payload)
        return True

    def until(self, what, seconds=None):
        """Reads until what() is true; False when that does not come.  The
        seconds are as they stand: for what is not to come."""
        end = time.monotonic() + (seconds or self.wait)
        while not what():
            left = end - time.monotonic()
            if left <= 0 or self.closed:
                return what()
            self.pump(left)
        return True

    def fence(self):
        """All that was sent is dealt with: True, or the connection ended."""
        word = struct.pack('>Q', len(self.pongs) + 1)
        self.send(frame(PING, 0, 0, word))
        self.until(lambda: word in self.pongs)
        return word in self.pongs

    def finish(self, stream):
        s = self.get(stream)
        self.until(lambda: s.ended or s.reset is not None)
        return s

    def ask(self, fields=None, body=None):
        stream = self.open(fields, end=body is None)
        if body is not None:
            self.send(frame(DATA, END_STREAM, stream, body))
        return self.finish(stream)

    def alive(self):
        s = self.ask()
        return s.status == 200 and s.data == b'ok'

    def close(self):
        self.sock.close()


failed = 0


def check(fine, name, why=''):
    global failed
    print('%s - %s%s' % ('ok' if fine else 'not ok', name,
                         '' if fine else ': %s' % (why,)))
    sys.stdout.flush()
    failed += not fine
