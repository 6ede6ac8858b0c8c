# h2_cases_frames.py -- connections, frames and streams: RFC 9113, 3 to 7.

from h2_conformance import *

# --- 3: the beginning


@case('9113 3.4', 'SETTINGS are the first frame of the server, and then its '
      'acknowledgment', 'generic/1/1')
def settings_first():
    c = client()
    c.fence()
    kinds = [f[:3] for f in c.frames]
    c.close()
    return (kinds[0] == (SETTINGS, 0, 0) and (SETTINGS, ACK, 0) in kinds,
            kinds)


@case('9113 3.4', 'they come without a request, and say what holds')
def settings_alone():
    c = client(preface=False)
    c.send(PREFACE + settings())
    c.until(lambda: c.frames)
    c.fence()
    c.close()
    return (c.settings == {1: 65536, 3: 256, 4: 1 << 20, 5: 65536, 6: 65536,
                           8: 1, 9: 1}
            and (WINDOW_UPDATE, 0, 0, window((1 << 20) - 65535)) in c.frames,
            (c.settings, c.frames))


connection('9113 3.4', 'a preface without SETTINGS', P, PREFACE + GET,
           preface=False)
connection('9113 3.4', 'SETTINGS that are an acknowledgment first', P,
           PREFACE + frame(SETTINGS, ACK, 0), preface=False)
connection('9113 3.4', 'a client of HTTP/1 after ALPN h2', P,
           b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'http2/3.5/2',
           preface=False, tls=True)
fine('9113 3.4', 'frames right after the preface', GET, 'http2/3.5/1')

whole = PREFACE + settings() + GET \
    + head(request('/up', 'POST'), False, 3) \
    + frame(DATA, END_STREAM, 3, b'abc')


@case('9113 3.4', 'byte by byte')
def bytewise():
    c = client(preface=False)
    for i in range(len(whole)):
        c.send(whole[i:i + 1])
        time.sleep(0.0005)  # nothing is read: SETTINGS come before an ACK
    a, b = c.finish(1).status, c.finish(3).status
    c.close()
    return a == b == 200, (a, b)


@case('9113 3.4', 'the preface in two packets')
def two_packets():
    wrong = []
    for i in range(1, len(PREFACE) + 1):
        c = client(preface=False)
        c.send(whole[:i])
        time.sleep(0.003)
        c.send(whole[i:])
        if c.finish(1).status != 200:
            wrong.append(i)
        c.close()
    return not wrong, wrong


def bad_preface(name, text):
    @case('9113 3.4', name)
    def run():
        c = client(preface=False)
        c.send(text[:9])
        c.pump(0.005)
        c.send(text[9:])
        c.until(lambda: c.closed)
        c.close()
        return (c.closed, (c.buffer[:40], c.goaway))


bad_preface('a line of the preface and HTTP/1',
            b'PRI * HTTP/2.0\r\nHost: a\r\n\r\n')
bad_preface('a preface with another end', PREFACE[:-4] + b'\r\r\r\n')


@case('9113 3.1', 'Upgrade: h2c is not answered')
def upgrade():
    c = client(preface=False)
    c.send(b'GET /ok HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, '
           b'HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: '
           b'AAMAAABkAAQAAP__\r\n\r\n')
    c.until(lambda: c.closed or len(c.buffer) >= 13)
    text = c.buffer
    c.close()
    return text.startswith(b'HTTP/1.1 200 '), text[:40]


# --- 4: frames

fine('9113 4.1', 'a frame of an unknown type', frame(0xbb, 0xff, 0,
                                                     b'x' * 99),
     'http2/4.1/1')
fine('9113 4.1', 'one on a stream', GET + frame(0xbb, 0xff, 1, b'x' * 99)
     + frame(0xbb, 0, 99, b''), 'http2/5.5/1')
fine('9113 4.1', 'one that is empty, one that is as large as may be',
     frame(0xbb, 0, 0) + frame(0xbb, 0, 0, b'x' * 65536), settle=True)
fine('9113 4.1', 'ALTSVC and ORIGIN, which are a server\'s',
     frame(10, 0, 0, b'\0\1ab') + frame(12, 0, 0, b'\0\1a'))
fine('9113 4.1', 'flags without a meaning', frame(PING, 0xfe, 0, b'12345678')
     + frame(SETTINGS, 0xfe, 0), 'http2/4.1/2')
status('9113 4.1', 'the same of a head and of DATA', 200,
       frame(HEADERS, 0xd2 | END_HEADERS, 1, literal(request('/up', 'POST')))
       + frame(DATA, 0xf6 | END_STREAM, 1, b'a'))
fine('9113 4.1', 'the reserved bit', frame(PING, 0, 0x80000000, b'12345678')
     + frame(WINDOW_UPDATE, 0, 0x80000000, window(0x80000001)),
     'http2/4.1/3')
status('9113 4.1', 'the reserved bit of a head', 200,
       frame(HEADERS, 5, 0x80000001, block))
connection('9113 4.2', 'DATA beyond SETTINGS_MAX_FRAME_SIZE', F,
           POST + frame(DATA, 0, 1, b'x' * 65537), 'http2/4.2/2')
connection('9113 4.2', 'a head beyond it', F,
           frame(HEADERS, 5, 1, b'x' * 65537), 'http2/4.2/3')
connection('9113 4.2', 'SETTINGS beyond it', F,
           frame(SETTINGS, 0, 0, b'\0\x77\0\0\0\0' * 10923))
connection('9113 4.2', 'a frame of an unknown type beyond it', F,
           frame(0xbb, 0, 0, b'x' * 65537))
connection('9113 4.2', 'CONTINUATION beyond it', F,
           frame(HEADERS, 1, 1, block[:9])
           + frame(CONTINUATION, 4, 1, b'x' * 65537))


@case('9113 4.2', 'a frame of that size', 'http2/4.2/1')
def largest():
    c = client()
    c.fence()
    c.open(request('/up', 'POST'), end=False)
    c.send(frame(DATA, END_STREAM, 1, b'x' * 65536))
    s = c.finish(1)
    c.close()
    return s.status == 200, (s.status, c.goaway)


def sizes(name, pairs, most):
    @case('9113 4.2', name)
    def run():
        c = client(pairs=pairs)
        s = c.ask(request('/file'))
        t = c.ask(request('/large'))
        c.close()
        large = max(len(f[3]) for f in c.frames)
        parts = [f[0] for f in c.frames if f[2] == 3]
        value = dict(t.heads[0])['x-large'] if t.heads else ''
        return (s.ended and len(s.data) == 30000 and len(value) == 40000
                and large <= most and CONTINUATION in parts,
                (large, parts, len(value)))


sizes('no frame to the client is larger than its default', (), 16384)
sizes('nor than it says', ((5, 16384),), 16384)
sizes('nor when it says more', ((5, 20000),), 20000)
connection('9113 4.3', 'a head that cannot be decoded', C,
           frame(HEADERS, 5, 1, b'\xff' * 20), 'http2/4.3/1')
connection('9113 4.3', 'PRIORITY within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(PRIORITY, 0, 1, window(0) + b'\x10'), 'http2/4.3/2')
connection('9113 4.3', 'another head within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + head(request(), number=3), 'http2/4.3/3')
connection('9113 4.3', 'a head that ends within a field', C,
           frame(HEADERS, 5, 1, block[:-4]))


@case('9113 4.3', 'a head is complete before it is used')
def whole_head():
    c = client(settle=True)
    c.send(frame(HEADERS, END_STREAM, 1, block[:-1]))
    c.pump(0.05)
    early = c.get(1).status
    c.send(frame(CONTINUATION, 4, 1, block[-1:]))
    s = c.finish(1)
    c.close()
    return early is None and s.status == 200, (early, s.status)


@case('9113 4.3', 'a connection that ends within a head harms no other')
def cut_off():
    c, d = client(), client()
    c.send(frame(HEADERS, END_STREAM, 1, block[:9]))
    c.close()
    fine = d.alive()
    d.close()
    return fine, d.goaway


# --- 5.1: states of a stream

connection('9113 5.1', 'idle: DATA', P, frame(DATA, 0, 1, b'x'),
           'http2/5.1/1')
connection('9113 5.1', 'idle: RST_STREAM', P,
           frame(RST_STREAM, 0, 1, window(8)), 'http2/5.1/2')
connection('9113 5.1', 'idle: WINDOW_UPDATE', P,
           frame(WINDOW_UPDATE, 0, 1, window(8)), 'http2/5.1/3')
connection('9113 5.1', 'idle: CONTINUATION', P,
           frame(CONTINUATION, END_HEADERS, 1, block), 'http2/5.1/4')
connection('9113 5.1', 'idle, of the server: WINDOW_UPDATE', P,
           frame(WINDOW_UPDATE, 0, 2, window(8)))
connection('9113 5.1', 'idle, of the server: RST_STREAM', P,
           frame(RST_STREAM, 0, 2, window(8)))
fine('9113 5.1', 'idle: PRIORITY',
     frame(PRIORITY, 0, 7, window(0) + b'\x10'), 'generic/2/1')
either('9113 5.1', 'half-closed: DATA', S, HOLD + frame(DATA, 0, 1, b'x'),
       'http2/5.1/5')
either('9113 5.1', 'half-closed: HEADERS', S, HOLD + HOLD, 'http2/5.1/6')
either('9113 5.1', 'half-closed: CONTINUATION', S + ' ' + P,
       HOLD + frame(CONTINUATION, 4, 1, block), 'http2/5.1/7')
fine('9113 5.1', 'half-closed: WINDOW_UPDATE',
     HOLD + frame(WINDOW_UPDATE, 0, 1, window(10)), 'generic/2/2')
fine('9113 5.1', 'half-closed: PRIORITY',
     HOLD + frame(PRIORITY, 0, 1, window(0) + b'\x10'), 'generic/2/3')
fine('9113 5.1', 'half-closed: RST_STREAM',
     HOLD + frame(RST_STREAM, 0, 1, window(8)), 'generic/2/4')


@case('9113 5.1', 'closed: PRIORITY, WINDOW_UPDATE, RST_STREAM',
      'generic/2/5')
def closed_allowed():
    c = client()
    c.ask()
    c.send(frame(WINDOW_UPDATE, 0, 1, window(1))
           + frame(RST_STREAM, 0, 1, window(8))
           + frame(PRIORITY, 0, 1, window(0) + b'\x10'))
    fine = c.fence() and c.alive() and c.goaway is None
    c.close()
    return fine, c.goaway


def closed(name, what, codes, spec):
    @case('9113 5.1', 'closed by END_STREAM: ' + name, spec)
    def run():
        c = client()
        c.ask()
        c.send(what)
        c.until(lambda: c.closed)
        c.close()
        return c.closed and c.goaway in codes.split(), (c.closed, c.goaway)

    @case('9113 5.1', 'closed by RST_STREAM: ' + name,
          'http2/5.1/%d' % (int(spec[10:]) - 3))
    def after_reset():
        c = client(pairs=((4, 0),))
        c.open(request('/file'))
        c.send(frame(RST_STREAM, 0, 1, window(8)))
        c.fence()
        c.send(what)
        c.until(lambda: c.closed)
        c.close()
        return c.closed and c.goaway in codes.split(), (c.closed, c.goaway)


closed('DATA', frame(DATA, 1, 1, b'x'), S, 'http2/5.1/11')
closed('HEADERS', GET, S, 'http2/5.1/12')
closed('CONTINUATION', frame(CONTINUATION, 4, 1, block), S + ' ' + P,
       'http2/5.1/13')


@case('9113 5.1', 'in the packet of an RST_STREAM: DATA')
def reset_and_data():
    c = client(pairs=((4, 0),))
    c.open(request('/file'))
    c.send(frame(RST_STREAM, 0, 1, window(8)) + frame(DATA, 1, 1, b'x'))
    fine = c.fence() and c.goaway is None or c.goaway == S
    c.close()
    return fine, c.goaway


@case('9113 5.1', 'after our RST_STREAM: DATA, trailers and resets may come, '
      'their window and fields count')
def after_ours():
    c = client()
    c.fence()
    c.open(request('/up', 'POST', [('X-Upper', 'a')]), end=False)
    c.until(lambda: c.get(1).reset is not None)
    c.window[1] = 1 << 20
    for i in range(40):  # more than the connection's window in all
        c.until(lambda: c.room(0) >= 65536)
        c.window[0] -= 65536
        c.send(frame(DATA, 0, 1, b'x' * 65536))
    # A field goes into the table with trailers that are thrown away.
    c.send(frame(HEADERS, 5, 1, b'\x40' + text('x-late') + text('1'))
           + frame(RST_STREAM, 0, 1, window(8))
           + frame(WINDOW_UPDATE, 0, 1, window(1)))
    s = c.get(3)
    c.send(frame(HEADERS, 5, 3, literal(request('/late')) + b'\xbe'))
    c.next = 5
    c.finish(3)
    fine = s.data == b'late=1' and c.alive() and c.goaway is None
    c.close()
    return fine, (c.get(1).reset, s.status, s.data, c.goaway, c.room(0))


connection('9113 5.1.1', 'an even stream', P, head(request(), number=2),
           'http2/5.1.1/1')
connection('9113 5.1.1', 'a stream that is older than the last', P,
           head(request(), number=5) + head(request(), number=3),
           'http2/5.1.1/2')
status('9113 5.1.1', 'numbers may be skipped', 200,
       head(request(), number=77), number=77)
status('9113 5.1.1', 'the last number there is', 200,
       head(request(), number=0x7fffffff), number=0x7fffffff)
connection('9113 5.1.1', 'and nothing after it', P,
           head(request(), number=0x7fffffff)
           + head(request(), number=0x7ffffffd))


@case('9113 5.1.2', 'a stream more than are allowed, before they were known',
      'http2/5.1.2/1')
def too_many():
    c = client(pairs=((4, 0),))
    c.ack = False
    for i in range(257):
        c.open(request('/file'))
    s, t = c.get(513), c.get(511)
    c.until(lambda: s.reset is not None)
    fine = s.reset in (R, P) and c.goaway is None and t.reset is None
    # When one ends there is room for another.
    c.send(frame(RST_STREAM, 0, 1, window(8)))
    u = c.get(c.open())
    c.send(settings((4, 100)))
    c.until(lambda: u.ended or u.reset is not None)
    c.close()
    return fine and u.status == 200, (s.reset, t.reset, u.status, c.goaway)


@case('9113 5.1.2', 'and after')
def too_many_known():
    c = client(pairs=((4, 0),))
    c.fence()
    for i in range(257):
        c.open(request('/file'))
    s = c.get(513)
    c.until(lambda: s.reset is not None or c.goaway is not None)
    c.close()
    return s.reset in (R, P) or c.goaway == P, (s.reset, c.goaway)


# --- 5.2 to 5.5

either('9113 5.2', 'DATA beyond the window of a stream', W,
       head(request('/held', 'POST'), end=False)
       + b''.join(frame(DATA, 0, 1, b'x' * 16384) for i in range(90)))


@case('9113 5.2', 'DATA beyond the window of the connection')
def beyond_connection():
    # Each stream keeps to its own; of all, four megabytes are taken before
    # the window stays shut.
    c = client(settle=True)
    for n in range(1, 15, 2):
        c.open(request('/held', 'POST'), end=False)
        c.send(frame(DATA, 0, n, b'x' * 16384) * 63)
    c.until(lambda: c.closed)
    c.close()
    return c.closed and c.goaway == W, c.goaway


either('9113 5.3.2', 'a head that depends on itself', P,
       frame(HEADERS, 5 | PRIO, 1, window(1) + b'\x10' + block),
       'http2/5.3.1/1', answered=True)
fine('9113 5.3.2', 'PRIORITY that depends on itself', GET
     + frame(PRIORITY, 0, 1, window(1) + b'\x10'), 'http2/5.3.1/2')
connection('9113 5.4.1', 'an error is followed by GOAWAY and the end', F,
           frame(PING, 0, 0, b'1234567'), 'http2/5.4.1/1')


@case('9113 5.4.1', 'GOAWAY names the last stream', 'http2/5.4.1/2')
def last_stream():
    c = client()
    for i in range(3):
        c.ask()
    c.send(frame(SETTINGS, 0, 0, b'1'))
    c.until(lambda: c.closed)
    c.close()
    kinds = [f for f in c.frames if f[0] == GOAWAY]
    return (c.goaways == [(5, F)] and kinds[0][2] == 0
            and c.frames[-1][0] == GOAWAY, c.goaways)


@case('9113 5.4.2', 'RST_STREAM is not answered by one')
def no_reset_back():
    c = client(pairs=((4, 0),))
    for i in range(10):
        n = c.open(request('/file'))
        c.send(frame(RST_STREAM, 0, n, window(8)) * 2)
    c.send(settings((4, 100)))
    c.fence()
    resets = [f for f in c.frames if f[0] == RST_STREAM]
    fine = not resets and c.goaway is None and c.alive()
    c.close()
    return fine, (resets, c.goaway)


connection('9113 5.5', 'an unknown frame within a head', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(0xbb, 0, 0, b'12345678'), 'http2/5.5/2')

# --- 6.1: DATA

connection('9113 6.1', 'DATA on stream 0', P, frame(DATA, 0, 0, b'x'),
           'http2/6.1/1')
either('9113 6.1', 'DATA on a stream that is not open', S + ' ' + P,
       HOLD + frame(DATA, END_STREAM, 1, b'x'), 'http2/6.1/2')
connection('9113 6.1', 'padding longer than the frame', P,
           POST + frame(DATA, PADDED, 1, b'\x06abcde'), 'http2/6.1/3')
connection('9113 6.1', 'as long as the frame', P,
           POST + frame(DATA, PADDED, 1, b'\x05abcd'))
connection('9113 6.1', 'PADDED and empty', P + ' ' + F,
           POST + frame(DATA, PADDED, 1))
status('9113 6.1', 'DATA', 200, POST + frame(DATA, END_STREAM, 1, b'test'),
       'generic/3.1/1')
status('9113 6.1', 'more of it', 200, POST + frame(DATA, 0, 1, b'test')
       + frame(DATA, END_STREAM, 1, b'test'), 'generic/3.1/2')
status('9113 6.1', 'with padding', 200,
       POST + frame(DATA, PADDED | END_STREAM, 1, b'\x02abc\0\0'),
       'generic/3.1/3')
status('9113 6.1', 'all padding', 200,
       POST + frame(DATA, PADDED | END_STREAM, 1, b'\x02\0\0'))
status('9113 6.1', 'padding that is not zero', 200,
       POST + frame(DATA, PADDED | END_STREAM, 1, b'\x02a\1\2'))


@case('9113 6.1', 'the window of padding is given back')
def padding_window():
    c = client()
    c.fence()
    c.open(request('/up', 'POST'), end=False)
    for i in range(5000):
        if not c.upload(1, b'12345', pad=250, end=i == 4999):
            break
    s = c.finish(1)
    c.close()
    return s.status == 200 and c.goaway is None, (s.status, c.goaway)


# --- 6.2: HEADERS

connection('9113 6.2', 'HEADERS on stream 0', P, frame(HEADERS, 5, 0, block),
           'http2/6.2/3')
connection('9113 6.2', 'padding longer than the frame', P,
           frame(HEADERS, 5 | PADDED, 1, b'\xff' + block), 'http2/6.2/4')
connection('9113 6.2', 'PADDED and empty', P + ' ' + F,
           frame(HEADERS, 5 | PADDED, 1))
status('9113 6.2', 'HEADERS', 200, GET, 'generic/3.2/1')
status('9113 6.2', 'with padding', 200,
       frame(HEADERS, 5 | PADDED, 1, b'\x03' + block + b'\0\0\0'),
       'generic/3.2/2')
status('9113 6.2', 'with a priority', 200,
       frame(HEADERS, 5 | PRIO, 1, window(0) + b'\x10' + block),
       'generic/3.2/3')
status('9113 6.2', 'with both', 200,
       frame(HEADERS, 5 | PADDED | PRIO, 1,
             b'\x03' + window(0) + b'\x10' + block + b'\0\0\0'))
connection('9113 6.2', 'too short for a priority', P + ' ' + F,
           frame(HEADERS, 5 | PRIO, 1, b'\0\0'))
connection('9113 6.2', 'PRIORITY after a head without END_HEADERS', P,
           frame(HEADERS, 1, 1, block)
           + frame(PRIORITY, 0, 1, window(0) + b'\x10'), 'http2/6.2/1')
connection('9113 6.2', 'HEADERS of another stream after one', P,
           frame(HEADERS, 1, 1, block) + head(request(), number=3),
           'http2/6.2/2')

# --- 6.3: PRIORITY, 6.4: RST_STREAM

connection('9113 6.3', 'PRIORITY on stream 0', P,
           frame(PRIORITY, 0, 0, window(0) + b'\x10'), 'http2/6.3/1')
either('9113 6.3', 'of another length', F,
       GET + frame(PRIORITY, 0, 1, b'1234'), 'http2/6.3/2')
either('9113 6.3', 'of a longer one', F,
       GET + frame(PRIORITY, 0, 1, b'123456'))
for name, payload, spec in (
        ('weight 1', window(0) + b'\0', 1),
        ('weight 256', window(0) + b'\xff', 2),
        ('with a dependency', window(3) + b'\x10', 3),
        ('with an exclusive one', window(0x80000003) + b'\x10', 4)):
    fine('9113 6.3', name, GET + frame(PRIORITY, 0, 1, payload),
         'generic/3.3/%d' % spec)
status('9113 6.3', 'of a later stream, then an earlier one', 200,
       frame(PRIORITY, 0, 5, window(0) + b'\x10') + GET, 'generic/3.3/5')
connection('9113 6.4', 'RST_STREAM on stream 0', P,
           frame(RST_STREAM, 0, 0, window(8)), 'http2/6.4/1')
connection('9113 6.4', 'of an idle stream', P,
           GET + frame(RST_STREAM, 0, 3, window(8)), 'http2/6.4/2')
connection('9113 6.4', 'of another length', F,
           POST + frame(RST_STREAM, 0, 1, b'123'), 'http2/6.4/3')
connection('9113 6.4', 'of a longer one', F,
           POST + frame(RST_STREAM, 0, 1, b'12345'))


@case('9113 6.4', 'RST_STREAM ends a stream, and nothing of it comes after',
      'generic/3.4/1')
def reset_ends():
    c = client(pairs=((4, 10),))
    c.credit = False
    c.open(request('/file'))
    c.until(lambda: len(c.get(1).data) >= 10)
    c.send(frame(RST_STREAM, 0, 1, window(8)))
    c.fence()
    had = len(c.get(1).data)
    c.send(settings((4, 1000)))
    fine = c.fence() and c.alive()
    c.close()
    return fine and len(c.get(1).data) == had == 10, len(c.get(1).data)


# --- 6.5: SETTINGS

connection('9113 6.5', 'an acknowledgment with a payload', F,
           frame(SETTINGS, ACK, 0, b'\0' * 6), 'http2/6.5/1')
connection('9113 6.5', 'SETTINGS on a stream', P, frame(SETTINGS, 0, 1, b''),
           'http2/6.5/2')
connection('9113 6.5', 'of another length', F,
           frame(SETTINGS, 0, 0, b'123'), 'http2/6.5/3')
fine('9113 6.5', 'SETTINGS', settings((3, 100)), 'generic/3.5/1')
for value in (2, 0xffffffff):
    connection('9113 6.5.2', 'SETTINGS_ENABLE_PUSH %d' % value, P,
               settings((2, value)), 'http2/6.5.2/1' if value == 2 else None)
connection('9113 6.5.2', 'SETTINGS_INITIAL_WINDOW_SIZE 2^31', W,
           settings((4, 1 << 31)), 'http2/6.5.2/2')
connection('9113 6.5.2', 'SETTINGS_MAX_FRAME_SIZE 16383', P,
           settings((5, 16383)), 'http2/6.5.2/3')
connection('9113 6.5.2', 'SETTINGS_MAX_FRAME_SIZE 2^24', P,
           settings((5, 1 << 24)), 'http2/6.5.2/4')
fine('9113 6.5.2', 'an unknown setting', settings((0xfff0, 7), (0, 1)),
     'http2/6.5.2/5')
fine('9113 6.5.2', 'the least of each', settings(
    (1, 0), (2, 0), (3, 0), (5, 16384), (6, 0)))
fine('9113 6.5.2', 'the most of each', settings(
    (1, 0xffffffff), (2, 1), (3, 0xffffffff), (4, 0x7fffffff),
    (5, 0xffffff), (6, 0xffffffff)))


@case('9113 6.5.3', 'each SETTINGS is acknowledged, in effect by then',
      'http2/6.5.3/2')
def acknowledged():
    c = client(pairs=((4, 1 << 20),))
    c.fence()
    c.credit = False
    c.send(settings((4, 100)) + FILE)
    c.next = 3
    c.until(lambda: len(c.get(1).data) >= 100)
    c.fence()
    acks = [f[1] for f in c.frames if f[0] == SETTINGS].count(ACK)
    n = len(c.get(1).data)
    c.close()
    return acks == 2 and n == 100, (acks, n)


@case('9113 6.5.3', 'of one setting twice the last one holds',
      'http2/6.5.3/1')
def last_value():
    c = client(pairs=((4, 100), (4, 1)))
    c.credit = False
    c.open(request('/file'))
    c.until(lambda: c.get(1).data)
    c.fence()
    c.close()
    return len(c.get(1).data) == 1, len(c.get(1).data)


# --- 6.6: PUSH_PROMISE, 6.7: PING, 6.8: GOAWAY

connection('9113 6.6', 'PUSH_PROMISE of a client', P,
           POST + frame(PUSH_PROMISE, 4, 1, window(2) + block),
           'http2/8.2/1')
connection('9113 6.6', 'on stream 0', P,
           frame(PUSH_PROMISE, 4, 0, window(2) + block))
connection('9113 6.7', 'PING on a stream', P, frame(PING, 0, 1, b'12345678'),
           'http2/6.7/3')
connection('9113 6.7', 'of another length', F, frame(PING, 0, 0, b'1234567'),
           'http2/6.7/4')
connection('9113 6.7', 'of a longer one', F, frame(PING, 0, 0, b'123456789'))
connection('9113 6.7', 'an empty one', F, frame(PING, 0, 0, b''))


@case('9113 6.7', 'PING is answered with its payload',
      'http2/6.7/1 generic/3.7/1')
def ping():
    c = client()
    c.send(frame(PING, 0, 0, b'question'))
    c.until(lambda: c.pongs)
    c.close()
    return (PING, ACK, 0, b'question') in c.frames, c.frames


@case('9113 6.7', 'the answer to one is not', 'http2/6.7/2')
def pong():
    c = client()
    c.send(frame(PING, ACK, 0, b'answer??'))
    c.fence()
    c.close()
    return b'answer??' not in c.pongs, c.pongs


@case('9113 6.7', 'before DATA that waits')
def ping_first():
    c = client(pairs=((4, 0x7fffffff),), buffer=65536)
    c.credit = False
    c.send(frame(WINDOW_UPDATE, 0, 0, window(0x7fff0000 - 65535)))
    for i in range(4):
        c.open(request('/big'))
    time.sleep(0.2)  # what fits into the socket has been written
    c.send(frame(PING, 0, 0, b'question'))
    c.until(lambda: c.pongs)
    got = sum(len(s.data) for s in c.streams.values())
    c.close()
    return bool(c.pongs) and got < 30000000, (c.pongs, got)


connection('9113 6.8', 'GOAWAY on a stream', P, frame(GOAWAY, 0, 1, b'\0' * 8),
           'http2/6.8/1')
connection('9113 6.8', 'of another length', F,
           frame(GOAWAY, 0, 0, b'\0' * 7))


@case('9113 6.8', 'what was asked for before is answered, then the end',
      'generic/3.8/1')
def goaway():
    c = client(pairs=((4, 1),))
    c.open(request('/file'))
    c.send(frame(GOAWAY, 0, 0, b'\0' * 8 + b'some words')
           + frame(WINDOW_UPDATE, 0, 1, window(1 << 20)))
    s = c.finish(1)
    c.until(lambda: c.closed)
    c.close()
    return (s.ended and len(s.data) == 30000 and c.closed,
            (s.ended, len(s.data), c.closed))


@case('9113 6.8', 'GOAWAY twice')
def goaway_twice():
    c = client(pairs=((4, 1),))
    c.open(request('/file'))
    c.send(frame(GOAWAY, 0, 0, b'\0' * 8) * 2
           + frame(WINDOW_UPDATE, 0, 1, window(1 << 20)))
    s = c.finish(1)
    c.close()
    return s.ended and len(s.data) == 30000, (s.ended, len(s.data))


# --- 6.9: WINDOW_UPDATE

connection('9113 6.9', 'WINDOW_UPDATE 0 of the connection', P,
           frame(WINDOW_UPDATE, 0, 0, window(0)), 'http2/6.9/1')
either('9113 6.9', 'of a stream', P,
       POST + frame(WINDOW_UPDATE, 0, 1, window(0)), 'http2/6.9/2')
connection('9113 6.9', 'of another length', F,
           frame(WINDOW_UPDATE, 0, 0, b'123'), 'http2/6.9/3')
connection('9113 6.9', 'the same of a stream', F,
           POST + frame(WINDOW_UPDATE, 0, 1, b'12345'))
fine('9113 6.9', 'WINDOW_UPDATE of the connection',
     frame(WINDOW_UPDATE, 0, 0, window(1)), 'generic/3.9/1')
fine('9113 6.9', 'WINDOW_UPDATE of a stream',
     GET + frame(WINDOW_UPDATE, 0, 1, window(1)), 'generic/3.9/2')
connection('9113 6.9.1', 'the window of the connection beyond 2^31-1', W,
           frame(WINDOW_UPDATE, 0, 0, window(0x7fffffff)))
connection('9113 6.9.1', 'the same in two steps', W,
           frame(WINDOW_UPDATE, 0, 0, window(0x7fffffff - 65535))
           + frame(WINDOW_UPDATE, 0, 0, window(1)), 'http2/6.9.1/2')
fine('9113 6.9.1', 'just 2^31-1',
     frame(WINDOW_UPDATE, 0, 0, window(0x7fffffff - 65535)))
stream('9113 6.9.1', 'the window of a stream beyond 2^31-1', W,
       POST + frame(WINDOW_UPDATE, 0, 1, window(0x7fffffff)))
stream('9113 6.9.1', 'the same in two steps', W,
       POST + frame(WINDOW_UPDATE, 0, 1, window(0x7fffffff - 65535))
       + frame(WINDOW_UPDATE, 0, 1, window(1)), 'http2/6.9.1/3')


def exactly(section, name, pairs, steps, spec=None):
    """After each step so many bytes have come, no more and no less."""
    @case(section, name, spec)
    def run():
        c = client(pairs=pairs)
        c.credit = False
        c.open(request('/big'))
        got = []
        for data, want in steps:
            c.send(data)
            c.fence()
            c.until(lambda: len(c.get(1).data) >= want)
            c.fence()
            got.append(len(c.get(1).data))
        c.close()
        return got == [want for data, want in steps] and c.goaway is None, \
            (got, c.goaway)


def grow(n, stream):
    return frame(WINDOW_UPDATE, 0, stream, window(n))


exactly('9113 6.9.1', 'a window of one byte', ((4, 1),),
        ((b'', 1), (grow(1, 1), 2), (grow(5, 1), 7)), 'http2/6.9.1/1')
exactly('9113 6.9.1', 'the window of the connection', ((4, 1 << 20),),
        ((b'', 65535), (grow(1, 0), 65536), (grow(20000, 0), 85536)))
exactly('9113 6.9.1', 'the smaller of the two', ((4, 70000),),
        ((b'', 65535), (grow(10000, 0), 70000), (grow(9, 1), 70009)))
exactly('9113 6.9.2', 'SETTINGS open a window that was shut', ((4, 0),),
        ((b'', 0), (settings((4, 1)), 1), (settings((4, 100)), 100)),
        'http2/6.9.2/1')
exactly('9113 6.9.2', 'a window that SETTINGS made negative', ((4, 10),),
        ((b'', 10), (settings((4, 0)) + grow(5, 1), 10), (grow(7, 1), 12),
         (settings((4, 3)), 15)), 'http2/6.9.2/2')
exactly('9113 6.9.2', 'SETTINGS do not change that of the connection',
        ((4, 1 << 20),), ((b'', 65535), (settings((4, 1 << 21)), 65535)))
connection('9113 6.9.2', 'SETTINGS that make a window overflow', W,
           settings((4, 0)) + HOLD + grow(0x7ffffff0, 1)
           + settings((4, 0x100)), 'http2/6.9.2/3')


@case('9113 6.9.2', 'all streams are changed')
def all_streams():
    c = client(pairs=((4, 10),))
    c.credit = False
    numbers = [c.open(request('/file')) for i in range(5)]
    for want in (10, 25):
        if want == 25:
            c.send(settings((4, want)))
        c.until(lambda: all(len(c.get(n).data) >= want for n in numbers))
        c.fence()
    got = [len(c.get(n).data) for n in numbers]
    c.close()
    return got == [25] * 5, got


@case('9113 6.9', 'what has no bytes needs no window')
def empty_answer():
    c = client(pairs=((4, 0),))
    c.credit = False
    s, t = c.ask(request('/empty')), c.ask(request('/file', 'HEAD'))
    c.close()
    return (s.ended and t.ended and s.status == t.status == 200,
            (s.status, t.status))


@case('9113 6.9.3', 'an upload within windows as they are given')
def upload():
    c = client()
    c.fence()
    c.open(request('/up', 'POST'), end=False)
    fine = c.upload(1, b'x' * 5000000) and c.finish(1).status == 200
    c.close()
    return fine and c.goaway is None, (c.get(1).status, c.goaway)


# --- 6.10: CONTINUATION

status('9113 6.10', 'CONTINUATION', 200,
       frame(HEADERS, END_STREAM, 1, block[:9])
       + frame(CONTINUATION, END_HEADERS, 1, block[9:]), 'generic/3.10/1')
status('9113 6.10', 'more of them', 200,
       frame(HEADERS, END_STREAM, 1, block[:9])
       + frame(CONTINUATION, 0, 1, block[9:21])
       + frame(CONTINUATION, 0, 1, block[21:30])
       + frame(CONTINUATION, END_HEADERS, 1, block[30:]), 'http2/6.10/1')
status('9113 6.10', 'an empty one, and flags that have no meaning', 200,
       frame(HEADERS, END_STREAM, 1, block[:9])
       + frame(CONTINUATION, 0xfb, 1) + frame(CONTINUATION, 0xff, 1,
                                              block[9:]), 'generic/3.10/2')
status('9113 6.10', 'a head of no bytes, and all in CONTINUATION', 200,
       frame(HEADERS, END_STREAM, 1) + frame(CONTINUATION, 4, 1, block))
connection('9113 6.10', 'another frame before its end', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(CONTINUATION, 0, 1, block[9:21])
           + frame(PING, 0, 0, b'12345678'), 'http2/6.10/2')
connection('9113 6.10', 'on stream 0', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(CONTINUATION, END_HEADERS, 0, block[9:]), 'http2/6.10/3')
connection('9113 6.10', 'of another stream', P,
           frame(HEADERS, END_STREAM, 1, block[:9])
           + frame(CONTINUATION, END_HEADERS, 3, block[9:]))
connection('9113 6.10', 'after END_HEADERS', P + ' ' + S,
           POST + frame(CONTINUATION, END_HEADERS, 1, block),
           'http2/6.10/4')
connection('9113 6.10', 'after END_HEADERS of another', P + ' ' + S,
           frame(HEADERS, 0, 1, block[:9])
           + frame(CONTINUATION, END_HEADERS, 1, block[9:])
           + frame(CONTINUATION, END_HEADERS, 1, block), 'http2/6.10/5')
connection('9113 6.10', 'after DATA', P + ' ' + S,
           POST + frame(DATA, 0, 1, b'a')
           + frame(CONTINUATION, END_HEADERS, 1, block), 'http2/6.10/6')

# --- 7: error codes


@case('9113 7', 'GOAWAY with an unknown code', 'http2/7/1')
def unknown_goaway():
    c = client()
    c.send(frame(GOAWAY, 0, 0, window(0) + window(0xff)))
    c.until(lambda: c.closed)
    c.close()
    return c.closed and c.goaway in (None, 'NO_ERROR'), c.goaway


fine('9113 7', 'RST_STREAM with an unknown code',
     POST + frame(RST_STREAM, 0, 1, window(0xff)), 'http2/7/2')
