# grpc_web_h2.py PORT DIRECTORY -- calls of gRPC-Web over HTTP/2, to
# grpc_web_server.py behind veil: what web.t does over HTTP/1.1, as far as it
# could be different, and what only HTTP/2 has.

import base64
import os
import re
import struct
import sys
import time

from h2_raw import *

PORT = int(sys.argv[1])
DIR = sys.argv[2]


def message(data, flag=0):
    return struct.pack('>BI', flag, len(data)) + data


def call(path, text=False, more=()):
    kind = 'application/grpc-web' + ('-text' if text else '') + '+proto'
    return request(path, 'POST', [('content-type', kind),
                                  ('x-grpc-web', '1')] + list(more))


def decode(data):
    """Base64 in pieces that are padded each."""
    return b''.join(base64.b64decode(p)
                    for p in re.findall(rb'[^=]+=*', data))


def ask(c, path, body=b'', text=False, more=()):
    body = message(body)
    s = c.ask(call(path, text, more), base64.b64encode(body) if text else body)
    return s, dict(s.heads[0]) if s.heads else {}, \
        decode(s.data) if text else s.data


c = Client(PORT)
TAIL = message(b'grpc-status: 0\r\nx-last: p%C3%A4\r\n', 128)
for text in False, True:
    name = 'text: ' if text else 'binary: '
    kind = 'application/grpc-web' + ('-text' if text else '') + '+proto'
    s, h, body = ask(c, '/echo', b'hello', text)
    check(s.status == 200 and h['content-type'] == kind
          and body == message(b'hello') + TAIL and len(s.heads) == 1,
          name + 'a call', (s.heads, body))
    s, h, body = ask(c, '/big/1000000', b'', text)
    check(body == message(b'x' * 1000000)
          + message(b'grpc-status: 0\r\n', 128), name + 'a large message',
          len(body))
    s, h, body = ask(c, '/fail', b'', text)
    check(s.status == 200 and h['grpc-status'] == '5'
          and h['grpc-message'] == 'no%20such thing' and body == b'',
          name + 'a status and nothing else', s.heads)
    s, h, body = ask(c, '/gone', b'', text)
    check(s.status == 200 and h['grpc-status'] == '14'
          and h['content-type'] == kind and body == b'',
          name + "an error of veil's own", s.heads)

    # A stream, message by message.
    sid = c.open(call('/stream/3/h%d' % text, text), end=False)
    body = message(b'')
    c.upload(sid, base64.b64encode(body) if text else body)
    want = b''
    fine = 0
    for i in range(3):
        if i:
            open('%s/go-h%d-%d' % (DIR, text, i), 'w').close()
        want += message(b'message %d' % i)

        def all_there():
            data = c.get(sid).data
            if text and len(data) % 4:
                return False
            return (decode(data) if text else data).startswith(want)
        fine += c.until(all_there)
    s = c.finish(sid)
    body = decode(s.data) if text else s.data
    check(fine == 3 and body == want + message(b'grpc-status: 0\r\n', 128),
          name + 'a stream', (fine, s.data))

    # One that breaks off.
    for size, clean in (8, True), (9, False):
        try:
            os.unlink(DIR + '/go-break')
        except OSError:
            pass
        sid = c.open(call('/break/%d' % size, text), end=False)
        c.upload(sid, base64.b64encode(message(b'')) if text else message(b''))
        c.until(lambda: len(c.get(sid).data) >= 8)
        open(DIR + '/go-break', 'w').close()
        s = c.finish(sid)
        body = decode(s.data) if text else s.data
        if clean:
            check(s.reset is None and body == message(b'one') + message(
                b'grpc-status: 14\r\ngrpc-message: the response broke off\r\n',
                128), name + 'a break between messages', (s.reset, body))
        else:
            check(s.reset is not None and body == message(b'one') + b'\0',
                  name + 'a break in a message', (s.reset, body))

s = c.ask(call('/echo', True), b'AAAA*')
check(dict(s.heads[0]).get('grpc-status') == '13', 'malformed text', s.heads)
s = c.ask(request('/echo', 'OPTIONS', [
    ('origin', 'https://app.example.com'),
    ('access-control-request-method', 'POST'),
    ('access-control-request-headers', 'content-type,x-grpc-web')]))
check(s.status == 204 and dict(s.heads[0])['access-control-allow-origin']
      == 'https://app.example.com', 'a preflight', s.heads)

# Many at once, whose answers nobody reads for a while.
c.credit = False
sids = []
for i in range(20):
    sid = c.open(call('/big/100000', i % 2), end=False)
    body = message(b'')
    c.upload(sid, base64.b64encode(body) if i % 2 else body)
    sids.append(sid)
c.pump(0.3)
for sid in sids[:4]:
    c.send(frame(RST_STREAM, 0, sid, struct.pack('>I', 8)))
c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', 10000000)))
for sid in sids[4:]:
    c.send(frame(WINDOW_UPDATE, 0, sid, struct.pack('>I', 1000000)))
fine = 0
for i, sid in list(enumerate(sids))[4:]:
    s = c.finish(sid)
    fine += (decode(s.data) if i % 2 else s.data) == message(b'x' * 100000) \
        + message(b'grpc-status: 0\r\n', 128)
check(fine == 16, 'many at once, read late, some reset', fine)
c.credit = True

# Who leaves takes his call with him.
for text in False, True:
    path = '/stream/2/left%d' % text
    sid = c.open(call(path, text), end=False)
    body = message(b'')
    c.upload(sid, base64.b64encode(body) if text else body)
    c.until(lambda: c.get(sid).data)
    c.send(frame(RST_STREAM, 0, sid, struct.pack('>I', 8)))
    for i in range(3000):
        with open(DIR + '/calls.log') as f:
            told = 'reset ' + path + '\n' in f.readlines()
        if told:
            break
        time.sleep(0.01)
    check(told, 'a reset is one for the backend, too')
check(c.ask(request('/ok')).status == 200, 'the connection is well')
c.close()
c = Client(PORT)
sid = c.open(call('/hang', True), end=False)
c.send(frame(DATA, 0, sid, b'AAA'))
c.close()
