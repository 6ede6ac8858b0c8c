# h2_priority.py PORT DIRECTORY -- what priority.t wants of a client that sees
# the order of frames (RFC 9218).

import sys

from h2_raw import *

PORT = int(sys.argv[1])
BIG = open(sys.argv[2] + '/html/big', 'rb').read()


def order(*asked, updates=(), late=()):
    """The streams of DATA frames as they come, as numbers of those asked for:
    (path, priority).  All are there before the first can go."""
    c = Client(PORT)
    c.send(settings((4, 0)) + frame(WINDOW_UPDATE, 0, 0,
                                    struct.pack('>I', 1 << 28)))
    c.fence()
    c.credit = False
    for i, value in updates:
        c.send(frame(PRIORITY_UPDATE, 0, 0,
                     struct.pack('>I', 2 * i + 1) + value))
    ids = [c.open(request(path, more=[('priority', p)] if p else []))
           for path, p in asked]
    c.until(lambda: all(c.get(n).status is not None for n in ids))
    for i, value in late:
        c.send(frame(PRIORITY_UPDATE, 0, 0,
                     struct.pack('>I', ids[i]) + value))
    c.fence()
    c.send(settings((4, 1 << 24)))
    c.until(lambda: all(c.get(n).ended for n in ids))
    if not all(c.get(n).data == BIG for n in ids):
        return [c.goaway]
    frames = [ids.index(f[2]) for f in c.frames
              if f[0] == DATA and f[3]]
    c.close()
    return frames


def turns(frames):
    """How often another stream follows."""
    return sum(a != b for a, b in zip(frames, frames[1:]))


def blocks(frames):
    return [a for a, b in zip(frames, frames[1:] + [None]) if a != b]


f = order(('/big', 'u=3'), ('/big', 'u=3'), ('/big', None))
check(blocks(f) == [0, 1, 2], 'not incremental: one after the other',
      blocks(f))
f = order(('/big', 'u=3, i'), ('/big', 'i'), ('/big', 'u=3;a, i=?1'))
check(turns(f) > 2 * len(f) // 3 and f.index(2) < 5,
      'incremental: in turns', blocks(f)[:20])
f = order(('/big', 'u=5, i'), ('/big', 'u=1, i'), ('/big', 'u=1, i'))
check(0 not in f[:len(f) * 2 // 3], 'in turns within an urgency', f[:20])
f = order(('/big', 'u=6'), ('/big', 'u=2'), ('/big', None))
check(blocks(f) == [1, 2, 0], 'urgent ones first, 3 if not said', blocks(f))
f = order(('/big', 'u=9, i=7'), ('/big', 'u=2'), ('/big', 'nonsense;;'))
check(blocks(f) == [1, 0, 2], 'what makes no sense is not said', blocks(f))

f = order(('/big', 'u=2'), ('/big', 'u=4'), late=[(0, b'u=5')])
check(blocks(f) == [1, 0], 'PRIORITY_UPDATE', blocks(f))
f = order(('/big', None), ('/big', None), updates=[(0, b'u=5')])
check(blocks(f) == [1, 0], 'PRIORITY_UPDATE before the request', blocks(f))

# A response's own word (RFC 9218, 8): what it does not say is the client's.

f = order(('/big', None), ('/first', None))
check(blocks(f) == [1, 0], 'priority of add_header', blocks(f))
for i in range(10):
    f = order(('/big', 'u=2'), ('/up/first', 'u=7'))
    if blocks(f) == [1, 0]:
        break  # else the upstream was slow, and what it had ended for a while
check(blocks(f) == [1, 0], 'priority of an upstream', blocks(f))
f = order(('/turns', None), ('/turns', None))
check(turns(f) > len(f) // 2, 'which may be incremental', blocks(f)[:20])
f = order(('/first', 'i'), ('/first', 'i'))
check(turns(f) > len(f) // 2, 'or leaves that to the client', blocks(f)[:20])
f = order(('/turns', 'u=6'), ('/big', 'u=4'))
check(blocks(f) == [1, 0], 'so the urgency', blocks(f))
f = order(('/turns', None), ('/big', 'u=4'), updates=[(0, b'u=6')])
check(blocks(f) == [1, 0], 'as PRIORITY_UPDATE said it', blocks(f))
f = order(('/first', None), ('/big', None), late=[(0, b'u=6')])
check(blocks(f) == [0, 1], 'the last word is the response\'s', blocks(f))

# Streams that are only talked about: of very many the last ones count.

for others, want in (20, [0, 1]), (200, [1, 0]):
    f = order(('/big', None), ('/big', 'u=2'), updates=[(0, b'u=0')] + [
        (1000 + i, b'u=1') for i in range(others)])
    check(blocks(f) == want, '%d streams to come' % others, blocks(f))
f = order(('/big', None), ('/big', 'u=2'),
          updates=[(0, b'u=0')] + [(1000, b'u=1')] * 200)
check(blocks(f) == [0, 1], 'the same one 200 times', blocks(f))
f = order(('/big', None), ('/big', None), updates=[(0, b'u=5' + b' ' * 200)])
check(blocks(f) == [0, 1], 'one with too much to say', blocks(f))

# Each of many requests was talked about before: each is served, and so are
# those of which more is said than they know.

c = Client(PORT)
c.fence()
fine = 0
for i in range(300):
    c.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack('>I', c.next) + b'u=1'))
    fine += c.ask().status == 200
check(fine == 300 and c.goaway is None, 'updates before 300 requests',
      (fine, c.goaway))
n = c.open(request('/wait', 'POST'), end=False)
for i in range(300):
    c.send(frame(PRIORITY_UPDATE, 0, 0,
                 struct.pack('>I', 100001 + 2 * i) + b'u=1'))
c.send(frame(DATA, END_STREAM, n, b'x'))
check(c.finish(n).status == 200 and c.alive(), 'and while one goes on',
      (c.get(n).status, c.goaway))
c.close()

# What is no PRIORITY_UPDATE.

for stream, payload, error in (
        (1, b'\0\0\0\1u=1', 'PROTOCOL_ERROR'),
        (0, b'\0\0\0', 'FRAME_SIZE_ERROR'), (0, b'', 'FRAME_SIZE_ERROR'),
        (0, b'\0\0\0\0u=1', 'PROTOCOL_ERROR'),
        (0, b'\0\0\0\2u=1', 'PROTOCOL_ERROR')):
    c = Client(PORT)
    c.fence()
    c.send(frame(PRIORITY_UPDATE, 0, stream, payload))
    c.until(lambda: c.closed)
    check(c.goaway == error, '%d %r' % (stream, payload), c.goaway)
    c.close()
c = Client(PORT)
c.fence()
for byte in frame(PRIORITY_UPDATE, 0, 0, b'\0\0\0\1u=1'):
    c.send(bytes([byte]))
check(c.alive(), 'byte by byte', c.goaway)
c.close()

sys.exit(failed != 0)
