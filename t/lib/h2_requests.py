# h2_requests.py PORT PORT_OF_LIMITS PORT_OF_STALLS PORT_OF_HEADS PORT_OF_IDLE
# DIRECTORY -- what requests.t wants of a client that sees frames: limits,
# timeouts, tunnels, streams beside streams.

import hashlib
import sys

from h2_raw import *

PORT, LIMITS, STALLS, HEADS, IDLE = [int(a) for a in sys.argv[1:6]]
DIR = sys.argv[6]
BIG = open(DIR + '/html/big', 'rb').read()


def sha(data):
    return hashlib.sha256(data).hexdigest().encode()


# Trailers, both ways; interim responses.

c = Client(PORT)
s = c.open(request('/trailers', 'POST'), end=False)
c.send(frame(DATA, 0, s, b'abc')
       + frame(HEADERS, 5, s, literal([('x-sum', '42')])))
s = c.finish(s)
check(s.status == 200 and s.heads[-1] == [('x-got', '42')],
      'trailers of the request, and of the response', s.heads)
s = c.ask(request('/hints'))
check([dict(h).get(':status') for h in s.heads] == ['103', '200']
      and dict(s.heads[0]).get('link') == '</a>; rel=preload',
      '103 before 200', s.heads)
s = c.open(request('/up', 'POST', [('expect', '100-continue'),
                                   ('content-length', '3')]), end=False)
c.until(lambda: c.get(s).status is not None)
first = c.get(s).status
c.send(frame(DATA, END_STREAM, s, b'abc'))
check(first == 100 and c.finish(s).status == 200, '100, then the body',
      (first, c.get(s).status))
for path, method, status in (('/ok', 'HEAD', 200), ('/204', 'GET', 204),
                             ('/none', 'GET', 404)):
    s = c.ask(request(path, method))
    want = b'an error page' if status == 404 else b''
    check(s.status == status and s.ended and s.data == want,
          '%s %s' % (method, path), (s.status, s.data))
s = c.ask(request('/html/big'))
etag = dict(s.heads[0])['etag']
s = c.ask(request('/html/big', more=[('if-none-match', etag)]))
check(s.status == 304 and s.data == b'' and s.ended, 'not modified', s.status)
s = c.ask(request('/html/big', more=[('range', 'bytes=10-19')]))
check(s.status == 206 and s.data == BIG[10:20], 'a range', s.data[:20])
check(c.ask(request('/vars')).data == b'h2c HTTP/2.0', '$http2')
c.close()

# Bodies: their limits.

c = Client(PORT)
for path in '/up', '/stream':
    s = c.ask(request(path + '/small', 'POST'), b'x' * 100)
    check(s.status == 413 and s.ended, path + ': too long, all at once',
          s.status)
    n = c.open(request(path + '/small', 'POST'), end=False)
    c.upload(n, b'x' * 100000)
    s = c.finish(n)
    check(s.status == 413 and c.goaway is None, path + ': in pieces',
          s.status)
    s = c.ask(request(path + '/small', 'POST', [('content-length', '100')]),
              b'x' * 100)
    check(s.status == 413, path + ': declared', s.status)
    s = c.ask(request(path + '/chunked', 'POST'), b'x' * 100)
    check(s.status == 413, path + ': client_max_chunked_body_size', s.status)
    s = c.ask(request(path + '/chunked', 'POST', [('content-length', '100')]),
              b'x' * 100)
    check(s.status == 200, path + ': which is not for these', s.status)
c.close()

# An answer while the upload goes on: what comes is dropped for a while.

c = Client(LIMITS)
n = c.open(request('/413', 'POST'), end=False)
s = c.get(n)
c.until(lambda: s.ended)
check(s.status == 413 and s.reset is None, 'an answer, and no reset at once',
      (s.status, s.reset))
check(c.upload(n, b'x' * 3000000), 'the upload goes on', s.reset)
check(c.fence() and s.reset is None and c.alive(), 'to its end', s.reset)
n = c.open(request('/413/soon', 'POST'), end=False)
s = c.get(n)
c.until(lambda: s.reset is not None)
check(s.status == 413 and s.reset == 'NO_ERROR' and c.alive(),
      'lingering_timeout, then a reset', (s.status, s.reset))
c.close()

# Timeouts hold a stream, not its connection.

c = Client(LIMITS)
n = c.open(request('/up', 'POST'), end=False)
s = c.finish(n)
check(s.status == 408 and c.alive(), 'client_body_timeout', s.status)
c.close()
c = Client(STALLS, pairs=((4, 100),))
c.credit = False
c.open(request('/up', 'POST'), end=False)
n = c.open(request('/html/big'))
s = c.get(n)
c.until(lambda: s.reset is not None)
check(s.reset == 'CANCEL' and len(s.data) == 100 and c.alive(),
      'send_timeout: a window that stays shut', (s.reset, len(s.data)))
c.close()
c = Client(HEADS)
c.send(frame(HEADERS, END_STREAM, 1, literal(request())[:9]))
check(c.until(lambda: c.closed), 'client_header_timeout', c.goaway)
c.close()
c = Client(IDLE)
c.alive()
c.until(lambda: c.closed)
check(c.goaway == 'NO_ERROR', 'keepalive_timeout', c.goaway)
c.close()

# A slow stream holds itself only.

c = Client(PORT)
c.credit = False
c.send(settings((4, 100)) + frame(WINDOW_UPDATE, 0, 0,
                                  struct.pack('>I', 1 << 28)))
slow = c.open(request('/html/big'))
held = c.get(slow)
fast = c.open(request('/proxied'))
c.send(frame(WINDOW_UPDATE, 0, fast, struct.pack('>I', 1 << 20)))
s = c.finish(fast)
check(s.data == BIG[:500000] and len(held.data) == 100,
      'downloads: the window of one of two is shut',
      (len(held.data), s.status, len(s.data)))
c.send(frame(WINDOW_UPDATE, 0, slow, struct.pack('>I', 1 << 20)))
check(c.finish(slow).data == BIG, 'and opens')
c.close()
c = Client(PORT)
c.fence()
slow = c.open(request('/gate', 'POST'), end=False)
c.upload(slow, b'x' * (9 << 20), seconds=1)
stuck = c.room(slow)
check(stuck == 0, 'uploads: nobody reads one', stuck)
n = c.open(request('/up', 'POST'), end=False)
check(c.upload(n, BIG) and c.finish(n).data == sha(BIG), 'another goes on',
      (c.get(n).status, c.get(n).data))
check(c.get(slow).status is None, 'while the first waits')
c.close()

# keepalive_requests: streams that are there live on.

c = Client(LIMITS, pairs=((4, 100),))
c.credit = False
c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 28)))
n = c.open(request('/html/big'))
for i in range(3):
    c.ask(request())
# The last that may come, and one that cannot know it.
block = literal(request())
late = c.get(c.next + 2)
c.send(b''.join(frame(HEADERS, END_HEADERS | END_STREAM, m, block)
                for m in (c.next, c.next + 2)))
c.next += 4
c.until(lambda: len(c.goaways) >= 1)
check(c.goaways[:1] == [(0x7fffffff, 'NO_ERROR')], 'keepalive_requests: a '
      'notice', c.goaways)
c.until(lambda: late.ended or late.reset is not None)
check(late.status == 200, 'a stream that did not know it', late.status)
c.until(lambda: len(c.goaways) >= 2)
check(c.goaways[1:] == [(c.next - 2, 'NO_ERROR')],
      'then the last stream', (c.goaways, c.next))
s = c.get(n)
check(len(s.data) == 100 and not c.closed, 'a stream is under way')
c.send(frame(WINDOW_UPDATE, 0, n, struct.pack('>I', 1 << 28)))
c.finish(n)
check(s.data == BIG, 'the first stream has all', (len(s.data), s.reset))
check(c.until(lambda: c.closed), 'and the end')
c.close()

# WebSocket over HTTP/2.

WS = [(':method', 'CONNECT'), (':protocol', 'websocket'),
      (':scheme', 'http'), (':path', '/ws'), (':authority', 'localhost'),
      ('sec-websocket-version', '13')]
c = Client(PORT)
c.fence()
check(c.settings.get(8) == 1, 'SETTINGS_ENABLE_CONNECT_PROTOCOL')
n = c.open(WS, end=False)
s = c.get(n)
c.until(lambda: s.status is not None or s.reset is not None)
check(s.status == 200 and not s.ended
      and not [1 for f, v in s.heads[0] if f in (
          'connection', 'upgrade', 'sec-websocket-accept')],
      'a tunnel', (s.heads, s.reset))
c.send(frame(DATA, 0, n, b'\x81\x85\0\0\0\0hello'))
c.until(lambda: len(s.data) >= 7 or s.reset is not None)
check(s.data == b'\x81\x85\0\0\0\0hello', 'bytes both ways', (s.data, s.reset))
check(c.alive(), 'beside other streams')
c.send(frame(DATA, END_STREAM, n, b'\x88\x80\0\0\0\0'))
c.finish(n)
check(s.ended and s.reset is None and c.alive(), 'its end',
      (s.data, s.reset))
n = c.open(WS, end=False)
c.until(lambda: c.get(n).status is not None)
c.send(frame(RST_STREAM, 0, n, struct.pack('>I', 8)))
check(c.fence() and c.alive(), 'a reset ends one')
s = c.ask(WS[:3] + [(':path', '/ok')] + WS[4:])
check(s.status == 200 and s.data == b'ok', 'where none is offered', s.status)
s = c.ask([WS[0], (':protocol', 'other')] + WS[2:])
check(s.status == 501 and c.alive(), 'another protocol', s.status)
c.close()

# RFC 9218

c = Client(PORT)
c.credit = False
c.send(settings((4, 0)))
low = c.open(request('/html/big', more=[('priority', 'u=7')]))
high = c.open(request('/html/big', more=[('priority', 'u=0')]))
c.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack('>I', low) + b'u=6'))
c.fence()
c.send(settings((4, 1 << 20)))
c.until(lambda: len(c.get(low).data) + len(c.get(high).data) == 65535)
a, b = len(c.get(low).data), len(c.get(high).data)
check((a, b) == (0, 65535) and c.goaway is None, 'urgent streams get the window', (a, b))
c.close()

# PRIORITY_UPDATE turns that round.

c = Client(PORT)
c.credit = False
c.send(settings((4, 0)))
one = c.open(request('/html/big', more=[('priority', 'u=1')]))
two = c.open(request('/html/big', more=[('priority', 'u=2')]))
c.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack('>I', two) + b'u=0'))
c.fence()
c.send(settings((4, 1 << 20)))
c.until(lambda: len(c.get(one).data) + len(c.get(two).data) == 65535)
a, b = len(c.get(one).data), len(c.get(two).data)
check((a, b) == (0, 65535) and c.goaway is None, 'PRIORITY_UPDATE', (a, b))
c.close()

sys.exit(failed != 0)
