# h2_conformance.py PORT TLSPORT CA -- what RFC 9113 and RFC 7541 want of a server when
# a client breaks a rule, and that it lets be what is allowed.
#
# Each case is a connection.  connection() wants GOAWAY with one of the codes
# and the end; stream() wants RST_STREAM with one of them, and a connection
# that answers the next request; status() an answer, and the same.

import sys

from h2_raw import *

PORT = int(sys.argv[1])


def connection(name, codes, data, port=PORT, **options):
    c = Client(port, **options)
    c.send(data)
    c.until(lambda: c.closed)
    check(c.closed and c.goaway in codes.split(), name,
          'GOAWAY %s, %s' % (c.goaway, 'closed' if c.closed else 'open'))
    c.close()


def stream(name, codes, data, number=1, **options):
    c = Client(PORT, **options)
    c.send(data)
    c.next = number + 2
    c.fence()
    s = c.get(number)
    c.until(lambda: s.reset is not None or c.goaway is not None)
    fine = s.reset in codes.split()
    check(fine and c.alive() and c.goaway is None, name,
          'RST_STREAM %s, GOAWAY %s, status %s' % (s.reset, c.goaway,
                                                   s.status))
    c.close()


def status(name, want, data, number=1, **options):
    c = Client(PORT, **options)
    c.send(data)
    c.next = number + 2
    s = c.finish(number)
    check(s.status == want and c.alive() and c.goaway is None, name,
          'status %s, RST_STREAM %s, GOAWAY %s' % (s.status, s.reset,
                                                   c.goaway))
    c.close()


def fine(name, data, **options):
    c = Client(PORT, **options)
    c.send(data)
    check(c.fence() and c.alive() and c.goaway is None, name,
          'GOAWAY %s' % c.goaway)
    c.close()


def head(fields, end=True, number=1):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number,
                 literal(fields))


def either(name, codes, data, number=1):
    """An error of the stream or of the connection: both are allowed."""
    c = Client(PORT)
    c.send(data)
    s = c.get(number)
    c.until(lambda: s.reset is not None or c.closed)
    check(s.reset in codes.split() or c.closed and c.goaway in codes.split(),
          name, 'RST_STREAM %s, GOAWAY %s' % (s.reset, c.goaway))
    c.close()


def window(n):
    return struct.pack('>I', n)


GET = head(request())
POST = head(request('/up', 'POST'), end=False)
block = literal(request())
P = 'PROTOCOL_ERROR'
F = 'FRAME_SIZE_ERROR'
W = 'FLOW_CONTROL_ERROR'
C = 'COMPRESSION_ERROR'
S = 'STREAM_CLOSED'

# --- the preface (3.4)

connection('a preface without SETTINGS', P, PREFACE + GET, preface=False)
connection('SETTINGS that are an acknowledgment first', P,
           PREFACE + frame(SETTINGS, ACK, 0), preface=False)

whole = PREFACE + settings() + GET + head(request('/up', 'POST'), False, 3) \
    + frame(DATA, END_STREAM, 3, b'abc')
c = Client(PORT, preface=False)
for i in range(len(whole)):
    c.send(whole[i:i + 1])
    time.sleep(0.0005)  # nothing is read: SETTINGS come before an ACK
check(c.finish(1).status == 200 and c.finish(3).status == 200,
      'byte by byte')
c.close()
wrong = []
for i in range(1, len(PREFACE) + 1):
    c = Client(PORT, preface=False)
    c.send(whole[:i])
    time.sleep(0.003)
    c.send(whole[i:])
    if c.finish(1).status != 200:
        wrong.append(i)
    c.close()
check(not wrong, 'the preface in two packets', wrong)
for name, text in (('a line of the preface and HTTP/1',
                    b'PRI * HTTP/2.0\r\nHost: a\r\n\r\n'),
                   ('a preface with another end',
                    PREFACE[:-4] + b'\r\r\r\n')):
    c = Client(PORT, preface=False)
    c.send(text[:9])
    c.pump(0.005)
    c.send(text[9:])
    c.until(lambda: c.closed, 5)
    check(c.buffer.startswith(b'HTTP/1.1 ') and c.closed
          or c.goaway == P or c.closed, name, (c.buffer[:40], c.goaway))
    c.close()

connection('a client of HTTP/1 after ALPN h2', P,
           b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', preface=False,
           port=int(sys.argv[2]), tls=sys.argv[3])

# --- frames (4)

fine('a frame of an unknown type', frame(0xbb, 0xff, 0, b'x' * 99))
fine('one on a stream', GET + frame(0xbb, 0xff, 1, b'x' * 99)
     + frame(0xbb, 0, 99, b''))
fine('flags without a meaning', frame(PING, 0xfe, 0, b'12345678'))
fine('the reserved bit', frame(PING, 0, 0x80000000, b'12345678'))
connection('a frame beyond SETTINGS_MAX_FRAME_SIZE', F,
           POST + frame(DATA, 0, 1, b'x' * 65537))
connection('the same of a head', F, frame(HEADERS, 5, 1, b'x' * 65537))
c = Client(PORT)
c.fence()
c.open(request('/up', 'POST'), end=False)
c.send(frame(DATA, END_STREAM, 1, b'x' * 65536))
check(c.finish(1).status == 200, 'a frame of that size', c.goaway)
c.close()
c = Client(PORT)
c.fence()
check(c.settings == {1: 65536, 3: 256, 4: 1 << 20, 5: 65536, 6: 65536,
                     8: 1, 9: 1}, 'SETTINGS', c.settings)
check((WINDOW_UPDATE, 0, 0, window((1 << 20) - 65535)) in c.frames,
      'WINDOW_UPDATE of the connection', c.frames)
c.close()

# --- streams (5.1)

connection('DATA on an idle stream', P, frame(DATA, 0, 1, b'x'))
connection('RST_STREAM on an idle stream', P, frame(RST_STREAM, 0, 1,
                                                    window(8)))
connection('WINDOW_UPDATE on an idle stream', P,
           frame(WINDOW_UPDATE, 0, 1, window(8)))
connection('CONTINUATION on an idle stream', P,
           frame(CONTINUATION, END_HEADERS, 1, block))
fine('PRIORITY on an idle stream',
     frame(PRIORITY, 0, 7, window(0) + b'\x10'))
either('DATA after END_STREAM', S, settings((4, 0))
       + head(request('/file')) + frame(DATA, 0, 1, b'x'))
either('HEADERS after END_STREAM', S, settings((4, 0))
       + head(request('/file')) + head(request('/file')))
either('CONTINUATION after END_STREAM', S + ' ' + P, settings((4, 0))
       + head(request('/file')) + frame(CONTINUATION, 4, 1, block))
c = Client(PORT)
s = c.ask()
c.send(frame(WINDOW_UPDATE, 0, 1, window(1))
       + frame(RST_STREAM, 0, 1, window(8))
       + frame(PRIORITY, 0, 1, window(0) + b'\x10'))
check(c.fence() and c.alive() and c.goaway is None,
      'PRIORITY, WINDOW_UPDATE and RST_STREAM on a closed stream', c.goaway)
c.close()
c = Client(PORT, pairs=((4, 0),))
c.open(request('/file'))
c.send(frame(RST_STREAM, 0, 1, window(8)) + frame(DATA, 1, 1, b'x'))
check(c.fence() and c.goaway is None or c.goaway == S,
      'DATA after RST_STREAM', c.goaway)
c.close()
connection('an even stream', P, head(request(), number=2))
connection('a stream that is older than the last', P + ' ' + S,
           head(request(), number=5) + head(request(), number=3))
c = Client(PORT, pairs=((4, 0),))
for i in range(257):
    c.open(request('/file'))
c.fence()
c.until(lambda: c.get(513).reset is not None)
check(c.get(513).reset in ('REFUSED_STREAM', P) and c.goaway is None
      and c.get(511).reset is None, 'the stream after the last allowed',
      c.get(513).reset)
c.close()

# --- DATA (6.1), padding

connection('DATA on stream 0', P, frame(DATA, 0, 0, b'x'))
connection('DATA with padding longer than it', P,
           POST + frame(DATA, PADDED, 1, b'\x06abcde'))
connection('DATA PADDED and empty', P + ' ' + F, POST
           + frame(DATA, PADDED, 1))
status('DATA with padding', 200,
       POST + frame(DATA, PADDED | END_STREAM, 1, b'\x02abc\0\0'))
status('DATA all padding', 200,
       POST + frame(DATA, PADDED | END_STREAM, 1, b'\x02\0\0'))
c = Client(PORT)
c.fence()
c.open(request('/up', 'POST'), end=False)
for i in range(5000):
    if not c.upload(1, b'12345', pad=250, end=i == 4999):
        break
s = c.finish(1)
check(s.status == 200 and c.goaway is None, 'the window of padding is given '
      'back', '%s %s' % (s.status, c.goaway))
c.close()

# --- HEADERS (6.2)

connection('HEADERS on stream 0', P, frame(HEADERS, 5, 0, block))
connection('HEADERS with padding longer than it', P,
           frame(HEADERS, 5 | PADDED, 1, b'\xff' + block))
connection('HEADERS PADDED and empty', P + ' ' + F,
           frame(HEADERS, 5 | PADDED, 1))
status('HEADERS with padding and priority', 200,
       frame(HEADERS, 5 | PADDED | PRIO, 1,
             b'\x03' + window(0) + b'\x10' + block + b'\0\0\0'))
connection('HEADERS too short for their priority', P + ' ' + F,
           frame(HEADERS, 5 | PRIO, 1, b'\0\0'))

# --- PRIORITY (6.3), RST_STREAM (6.4)

connection('PRIORITY on stream 0', P,
           frame(PRIORITY, 0, 0, window(0) + b'\x10'))
either('PRIORITY of another length', F, GET + frame(PRIORITY, 0, 1, b'1234'))
connection('RST_STREAM on stream 0', P, frame(RST_STREAM, 0, 0, window(8)))
connection('RST_STREAM of another length', F,
           POST + frame(RST_STREAM, 0, 1, b'123'))

# --- SETTINGS (6.5)

connection('SETTINGS ACK with a payload', F,
           frame(SETTINGS, ACK, 0, b'\0' * 6))
connection('SETTINGS on a stream', P, frame(SETTINGS, 0, 1, b''))
connection('SETTINGS of another length', F, frame(SETTINGS, 0, 0, b'123'))
connection('SETTINGS_ENABLE_PUSH 2', P, settings((2, 2)))
connection('SETTINGS_INITIAL_WINDOW_SIZE 2^31', W, settings((4, 1 << 31)))
connection('SETTINGS_MAX_FRAME_SIZE 16383', P, settings((5, 16383)))
connection('SETTINGS_MAX_FRAME_SIZE 2^24', P, settings((5, 1 << 24)))
connection('SETTINGS_ENABLE_CONNECT_PROTOCOL 2', P, settings((8, 2)))
connection('SETTINGS_NO_RFC7540_PRIORITIES 2', P, settings((9, 2)))
fine('an unknown setting', settings((0xfff0, 7), (1, 0), (3, 0), (6, 1)))
c = Client(PORT, pairs=((4, 1 << 20),))
c.fence()
c.send(settings((4, 100), (5, 16777215)))
c.fence()
check([f[1] for f in c.frames if f[0] == SETTINGS].count(ACK) == 2,
      'each SETTINGS is acknowledged')
c.close()

# --- PUSH_PROMISE (6.6), PING (6.7), GOAWAY (6.8)

connection('PUSH_PROMISE of a client', P,
           POST + frame(PUSH_PROMISE, 4, 1, window(2) + block))
connection('PING on a stream', P, frame(PING, 0, 1, b'12345678'))
connection('PING of another length', F, frame(PING, 0, 0, b'1234567'))
c = Client(PORT)
c.send(frame(PING, ACK, 0, b'answer??') + frame(PING, 0, 0, b'question'))
c.fence()
check(b'question' in c.pongs and b'answer??' not in c.pongs,
      'PING is answered, its answer is not')
c.close()
connection('GOAWAY on a stream', P, frame(GOAWAY, 0, 1, b'\0' * 8))
connection('GOAWAY of another length', F, frame(GOAWAY, 0, 0, b'\0' * 7))
c = Client(PORT, pairs=((4, 1),))
c.open(request('/file'))
c.send(frame(GOAWAY, 0, 0, b'\0' * 8) + frame(WINDOW_UPDATE, 0, 1,
                                              window(1 << 20)))
s = c.finish(1)
c.until(lambda: c.closed)
check(s.ended and len(s.data) == 30000 and c.closed,
      'after GOAWAY what was asked for is answered, then the end',
      (s.ended, len(s.data), c.closed))
c.close()

# --- WINDOW_UPDATE (6.9)

connection('WINDOW_UPDATE 0 of the connection', P,
           frame(WINDOW_UPDATE, 0, 0, window(0)))
either('WINDOW_UPDATE 0 of a stream', P,
       POST + frame(WINDOW_UPDATE, 0, 1, window(0)))
connection('WINDOW_UPDATE of another length', F,
           frame(WINDOW_UPDATE, 0, 0, b'123'))
connection('the window of the connection beyond 2^31-1', W,
           frame(WINDOW_UPDATE, 0, 0, window(0x7fffffff)))
stream('the window of a stream beyond 2^31-1', W,
       POST + frame(WINDOW_UPDATE, 0, 1, window(0x7fffffff)))
c = Client(PORT, pairs=((4, 10),))
c.open(request('/file'))
c.fence()
first = len(c.get(1).data)
c.credit = False
c.send(settings((4, 0)))
c.send(frame(WINDOW_UPDATE, 0, 1, window(5)))
c.fence()
check(first == 10 or first == 20, 'a window of ten bytes', first)
c.close()
c = Client(PORT, pairs=((4, 10),))
c.credit = False
c.open(request('/file'))
c.fence()
c.send(settings((4, 0)) + frame(WINDOW_UPDATE, 0, 1, window(5)))
c.fence()
n = len(c.get(1).data)
c.send(frame(WINDOW_UPDATE, 0, 1, window(7)))
c.fence()
check(n == 10 and len(c.get(1).data) == 12,
      'a window that SETTINGS made negative', (n, len(c.get(1).data)))
c.close()
either('DATA beyond the window of a stream', W,
       head(request('/gated', 'POST'), end=False)
       + b''.join(frame(DATA, 0, 1, b'x' * 16384) for i in range(90)))

# --- CONTINUATION (6.10)

status('a head in pieces', 200,
       frame(HEADERS, END_STREAM, 1, block[:9])
       + frame(CONTINUATION, 0, 1, block[9:21])
       + frame(CONTINUATION, END_HEADERS, 1, block[21:]))
connection('CONTINUATION on stream 0', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(CONTINUATION, END_HEADERS, 0, block[9:]))
connection('CONTINUATION of another stream', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(CONTINUATION, END_HEADERS, 3, block[9:]))
connection('another frame within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(PING, 0, 0, b'12345678'))
connection('an unknown frame within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(0xbb, 0, 0, b'12345678'))
connection('another head within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9]) + head(request(),
                                                           number=3))

# --- heads (8.2, 8.3)

for name, fields in (
        ('an upper case name', request(more=[('X-Upper', '1')])),
        ('a name with a space', request(more=[('a b', '1')])),
        ('an empty name', request(more=[('', '1')])),
        ('a line feed in a value', request(more=[('x-a', 'a\nb')])),
        ('a zero in a value', request(more=[('x-a', b'a\0b')])),
        ('an unknown pseudo-field', request(more=[])[:1]
         + [(':foo', 'bar')] + request()[1:]),
        ('a pseudo-field of responses', request()[:3] + [(':status', '200')]),
        ('a pseudo-field after a field', request()[:3] + [('x-a', '1')]
         + request()[3:]),
        ('no :method', request()[1:]),
        ('no :scheme', request()[:1] + request()[2:]),
        ('no :path', request()[:2] + request()[3:]),
        ('an empty :path', request('')),
        (':path without a slash', request('foo')),
        ('two :method', request()[:1] + request()),
        ('two :path', request() [:3] + [(':path', '/b')] + request()[3:]),
        ('two :scheme', request()[:2] + request()[1:]),
        ('two :authority', request() + request()[3:]),
        ('Connection', request(more=[('connection', 'keep-alive')])),
        ('Keep-Alive', request(more=[('keep-alive', '1')])),
        ('Proxy-Connection', request(more=[('proxy-connection', '1')])),
        ('Transfer-Encoding', request(more=[('transfer-encoding',
                                             'chunked')])),
        ('Upgrade', request(more=[('upgrade', 'h2c')])),
        ('TE other than trailers', request(more=[('te', 'gzip')])),
        ('an authority with a user', request(authority='a@b')),
        ('no authority at all', request()[:3])):
    c = Client(PORT)
    c.open(fields)
    s = c.finish(1)
    check((s.reset == P or s.status == 400) and c.alive()
          and c.goaway is None, name,
          'status %s, RST_STREAM %s, GOAWAY %s' % (s.status, s.reset,
                                                   c.goaway))
    c.close()
status('TE: trailers', 200, head(request(more=[('te', 'trailers')])))
status('Host for :authority', 200,
       head(request()[:3] + [('host', 'localhost')]))
status('Host that is not :authority', 400,
       head(request(more=[('host', 'other')])))

# --- bodies (8.1.1)

UP = [('content-length', '3')]
status('Content-Length that is right', 200,
       head(request('/up', 'POST', UP), end=False)
       + frame(DATA, END_STREAM, 1, b'abc'))
for name, data in (
        ('less than Content-Length', frame(DATA, END_STREAM, 1, b'ab')),
        ('more than Content-Length', frame(DATA, END_STREAM, 1, b'abcd')),
        ('more, in two frames', frame(DATA, 0, 1, b'abc')
         + frame(DATA, END_STREAM, 1, b'd'))):
    stream(name, P, head(request('/up', 'POST', UP), end=False) + data)
stream('Content-Length and no body', P, head(request('/up', 'POST', UP)))
either('two Content-Length', P,
       head(request('/up', 'POST', UP + [('content-length', '4')]),
            end=False))
either('Content-Length that is no number', P,
       head(request('/up', 'POST', [('content-length', 'x')]), end=False))
stream('a pseudo-field in trailers', P,
       POST + frame(DATA, 0, 1, b'a')
       + frame(HEADERS, 5, 1, literal([(':path', '/x')])))
either('trailers that do not end the stream', P,
       POST + frame(DATA, 0, 1, b'a')
       + frame(HEADERS, 4, 1, literal([('x-a', '1')])))
status('trailers', 200, POST + frame(DATA, 0, 1, b'a')
       + frame(HEADERS, 5, 1, literal([('x-a', '1')])))
status('CONNECT', 405,
       head([(':method', 'CONNECT'), (':authority', 'a:443')]))
either('CONNECT with a path', P,
       head(request(method='CONNECT')))

# --- HPACK (RFC 7541)


def packed(data, more=b''):
    return frame(HEADERS, 5, 1, data + more)


connection('HPACK: index 0', C, packed(b'\x80', block))
connection('HPACK: an index beyond the table', C, packed(b'\xff\x80\x01',
                                                         block))
connection('HPACK: a name beyond the table', C,
           packed(b'\x7f\x80\x01\x01a', block))
connection('HPACK: a table beyond SETTINGS_HEADER_TABLE_SIZE', C,
           packed(number(65537, 5, 0x20), block))
connection('HPACK: a change of the table in the midst of a head', C,
           packed(block, number(100, 5, 0x20)))
status('HPACK: two changes of the table', 200,
       packed(number(0, 5, 0x20) + number(4096, 5, 0x20), block))
connection('HPACK: a string longer than the head', C,
           packed(block, b'\0\x05ab'))
connection('HPACK: a string that overflows', C,
           packed(block, b'\0\x7f\xff\xff\xff\xff\xff\xff\xff\x7f'))
connection('HPACK: Huffman with EOS', C,
           packed(block, b'\0\x01a\x84\xff\xff\xff\xff'))
connection('HPACK: Huffman with padding of zeros', C,
           packed(block, b'\0\x01a\x81\x18'))
connection('HPACK: an index that overflows', C,
           packed(block, b'\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f'))
c = Client(PORT)
c.open(request())
s = c.finish(1)
c.send(frame(HEADERS, 5, 3, b'\x40\x01a\x01b' + literal([]) + b''))
s = c.finish(3)
c.next = 5
check(s.reset == P and c.alive(), 'HPACK: a field alone is no head', s.reset)
# The table outlives the head that was refused.
c.send(frame(HEADERS, 5, 7, block + b'\xbe'))
c.next = 9
check(c.finish(7).status == 200 and c.alive(),
      'HPACK: a refused head has changed the table')
c.close()

# --- nothing of all this may cost the process: a head that is cut off

c = Client(PORT)
c.send(frame(HEADERS, END_STREAM, 1, block[:9]))
c.close()
fine('after a head that is cut off', b'')

sys.exit(failed != 0)
