# h2_bodies.py CA|- PORT DIRECTORY WORKER KB -- what bodies.t wants of a client
# that sees frames: trailers, and responses that are not read beside those
# that are, while WORKER grows by at most KB.  With CA over TLS.

import sys

from h2_raw import *

CA = None if sys.argv[1] == '-' else sys.argv[1]
PORT, WORKER, MOST = int(sys.argv[2]), sys.argv[4], int(sys.argv[5])
DIR = sys.argv[3]
HOW = 'h2' if CA else 'h2c'
TEN = open(DIR + '/html/10', 'rb').read()


def client(**more):
    return Client(PORT, tls=CA, wait=30, **more)


def ok(fine, name, why=''):
    check(fine, HOW + ': ' + name, why)


def memory(what='VmRSS'):
    for line in open('/proc/%s/status' % WORKER):
        if line.startswith(what + ':'):
            return int(line.split()[1])


# Trailers: of the request to a backend, of its response to the client.

c = client()
for path in '/straight', '/buffered', '/twice', '/twice-tls':
    n = c.open(request(path + '/trailers', 'POST'), end=False)
    c.send(frame(DATA, 0, n, b'abc')
           + frame(HEADERS, END_HEADERS | END_STREAM, n,
                   literal([('x-sum', '42')])))
    s = c.finish(n)
    ok(s.status == 200 and s.data == b'onetwo'
       and s.heads[-1] == [('x-end', 'got 42'), ('x-more', 'm')],
       'trailers both ways, ' + path, (s.heads, s.data, s.reset))
    s = c.ask(request(path + '/trailers'))
    ok(s.heads[-1] == [('x-end', 'got none'), ('x-more', 'm')],
       'and one way only, ' + path, s.heads)

# Early hints of a backend come before its response is there.

for path in '/straight', '/twice':
    n = c.open(request(path + '/hints'))
    s = c.get(n)
    c.until(lambda: s.heads)
    ok([dict(h).get(':status') for h in s.heads] == ['103']
       and dict(s.heads[0]).get('link') == '</a>', 'early hints, ' + path,
       s.heads)
    c.finish(n)
    ok(s.status == 200 and s.data == b'hinted', 'then the response, ' + path,
       (s.status, s.data))
c.close()

# A response that nobody reads beside one that is read: what is kept for the
# first is bounded, and the other comes at its own pace.

for path in '/straight/down', '/memory/down', '/html/100', '/twice/down':
    c = client()
    c.ask(request('/html/1'))
    c.credit = False
    before = memory()
    open('/proc/%s/clear_refs' % WORKER, 'w').write('5\n')
    c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 1 << 30)))
    slow = c.get(c.open(request(path)))
    c.until(lambda: len(slow.data) >= 65535)
    began = len(slow.data)
    fast = c.open(request('/html/10'))
    c.send(frame(WINDOW_UPDATE, 0, fast, struct.pack('>I', 1 << 25)))
    s = c.finish(fast)
    ok(s.data == TEN and began == len(slow.data) == 65535,
       'a slow response beside a fast one, ' + path,
       (len(s.data), len(slow.data), s.reset, slow.reset))
    grown = memory('VmHWM') - before
    ok(grown < MOST, 'kept in %d KB, %s' % (grown, path), grown)
    c.close()

# The same for uploads, of which one is not taken.

c = client()
c.fence()
before = memory()
open('/proc/%s/clear_refs' % WORKER, 'w').write('5\n')
slow = c.open(request('/straight/x', 'POST', [('content-length', '99')]),
              end=False)
n = c.open(request('/straight/x', 'POST'), end=False)
ok(c.upload(n, TEN) and c.finish(n).status == 200, 'an upload beside one '
   'that does not come', c.get(n).status)
c.send(frame(DATA, END_STREAM, slow, b'x' * 99))
ok(c.finish(slow).status == 200, 'which comes then', c.get(slow).status)
grown = memory('VmHWM') - before
ok(grown < MOST, 'kept in %d KB' % grown, grown)
c.close()

sys.exit(failed != 0)
