# h2_tunnel.py CA|- PORT ECHO REFUSED LATE QUITS -- what tunnel.t wants of a
# client of HTTP/2: CONNECT to the ports ECHO, which sends back what it gets,
# REFUSED, where nobody is (RFC 9113, 8.5), and LATE, which ends before the
# client has said anything, as /h2socket does, a WebSocket (RFC 8441); QUITS
# ends so, too, and breaks later.

import sys

from h2_raw import *

CA = None if sys.argv[1] == '-' else sys.argv[1]
PORT, ECHO, REFUSED, LATE, QUITS = [int(a) for a in sys.argv[2:7]]
HOW = 'h2' if CA else 'h2c'
BIG = b''.join(b'%08d\n' % i for i in range(200000))


def ok(fine, name, why=''):
    check(fine, HOW + ': ' + name, why)


def connect(c, port, host='127.0.0.1', more=(), end=False):
    return c.open([(':method', 'CONNECT'),
                   (':authority', '%s:%s' % (host, port))] + list(more),
                  end=end)


def status(s):
    c.until(lambda: s.status is not None or s.reset is not None)
    return s.status


c = Client(PORT, tls=CA, wait=30)
n = connect(c, ECHO)
s = c.get(n)
ok(status(s) == 200 and not s.ended and 'content-length' not in
   dict(s.heads[0]), 'a tunnel', (s.heads, s.reset))
c.upload(n, b'hello', end=False)
ok(c.until(lambda: s.data == b'hello'), 'both ways', s.data)
ok(c.upload(n, BIG, end=False)
   and c.until(lambda: len(s.data) >= len(BIG) + 5) and s.data[5:] == BIG,
   'much', (len(s.data), s.reset))
ok(c.ask(request('/ok')).status == 405, 'a request beside it')
c.send(frame(DATA, END_STREAM, n, b'bye'))
c.finish(n)
ok(s.ended and s.data[-9:] == b'bye: over' and s.reset is None,
   'the client ends first', (s.data[-9:], s.reset))
several = [connect(c, ECHO) for i in range(10)]
for i in several:
    c.until(lambda: c.get(i).status is not None)
    c.send(frame(DATA, 0, i, b'%d' % i))
ok(c.until(lambda: all(c.get(i).data == b'%d' % i for i in several)),
   'several', [c.get(i).data for i in several])
for i in several[:5]:
    c.send(frame(RST_STREAM, 0, i, struct.pack('>I', 8)))
for i in several[5:]:
    c.send(frame(DATA, END_STREAM, i, b''))
ok(c.until(lambda: all(c.get(i).ended for i in several[5:])), 'their ends',
   [(c.get(i).ended, c.get(i).reset) for i in several])
s = c.get(connect(c, REFUSED))
ok(status(s) == 502, 'nobody is there', s.status)
s = c.get(connect(c, ECHO, more=[('content-length', '5')]))
ok(status(s) in (400, None), 'with a length', (s.status, s.reset))
s = c.get(c.open([(':method', 'CONNECT'), (':authority', '127.0.0.1')]))
ok(status(s) == 400, 'without a port', (s.status, s.reset))
n = connect(c, ECHO, end=True)
s = c.finish(n)
ok(s.status == 200 and s.data == b': over' and s.ended,
   'nothing to say', (s.status, s.data, s.reset))
ok(c.ask(request('/ok')).status == 405 and c.goaway is None,
   'the connection is there', c.goaway)


def late(c, kind, size):
    if kind == 't':
        n = connect(c, LATE)
    else:
        n = c.open([(':method', 'CONNECT'), (':protocol', 'websocket'),
                    (':scheme', 'https' if CA else 'http'),
                    (':path', '/h2socket'), (':authority', 'localhost'),
                    ('sec-websocket-version', '13')], end=False)
    s = c.get(n)
    c.until(lambda: s.ended or s.reset is not None)
    if s.status != 200 or s.data != b'first' or s.reset is not None:
        return (s.status, s.data, s.reset)
    data = (HOW + kind).encode() + BIG[:size]
    return None if c.upload(n, data) else 'the windows are shut'


n = connect(c, QUITS)
s = c.get(n)
c.until(lambda: s.ended or s.reset is not None)
ok(s.data == b'first' and s.reset is None, 'the other side ends', s.reset)
end = time.monotonic() + c.wait
while s.reset is None and time.monotonic() < end:
    c.send(frame(DATA, 0, n, b'x'))
    c.pump(0.02)
ok(s.reset is not None, 'and breaks: the stream is reset')
# Whether all arrived is for the other side to say.
for kind in 'ts':
    said = [late(c, kind, 200000 + i) for i in range(20)]
    ok(not any(said), 'last words after the other side has ended', said)
ok(c.ask(request('/ok')).status == 405 and c.goaway is None,
   'the connection is there', c.goaway)
c.close()
for kind in 'ts':
    c = Client(PORT, tls=CA, wait=30)
    said = late(c, kind, 200020)
    c.close()
    ok(said is None, 'and the connection closed with them', said)

sys.exit(failed != 0)
