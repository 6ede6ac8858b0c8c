# h2_websocket.py CA|- PORT DIRECTORY -- what websocket.t wants of a client
# that sees frames: tunnels by an extended CONNECT (RFC 8441), many of them on
# a connection that has requests, too.  With CA over TLS.

import sys

from h2_raw import *

CA = None if sys.argv[1] == '-' else sys.argv[1]
PORT = int(sys.argv[2])
DIR = sys.argv[3]
HOW = 'h2' if CA else 'h2c'
BIG = open(DIR + '/html/big', 'rb').read()
PATHS = '/h1', '/tls', '/h2c', '/h2'


def client(**more):
    return Client(PORT, tls=CA, wait=30, **more)


def ok(fine, name, why=''):
    check(fine, HOW + ': ' + name, why)


def connect(c, path, end=False):
    return c.open([(':method', 'CONNECT'), (':protocol', 'websocket'),
                   (':scheme', 'https' if CA else 'http'), (':path', path),
                   (':authority', 'localhost'),
                   ('sec-websocket-version', '13')], end=end)


c = client()
c.fence()
ok(c.settings.get(8) == 1, 'SETTINGS_ENABLE_CONNECT_PROTOCOL')

# To backends of each kind, and what is no WebSocket there.

for path in PATHS:
    n = connect(c, path + '/ws')
    s = c.get(n)
    c.until(lambda: s.status is not None or s.reset is not None)
    ok(s.status == 200 and not s.ended, 'a tunnel, ' + path,
       (s.heads, s.reset))
    ok(c.upload(n, BIG, end=False)
       and c.until(lambda: len(s.data) >= len(BIG)) and s.data == BIG,
       'both ways, ' + path, (len(s.data), s.reset))
    ok(c.upload(n, b'end') and c.finish(n).ended
       and s.data[-3:] == b'end' and s.reset is None, 'its end, ' + path,
       (s.reset, s.data[-10:]))
    s = c.get(connect(c, path + '/refuse'))
    c.until(lambda: s.ended or s.reset is not None)
    ok(s.status == 403 and s.data == b'no', 'a refusal, ' + path,
       (s.status, s.data, s.reset))

# Many beside one another, and requests beside them.

tunnels = [connect(c, PATHS[i % len(PATHS)] + '/ws') for i in range(24)]
ok(c.until(lambda: all(c.get(n).status == 200 for n in tunnels)),
   'two dozen tunnels', [c.get(n).status for n in tunnels])
for turn in range(5):
    for n in tunnels:
        c.send(frame(DATA, 0, n, b'%d of %d;' % (turn, n)))
    s = c.ask(request('/html/big'))
    ok(s.data == BIG, 'a request beside them', (s.status, len(s.data)))
want = {n: b''.join(b'%d of %d;' % (turn, n) for turn in range(5))
        for n in tunnels}
ok(c.until(lambda: all(len(c.get(n).data) >= len(want[n]) for n in tunnels))
   and all(c.get(n).data == want[n] for n in tunnels), 'each has its own',
   [c.get(n).data for n in tunnels if c.get(n).data != want[n]])
for n in tunnels[:12]:
    c.send(frame(RST_STREAM, 0, n, struct.pack('>I', 8)))
for n in tunnels[12:]:
    c.send(frame(DATA, END_STREAM, n, b''))
ok(c.until(lambda: all(c.get(n).ended for n in tunnels[12:])),
   'the other half ends well',
   [(c.get(n).ended, c.get(n).reset) for n in tunnels[12:]])
ok(c.ask(request('/ok')).data == b'ok' and c.goaway is None,
   'and the connection is there', c.goaway)

# One that does not read holds itself.

c.credit = False
c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 29)))
slow = connect(c, '/h1/ws')
c.until(lambda: c.get(slow).status is not None)
c.upload(slow, BIG * 8, end=False, seconds=1)
fast = connect(c, '/h1/ws')
c.send(frame(WINDOW_UPDATE, 0, fast, struct.pack('>I', 1 << 25)))
c.until(lambda: c.get(fast).status is not None)
ok(c.upload(fast, BIG, end=False)
   and c.until(lambda: len(c.get(fast).data) >= len(BIG)),
   'a tunnel beside one whose client does not read',
   (len(c.get(fast).data), c.get(fast).reset, len(c.get(slow).data)))
c.close()

sys.exit(failed != 0)
