# h2_limits.py CA|- DIRECTORY PORT... -- what limits.t wants of a client that
# sees frames: rates, the life of a connection, timeouts, ends without an
# answer, and what is logged of them.  With CA over TLS.

import os
import sys

from h2_raw import *

CA = None if sys.argv[1] == '-' else sys.argv[1]
DIR = sys.argv[2]
PORT, REQUESTS, TIME, NONE, TIMEOUTS, RESETS = [int(a) for a in sys.argv[3:]]
HOW = 'h2' if CA else 'h2c'
BIG = open(DIR + '/html/big', 'rb').read()


def client(port=PORT, **more):
    return Client(port, tls=CA, **more)


def ok(fine, name, why=''):
    check(fine, HOW + ': ' + name, why)


def logged(text, times=None):
    """How often it is in the log; waits until it is so often."""
    end = time.monotonic() + 10 * PATIENCE
    while True:
        n = open(DIR + '/error.log').read().count(text)
        if times is None or n >= times or time.monotonic() > end:
            return n
        time.sleep(0.01)


# limit_rate, limit_rate_after: 60 of 72 KB at once, which would take six
# seconds otherwise, and the others take most of one; another stream does not
# wait for a minute and more.

c = client()
began = time.monotonic()
slow = c.get(c.open(request('/rate')))
c.until(lambda: len(slow.data) >= 60000)
first = time.monotonic() - began
c.until(lambda: slow.ended)
took = time.monotonic() - began
ok(slow.data == BIG[:72000] and took >= 0.7, 'limit_rate',
   (len(slow.data), took))
ok(first < 5, 'limit_rate_after', first)
n = c.open(request('/rate/long'))
slow = c.get(n)
c.until(lambda: len(slow.data) >= 60000)
fast = c.ask(request('/html/big'))
ok(fast.data == BIG and not slow.ended, 'which another stream does not have',
   (len(fast.data), len(slow.data)))
c.close()

# keepalive_requests over the whole connection, keepalive_time, and none.

c = client(REQUESTS)
c.ask(request())
c.ask(request())
ok(c.goaways == [], 'keepalive_requests: not yet', c.goaways)
c.ask(request())
c.until(lambda: c.goaways)
ok(c.goaways[:1] == [(0x7fffffff, 'NO_ERROR')], 'keepalive_requests',
   c.goaways)
ok(c.until(lambda: c.closed) and c.goaways[1:] == [(5, 'NO_ERROR')],
   'and its end', c.goaways)
c.close()
for i in range(50):
    began = time.monotonic()
    c = client(TIME)
    c.ask(request())
    c.fence()
    if time.monotonic() - began < 0.25:
        break
    c.close()  # it was too slow to see anything
time.sleep(0.4)
ok(c.fence() and c.goaways == [], 'keepalive_time: no request, no end',
   c.goaways)
s = c.ask(request())
c.until(lambda: c.goaways)
ok(s.status == 200 and c.goaways[:1] == [(0x7fffffff, 'NO_ERROR')],
   'keepalive_time', c.goaways)
c.close()
c = client(NONE)
s = c.ask(request())
ok(s.status == 200 and c.until(lambda: c.closed)
   and c.goaways[-1:] == [(1, 'NO_ERROR')], 'keepalive_timeout 0', c.goaways)
c.close()
c = client(TIMEOUTS)
c.ask(request())
for i in range(4):
    time.sleep(0.1)
    c.fence()
ok(c.until(lambda: c.closed) and c.goaways == [(1, 'NO_ERROR')],
   'keepalive_timeout, PINGs or not', c.goaways)
c.close()
c = client()
s = c.ask(request(method='POST',
                  more=[('user-agent', 'Mozilla/4.0 (compatible; MSIE 6.0;')]),
          b'x')
ok(s.status == 200 and c.alive() and c.goaways == [],
   'keepalive_disable is for HTTP/1', c.goaways)
c.close()

# A body that stops half-way; one that has stopped before another goes on.

for i in range(10):
    c = client(TIMEOUTS)
    n = c.open(request('/up', 'POST'), end=False)
    c.send(frame(DATA, 0, n, b'x' * 100))
    other = c.open(request('/up', 'POST'), end=False)
    for i in range(5):
        time.sleep(0.15)
        c.send(frame(DATA, 0, other, b'y' * 1000))
    s = c.finish(n)
    c.send(frame(DATA, END_STREAM, other, b''))
    t = c.finish(other)
    if s.status != 408 or t.status == 200:
        break
    c.close()  # it may have been stopped itself: then once more
ok(s.status == 408, 'client_body_timeout', (s.status, s.reset))
ok(t.status == 200, 'but not of the stream beside it', (t.status, t.reset))
c.close()

# send_timeout: a window that is shut is a stream's, a socket that nobody
# reads is the connection's.

c = client(TIMEOUTS, pairs=((4, 1 << 24),))
c.credit = False
n = c.open(request('/html/big'))
s = c.get(n)
c.until(lambda: s.reset is not None)
ok(s.reset is not None or c.closed, 'send_timeout', (s.reset, c.goaway))
c.close()

# A socket that nobody reads: its end is orderly, or with
# reset_timedout_connection a reset.

timed_out = logged('timed out while responses were sent')
for reset in False, True:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(('127.0.0.1', (RESETS if reset else TIMEOUTS)))
    if CA:
        context = ssl.create_default_context(cafile=CA)
        context.set_alpn_protocols(['h2'])
        s = context.wrap_socket(s, server_hostname='localhost')
    s.sendall(PREFACE + settings((4, 1 << 30))
              + frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 30))
              + frame(HEADERS, END_STREAM | END_HEADERS, 1,
                      literal(request('/html/huge'))))
    raw = s if CA is None else socket.socket(fileno=os.dup(s.fileno()))
    raw.settimeout(10 * PATIENCE)
    timed_out += 1
    got, end = 0, logged('timed out while responses were sent', timed_out)
    try:
        while end:
            data = raw.recv(1 << 20)
            if not data:
                end = 'orderly'
                break
            got += len(data)
    except ConnectionResetError:
        end = 'reset'
    ok(end == ('reset' if reset else 'orderly') and 0 < got < 20000000,
       'reset_timedout_connection ' + ('on' if reset else 'off'), (end, got))
    raw.close()

# No answer at all.

c = client()
s = c.ask(request('/444'))
ok(s.reset == 'CANCEL' and s.status is None and c.alive(), 'return 444',
   (s.reset, s.status))
s = c.ask(request('/444', 'POST'), b'x' * 1000)
ok(s.reset == 'CANCEL' and c.alive(), 'return 444 to a body',
   (s.reset, s.status))
c.close()

# Errors, redirects within, what is not sent.

c = client()
s = c.ask(request('/page'))
ok((s.status, s.data) == (403, b'a page'), 'error_page', (s.status, s.data))
s = c.ask(request('/named', 'POST'), b'x' * 50000)
ok((s.status, s.data) == (200, b'named'), 'error_page to a name',
   (s.status, s.data))
s = c.ask(request('/accel'))
ok(s.status == 200 and s.data == BIG, 'X-Accel-Redirect',
   (s.status, len(s.data)))
s = c.ask(request('/accel', 'HEAD'))
ok(s.status == 200 and s.data == b''
   and dict(s.heads[0])['content-length'] == str(len(BIG)),
   'X-Accel-Redirect to HEAD', s.heads)
s = c.ask(request('/accel', more=[('range', 'bytes=5-8')]))
ok(s.status == 206 and s.data == BIG[5:9], 'and for a range',
   (s.status, s.data[:9]))
s = c.ask(request('/rewrite'))
ok(s.status == 200 and s.data == BIG, 'a rewrite', (s.status, len(s.data)))
s = c.ask(request('/html/'))
ok(s.status == 200 and s.data == b'index', 'an index', (s.status, s.data))
s = c.ask(request('/html/big', more=[('range', 'bytes=0-1,4-5')]))
ok(s.status == 206 and s.data.count(b'Content-Range') == 2, 'two ranges',
   s.data)
s = c.ask(request('/html/big', more=[('range', 'bytes=99999999-')]))
ok(s.status == 416, 'a range that is not there', s.status)
for code in 204, 304:
    s = c.ask(request('/%d' % code))
    ok(s.status == code and s.data == b'' and s.ended
       and 'content-length' not in dict(s.heads[0]), 'an upstream\'s %d' % code,
       s.heads)
s = c.ask(request('/proxied-head', 'HEAD'))
ok(s.status == 200 and s.data == b'' and s.ended
   and dict(s.heads[0]).get('content-length') == '1000', 'an upstream\'s HEAD',
   s.heads)
c.close()

# What is logged: the third request of its connection.

c = client()
c.ask(request('/ok'))
c.ask(request('/ok'))
n = c.open(request('/log', 'POST', [('content-length', '300')]), end=False)
c.fence()
time.sleep(0.31)
c.send(frame(DATA, END_STREAM, n, b'x' * 300))
s = c.finish(n)
block = len(literal(request('/log', 'POST', [('content-length', '300')])))
head = [len(f[3]) for f in c.frames if f[0] == HEADERS and f[2] == n][0]
body = [len(f[3]) for f in c.frames if f[0] == DATA and f[2] == n]
print('# log %s %d %d %d %d' % (HOW, 3, block + 300,
                               head + 9 + sum(body) + 9 * len(body),
                               sum(body)))
c.close()

sys.exit(failed != 0)
