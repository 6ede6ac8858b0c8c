# h2_cases_http.py -- requests and answers: RFC 9113, 8 to 10, RFC 8441,
# RFC 9218, and TLS.

import ssl
import subprocess
import threading

from h2_conformance import *

R_ = request()


def without(name):
    return [f for f in R_ if f[0] != name]


def twice(name):
    return [f for f in R_ for i in range(2 if f[0] == name else 1)]


# --- 8.1: frames of a request, and of an answer

status('9113 8.1', 'GET', 200, GET, 'generic/4/1')
status('9113 8.1', 'HEAD', 200, head(request(method='HEAD')), 'generic/4/2',
       body=b'')
status('9113 8.1', 'POST', 200, POST + frame(DATA, END_STREAM, 1, b'test'),
       'generic/4/3')
TRAILERS = frame(HEADERS, 5, 1, literal([('x-a', '1')]))
status('9113 8.1', 'POST with trailers', 200,
       POST + frame(DATA, 0, 1, b'a') + TRAILERS, 'generic/4/4')
status('9113 8.1', 'trailers and no DATA', 200, POST + TRAILERS)
either('9113 8.1', 'a second head that does not end the stream', P,
       POST + frame(DATA, 0, 1, b'a')
       + frame(HEADERS, 4, 1, literal([('x-a', '1')])), 'http2/8.1/1')
either('9113 8.1', 'DATA after trailers', S + ' ' + P,
       head(request('/hold', 'POST'), end=False) + TRAILERS
       + frame(DATA, 1, 1, b'a'))
either('9113 8.1', 'trailers twice', S + ' ' + P,
       head(request('/hold', 'POST'), end=False) + TRAILERS + TRAILERS)
stream('9113 8.1', 'a pseudo-field in trailers', P,
       POST + frame(DATA, 0, 1, b'a')
       + frame(HEADERS, 5, 1, literal([(':path', '/x')])),
       'http2/8.1.2.1/3')
stream('9113 8.1', 'Connection in trailers', P,
       POST + frame(HEADERS, 5, 1, literal([('connection', 'close')])))
stream('9113 8.1', 'an upper case name in trailers', P,
       POST + frame(HEADERS, 5, 1, literal([('X-A', 'close')])))


def bare(name, fields, want):
    """An answer that has no body ends with its head."""
    @case('9113 8.1', name)
    def run():
        c = client()
        c.open(fields)
        s = c.finish(1)
        frames = [f for f in c.frames if f[2] == 1]
        fine = s.status == want and len(frames) == 1 \
            and frames[0][1] & END_STREAM and c.alive()
        c.close()
        return fine, (s.status, frames)


bare('HEAD has no DATA', request('/file', 'HEAD'), 200)
bare('HEAD of what is proxied has none', request('/up', 'HEAD'), 200)
bare('204 has none', request('/204'), 204)
bare('304 has none', request('/file', more=[('if-none-match', '*')]), 304)


@case('9113 8.1', 'an answer is HEADERS, DATA and one END_STREAM')
def shape():
    c = client()
    s = c.ask(request('/file'))
    frames = [f for f in c.frames if f[2] == 1]
    ends = [bool(f[1] & END_STREAM) for f in frames]
    c.close()
    return ([f[0] for f in frames] == [HEADERS] + [DATA] * (len(frames) - 1)
            and ends[-1] and not any(ends[:-1]), frames)


@case('9113 8.1', 'an answer before the request is over')
def early_answer():
    c = client()
    c.open(request('/ok', 'POST'), end=False)
    s = c.finish(1)
    fine = s.status == 200 and s.ended and s.reset in (None, 'NO_ERROR')
    c.send(frame(DATA, 1, 1, b'x'))
    fine = fine and c.alive() and c.goaway is None
    c.close()
    return fine, (s.status, s.reset, c.goaway)


@case('9113 8.1', '100 is a head without END_STREAM, before the other')
def go_on():
    c = client()
    c.open(request('/up', 'POST', [('expect', '100-continue')]), end=False)
    s = c.get(1)
    c.until(lambda: s.heads)
    c.send(frame(DATA, 1, 1, b'x'))
    c.finish(1)
    heads = [f for f in c.frames if f[0] == HEADERS]
    c.close()
    return ([dict(h)[':status'] for h in s.heads] == ['100', '200']
            and not heads[0][1] & END_STREAM, s.heads)


# --- 8.1.1: malformed messages

UP = [('content-length', '3')]


def upload(fields, end=False):
    return head(request('/up', 'POST', fields), end=end)


status('9113 8.1.1', 'content-length that is right', 200, upload(UP)
       + frame(DATA, END_STREAM, 1, b'abc'))
status('9113 8.1.1', 'right, with padding', 200, upload(UP)
       + frame(DATA, PADDED | END_STREAM, 1, b'\x03abc\0\0\0'))
for name, data, spec in (
        ('less than content-length', frame(DATA, END_STREAM, 1, b'ab'), 1),
        ('more than content-length', frame(DATA, END_STREAM, 1, b'abcd'),
         None),
        ('more, in two frames', frame(DATA, 0, 1, b'abc')
         + frame(DATA, END_STREAM, 1, b'd'), 2),
        ('less, and trailers', frame(DATA, 0, 1, b'a') + TRAILERS, None)):
    stream('9113 8.1.1', name, P, upload(UP) + data,
           'http2/8.1.2.6/%d' % spec if spec else None)
stream('9113 8.1.1', 'content-length and no body', P, upload(UP, True))
status('9113 8.1.1', 'content-length 0 and no body', 200,
       upload([('content-length', '0')], True))
either('9113 8.1.1', 'two content-length', P,
       upload(UP + [('content-length', '4')]))
for value in ('x', '-1', '+3', '3 3', '0x3', '', '3,3',
              '99999999999999999999'):
    malformed('9113 8.1.1', 'content-length "%s"' % value,
              request('/up', 'POST', [('content-length', value)]))

# --- 8.2: fields

for name, fields, spec in (
        ('an upper case name', [('X-Upper', '1')], 'http2/8.1.2/1'),
        ('an upper case letter', [('x-uppeR', '1')], None),
        ('a name with a space', [('a b', '1')], None),
        ('a name that ends in a space', [('x-a ', '1')], None),
        ('a name with a colon', [('x:a', '1')], None),
        ('a name with a zero', [(b'x\0a', '1')], None),
        ('a name with a line feed', [('x\na', '1')], None),
        ('a name with a letter that is not ASCII', [(b'x\xe4', '1')], None),
        ('a name with DEL', [(b'x\x7f', '1')], None),
        ('an empty name', [('', '1')], None)):
    malformed('9113 8.2.1', name, request(more=fields), spec)
for name, value in (
        ('a line feed in a value', 'a\nb'), ('CR in a value', 'a\rb'),
        ('a zero in a value', b'a\0b'), ('CR, LF at its end', 'a\r\n'),
        ('a value of a line feed', '\n'),
        ('a value that begins with a space', ' a'),
        ('one that ends with a space', 'a '),
        ('one that begins with a tab', '\ta'),
        ('one that ends with a tab', 'a\t')):
    malformed('9113 8.2.1', name, request(more=[('x-a', value)]))
status('9113 8.2.1', 'values that are empty, have tabs within, or no ASCII',
       200, head(request(more=[('x-a', ''), ('x-b', 'a\tb'),
                               ('x-c', b'\xc3\xa4')])))
malformed('9113 8.2.1', 'a line feed in :path', request('/ok\n'))
malformed('9113 8.2.1', 'a space in :path', request('/o k'))
malformed('9113 8.2.1', 'a zero in :path', request('/ok\0'))
malformed('9113 8.2.1', 'a line feed in :authority',
          request(authority='localhost\n'))
malformed('9113 8.2.1', 'a space in :method', request(method='GE T'))
malformed('9113 8.2.1', 'an empty :method', request(method=''))
for name, value, spec in (
        ('connection', 'keep-alive', 'http2/8.1.2.2/1'),
        ('connection', 'x-a', None), ('keep-alive', '1', None),
        ('proxy-connection', '1', None),
        ('transfer-encoding', 'chunked', None), ('upgrade', 'h2c', None),
        ('te', 'gzip', 'http2/8.1.2.2/2'),
        ('te', 'trailers, gzip', None)):
    malformed('9113 8.2.2', '%s: %s' % (name, value),
              request(more=[(name, value)]), spec)
status('9113 8.2.2', 'te: trailers', 200,
       head(request(more=[('te', 'trailers')])))


@case('9113 8.2.2', 'answers have no such fields either, and no upper case')
def answer_fields():
    c = client()
    names = set()
    for path in ('/up', '/hop', '/file', '/none'):
        s = c.ask(request(path))
        names |= {n for n, v in s.heads[0]}
    c.close()
    bad = {n for n in names if n != n.lower()} | names & {
        'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding',
        'upgrade'}
    return not bad and 'x-mixed' in names, names


for name, crumbs, want in (
        ('one cookie', ['a=b; c=d'], b'a=b; c=d'),
        ('crumbs', ['a=b', 'c=d', 'e=f'], b'a=b; c=d; e=f'),
        ('crumbs among other fields', ['a=b', None, 'c=d'], b'a=b; c=d')):
    status('9113 8.2.3', name, 200, head(request('/cookie', more=[
        ('cookie', v) if v else ('x-a', '1') for v in crumbs])), body=want)
    status('9113 8.2.3', name + ', to a backend of HTTP/1', 200,
           head(request('/up/cookie', more=[
               ('cookie', v) if v else ('x-a', '1') for v in crumbs])),
           body=b'1: ' + want)

# --- 8.3: pseudo-fields

for name, fields, spec in (
        ('an unknown pseudo-field', R_[:1] + [(':foo', 'bar')] + R_[1:],
         'http2/8.1.2.1/1'),
        ('one of answers', R_ + [(':status', '200')], 'http2/8.1.2.1/2'),
        ('one after a field', R_[:3] + [('x-a', '1')] + R_[3:],
         'http2/8.1.2.1/4'),
        ('an empty one', R_ + [(':', 'a')], None),
        ('one in upper case', R_[1:] + [(':Method', 'GET')], None)):
    malformed('9113 8.3', name, fields, spec)
for name, fields, spec in (
        ('no :method', without(':method'), 'http2/8.1.2.3/2'),
        ('no :scheme', without(':scheme'), 'http2/8.1.2.3/3'),
        ('no :path', without(':path'), 'http2/8.1.2.3/4'),
        ('an empty :path', request(''), 'http2/8.1.2.3/1'),
        ('two :method', twice(':method'), 'http2/8.1.2.3/5'),
        ('two :scheme', twice(':scheme'), 'http2/8.1.2.3/6'),
        ('two :path', twice(':path'), 'http2/8.1.2.3/7'),
        ('two :authority', twice(':authority'), None),
        (':path without a slash', request('foo'), None),
        (':path that is a URI', request('http://localhost/ok'), None),
        (':path * of GET', request('*'), None),
        ('an authority with a user', request(authority='a@b'), None),
        ('an authority with a path', request(authority='a/b'), None),
        ('no authority and no Host', without(':authority'), None),
        ('an empty :authority and no Host', request(authority=''), None),
        ('two Host', without(':authority') + [('host', 'localhost')] * 2,
         None),
        ('Host that is not :authority', request(more=[('host', 'other')]),
         None)):
    malformed('9113 8.3.1', name, fields, spec)


@case('9113 8.3.1', ':path * of OPTIONS')
def options():
    c = client()
    s = c.ask(request('*', 'OPTIONS'))
    fine = s.status is not None and s.status != 400 and s.reset is None \
        and c.alive()
    c.close()
    return fine, (s.status, s.reset)


status('9113 8.3.1', 'Host for :authority', 200,
       head(without(':authority') + [('host', 'localhost')]))
status('9113 8.3.1', 'Host that is :authority', 200,
       head(request(more=[('host', 'localhost')])))
status('9113 8.3.1', 'the authority is Host for a backend', 200,
       head(request('/up/host')), body=b'1: localhost')


@case('9113 8.3.2', ':status is the first of an answer, and the only one')
def one_status():
    c = client()
    wrong = []
    for path in ('/ok', '/up', '/204', '/none', '/file'):
        h = c.ask(request(path)).heads[0]
        if h[0][0] != ':status' or len(h[0][1]) != 3 \
                or [1 for n, v in h[1:] if n.startswith(':')]:
            wrong.append(h)
    c.close()
    return not wrong, wrong


@case('9113 8.4', 'nothing is pushed')
def no_push():
    c = client(pairs=((2, 1),))
    c.ask(request('/preload'))
    c.close()
    kinds = {f[0] for f in c.frames}
    even = {f[2] for f in c.frames if f[2] % 2 == 0 and f[2]}
    return PUSH_PROMISE not in kinds and not even, (kinds, even)


# --- 8.5: CONNECT

status('9113 8.5', 'CONNECT', 405,
       head([(':method', 'CONNECT'), (':authority', 'a:443')]))
either('9113 8.5', 'CONNECT with :path and :scheme', P,
       head(request(method='CONNECT')))
either('9113 8.5', 'CONNECT without :authority', P,
       head([(':method', 'CONNECT')]))
malformed('9113 8.5', 'CONNECT with :scheme',
          [(':method', 'CONNECT'), (':scheme', 'http'),
           (':authority', 'a:443')])

# --- RFC 8441

WS = [(':method', 'CONNECT'), (':protocol', 'websocket'),
      (':scheme', 'http'), (':path', '/ok'), (':authority', 'localhost')]
connection('8441 3', 'SETTINGS_ENABLE_CONNECT_PROTOCOL 2', P,
           settings((8, 2)))
fine('8441 3', '1, which is a server\'s to say', settings((8, 1)))
malformed('8441 4', ':protocol of GET',
          [(':method', 'GET')] + WS[1:])
malformed('8441 4', 'no :path', WS[:3] + WS[4:])
malformed('8441 4', 'no :scheme', WS[:2] + WS[3:])
malformed('8441 4', 'no :authority', WS[:4])
malformed('8441 4', 'two :protocol', WS[:2] + WS[1:])
status('8441 4', 'another protocol', 501,
       head([WS[0], (':protocol', 'other')] + WS[2:]))
malformed('8441 5', 'Connection and Upgrade', WS + [
    ('connection', 'upgrade'), ('upgrade', 'websocket')])

# --- RFC 9218

connection('9218 2.1', 'SETTINGS_NO_RFC7540_PRIORITIES 2', P,
           settings((9, 2)))
connection('9218 2.1', 'that changes', P, settings((9, 0)),
           pairs=((9, 1),))
connection('9218 7.1', 'PRIORITY_UPDATE on a stream', P,
           frame(PRIORITY_UPDATE, 0, 1, window(1) + b'u=1'))
connection('9218 7.1', 'of stream 0', P,
           frame(PRIORITY_UPDATE, 0, 0, window(0) + b'u=1'))
connection('9218 7.1', 'that is too short', F,
           frame(PRIORITY_UPDATE, 0, 0, b'123'))
connection('9218 7.1', 'the same, with the preface', F, PREFACE + settings()
           + frame(PRIORITY_UPDATE, 0, 0, b'123'), preface=False)
connection('9218 7.1', 'of a stream of the server', P,
           frame(PRIORITY_UPDATE, 0, 0, window(2) + b'u=1'))
for value in (b'u=1', b'u=1, i', b'', b'u=9', b'u=a;;', b'\xff\0', b'x' * 99):
    fine('9218 7.1', 'PRIORITY_UPDATE %r' % value.decode('latin-1'),
         frame(PRIORITY_UPDATE, 0, 0, window(1) + value) + GET
         + frame(PRIORITY_UPDATE, 0, 0, window(1) + value))
    if b'\0' not in value:
        fine('9218 5', 'priority: %r' % value.decode('latin-1'),
             head(request(more=[('priority', value)])))


@case('9218 10', 'what is urgent comes first')
def urgent():
    c = client(pairs=((4, 0),))
    c.credit = False
    low = c.open(request('/file', more=[('priority', 'u=6')]))
    high = c.open(request('/file', more=[('priority', 'u=0')]))
    c.until(lambda: c.get(low).status and c.get(high).status)
    c.fence()
    c.send(settings((4, 1 << 20)))
    c.until(lambda: c.get(low).ended and c.get(high).ended)
    order = [f[2] for f in c.frames if f[0] == DATA]
    c.close()
    return order == sorted(order, reverse=True) and len(set(order)) == 2, \
        order


# --- 10: heads that are large

for name, fields, want in (
        ('a head within the limit',
         [('x-%d' % i, 'v' * 1000) for i in range(60)], 200),
        ('one beyond it',
         [('x-%d' % i, 'v' * 1000) for i in range(140)], 431),
        ('fields beyond it',
         [('x-%d' % i, 'v' * 60000) for i in range(3)], 431),
        ('too many fields', [('x', '1')] * 1200, 431)):
    status('9113 10.5.1', name, want,
           pieces(literal(request(more=fields))))

# --- 9.2: TLS


def tls(name, section='9113 9.2'):
    return case(section, name)


def handshake(*options, alpn='h2,http/1.1', text=b''):
    r = subprocess.run(
        ['openssl', 's_client', '-connect',
         '127.0.0.1:%d' % setup.tls_port, '-servername', 'localhost',
         '-CAfile', setup.ca, '-ign_eof', '-alpn', alpn] + list(options),
        input=text or b'GET /ok HTTP/1.1\r\nHost: localhost\r\n'
        b'Connection: close\r\n\r\n', capture_output=True, timeout=20 * PATIENCE)
    out = r.stdout.decode('latin-1')
    chosen = [l.split(': ')[1] for l in out.split('\n')
              if l.startswith('ALPN protocol: ')]
    return chosen[0] if chosen else None, out + r.stderr.decode('latin-1')


@tls('ALPN h2 over TLS 1.3, and 1.2')
def versions():
    seen = []
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.create_default_context(cafile=setup.ca)
        context.minimum_version = context.maximum_version = version
        c = Client(setup.tls_port, tls=setup.ca, context=context)
        seen.append((c.sock.version(), c.sock.selected_alpn_protocol(),
                     c.alive()))
        c.close()
    return seen == [('TLSv1.3', 'h2', True), ('TLSv1.2', 'h2', True)], seen


@tls('HTTP/2 without ALPN is not spoken')
def no_alpn():
    c = Client(setup.tls_port, tls=setup.ca, alpn=())
    c.open()
    c.until(lambda: c.closed or c.buffer)
    spoken = c.frames
    c.close()
    return not spoken, (spoken, c.buffer[:40])


@tls('nor after ALPN http/1.1')
def other_alpn():
    c = Client(setup.tls_port, tls=setup.ca, alpn=('http/1.1',))
    c.open()
    c.until(lambda: c.closed or c.buffer)
    spoken = c.frames
    c.close()
    return not spoken, (spoken, c.buffer[:40])


@tls('TLS 1.1 has no HTTP/2', '9113 9.2')
def old():
    chosen, out = handshake('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0')
    return chosen != 'h2', out[-300:]


@tls('nothing is compressed by TLS', '9113 9.2.1')
def compression():
    chosen, out = handshake('-tls1_2')
    return 'Compression: NONE' in out and chosen == 'h2', out[-900:]


@tls('TLS 1.2 is not negotiated again', '9113 9.2.1')
def renegotiation():
    # "R" asks for it; the server refuses, or ends the connection, and so
    # ends the client.
    r = subprocess.Popen(
        ['openssl', 's_client', '-connect',
         '127.0.0.1:%d' % setup.tls_port, '-servername', 'localhost',
         '-CAfile', setup.ca, '-alpn', 'h2', '-tls1_2'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    late = threading.Timer(20 * PATIENCE, r.kill)
    late.start()
    r.stdin.write(b'R\n')
    r.stdin.flush()
    out = r.stdout.read().decode('latin-1')
    late.cancel()
    r.stdin.close()
    r.wait()
    return ('RENEGOTIATING' in out and 'verify return:1' not in
            out.split('RENEGOTIATING')[1]), out[-500:]


for cipher in ('ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA'):
    @tls('%s, which the appendix forbids, has no HTTP/2' % cipher,
         '9113 9.2.2')
    def forbidden(cipher=cipher):
        chosen, out = handshake('-tls1_2', '-cipher', cipher)
        return (chosen == 'http/1.1' and 'HTTP/1.1 200' in out
                and 'Cipher is ' + cipher in out, (chosen, out[-700:]))


for cipher in ('ECDHE-ECDSA-AES128-GCM-SHA256',
               'ECDHE-ECDSA-CHACHA20-POLY1305'):
    @tls('%s has' % cipher, '9113 9.2.2')
    def allowed(cipher=cipher):
        chosen, out = handshake('-tls1_2', '-cipher', cipher, text=b'x')
        return chosen == 'h2', (chosen, out[-700:])
