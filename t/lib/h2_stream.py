# h2_stream.py PORT LOG -- both directions of a request at once,
# through a proxy to h2_server.py, whose log is LOG, and to a server of HTTP/1.

import re
import socket

from h2_raw import *

PORT = int(sys.argv[1])
LOG = sys.argv[2]


def log():
    return open(LOG).read()


def until(what, seconds=10):
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def gone(path, error):
    """The peer's stream of that request was reset with this error."""
    where = re.search(r'^(\d+) (\d+) \S+ %s ' % path, log(), re.M)
    return where is not None and until(
        lambda: '%s reset %s %d\n' % (where[1], where[2], error) in log())


def say(c, n, data, end=False):
    c.send(frame(DATA, END_STREAM if end else 0, n, data))


def h2(base, name):
    """A client of HTTP/2; what is behind base answers as h2_server.py."""
    c = Client(PORT)
    n = c.open(request(base + '/chat/' + name, 'POST'), end=False)
    s = c.get(n)
    check(c.until(lambda: s.status == 200), name + ': a head for a head')
    fine = True
    for i in range(20):
        say(c, n, b'%d' % i)
        fine = fine and c.until(
            lambda: s.data.endswith(b'<%d>' % i))
    check(fine, name + ': a word for a word', s.data)
    check(not s.ended and s.reset is None, name + ': it is open')
    say(c, n, b'', True)
    c.finish(n)
    check(s.ended and s.reset is None
          and ('x-heard', '30') in s.heads[-1],
          name + ': the client ends, then the server', (s.heads, s.reset))

    n = c.open(request(base + '/first/' + name, 'POST'), end=False)
    s = c.get(n)
    check(c.until(lambda: s.data == b'hello'),
          name + ': the server speaks first', s.data)
    say(c, n, b'you', True)
    check(c.finish(n).data == b'hello<you>' and s.ended,
          name + ': then the client, to its end', s.data)

    n = c.open(request(base + '/late/' + name, 'POST'), end=False)
    s = c.get(n)
    check(not c.until(lambda: s.status is not None, 0.1),
          name + ': a server that waits', s.status)
    say(c, n, b'a')
    check(c.until(lambda: s.data == b'<a>'), name + ': hears', s.data)
    say(c, n, b'b', True)
    check(c.finish(n).data == b'<a><b>' and s.ended,
          name + ': all', s.data)

    n = c.open(request(base + '/after/' + name, 'POST'), end=False)
    s = c.get(n)
    c.until(lambda: s.status == 200)
    say(c, n, b'', True)
    check(c.finish(n).data == b'onetwothree' and s.ended,
          name + ': an answer after the end of the request', s.data)

    for what in 'done', 'enough':
        n = c.open(request('%s/%s/%s' % (base, what, name), 'POST'),
                   end=False)
        s = c.get(n)
        c.until(lambda: s.ended)
        check(s.status == 200 and s.data == b'enough' and s.ended,
              name + ': the answer ends before the request (%s)' % what,
              (s.status, s.data, s.ended))
        say(c, n, b'more')
        check(c.until(lambda: s.reset is not None) and s.reset == 'NO_ERROR',
              name + ': which may end then', s.reset)
    check(gone('/done/' + name, 8), name + ': the peer is told (CANCEL)')

    n = c.open(request(base + '/give-up/' + name, 'POST'), end=False)
    s = c.get(n)
    c.until(lambda: s.status == 200)
    say(c, n, b'x')
    c.until(lambda: s.reset is not None)
    check(s.reset not in (None, 'NO_ERROR') and not s.ended,
          name + ': a reset after the head is one', (s.reset, s.data))

    n = c.open(request(base + '/chat/abort-' + name, 'POST'), end=False)
    s = c.get(n)
    say(c, n, b'x')
    c.until(lambda: s.data == b'<x>')
    c.send(frame(RST_STREAM, 0, n, struct.pack('>I', 8)))
    check(gone('/chat/abort-' + name, 8),
          name + ': the client cancels, the peer hears it')

    n = c.open(request(base + '/held/' + name, 'POST'), end=False)
    s = c.get(n)
    c.until(lambda: s.status == 200)
    all_of_it = c.upload(n, b'x' * (6 << 20), seconds=0.5)
    check(not all_of_it and s.reset is None,
          name + ': a peer that does not take holds the client')
    other = c.open(request(base + '/chat/beside-' + name, 'POST'), end=False)
    s = c.get(other)
    c.until(lambda: c.room(0) > 0)
    say(c, other, b'1')
    check(c.until(lambda: s.data == b'<1>'), name + ': and no other')
    check(c.fence(), name + ': the connection is alive')
    c.close()
    check(gone('/held/' + name, 8) and gone('/chat/beside-' + name, 8),
          name + ': all end with their client')


class H1:
    """A client of HTTP/1 that sends chunks, and reads when it wants."""

    def __init__(self, path):
        self.sock = socket.create_connection(('127.0.0.1', PORT))
        self.sock.settimeout(10 * PATIENCE)
        self.data = b''
        self.send(b'POST %s HTTP/1.1\r\nHost: a\r\n'
                  b'Transfer-Encoding: chunked\r\n\r\n' % path.encode())

    def send(self, data):
        self.sock.sendall(data)

    def chunk(self, data):
        self.send(b'%x\r\n%s\r\n' % (len(data), data))

    def until(self, what):
        try:
            while what not in self.data:
                more = self.sock.recv(65536)
                if not more:
                    return False
                self.data += more
        except OSError:
            return False
        return True


def h1():
    name = 'h1'
    c = H1('/peer/chat/' + name)
    check(c.until(b'\r\n\r\n') and b' 200 ' in c.data,
          name + ': a head for a head', c.data)
    fine = True
    for i in range(20):
        c.chunk(b'%d' % i)
        fine = fine and c.until(b'<%d>' % i)
    check(fine, name + ': a word for a word', c.data)
    c.send(b'0\r\n\r\n')
    check(c.until(b'0\r\n'), name + ': the end', c.data)

    c = H1('/peer/first/' + name)
    check(c.until(b'hello'), name + ': the server speaks first', c.data)
    c.chunk(b'you')
    check(c.until(b'<you>'), name + ': then the client', c.data)
    c.sock.close()
    check(gone('/first/' + name, 8), name + ': which goes away')

    c = H1('/peer/done/' + name)
    check(c.until(b'enough\r\n0\r\n\r\n'),
          name + ': the answer ends before the request', c.data)
    check(gone('/done/' + name, 8), name + ': the peer is told')

    c = H1('/peer/give-up/' + name)
    c.until(b'\r\n\r\n')
    c.chunk(b'x')
    check(not c.until(b'0\r\n\r\n'), name + ': a reset after the head '
          'leaves the answer incomplete', c.data)


def to_h1():
    """A backend of HTTP/1 that speaks first and echoes chunks."""
    name = 'to h1'
    c = Client(PORT)
    n = c.open(request('/h1/x', 'POST'), end=False)
    s = c.get(n)
    check(c.until(lambda: s.data == b'hello'),
          name + ': the server speaks first', s.data)
    fine = True
    for i in range(20):
        say(c, n, b'%d' % i)
        fine = fine and c.until(lambda: s.data.endswith(b'<%d>' % i))
    check(fine, name + ': a word for a word', s.data)
    say(c, n, b'', True)
    check(c.finish(n).ended, name + ': the end', s.reset)
    c.close()


h2('/peer', 'h2')
h2('/tls', 'tls')
h1()
to_h1()
sys.exit(failed != 0)
