# h2_conformance.py PORT TLSPORT CA -- what the RFCs want of a server when a
# client of HTTP/2 breaks a rule, and that it lets be what is allowed.
#
# With --table instead it prints the table of cases, as t/h2/README.md has it.
#
# A case has the section that demands it, a name, and, where h2spec 2.6 has
# one for the same, that one's number.  Each is a connection of its own:
# connection() wants GOAWAY with one of some codes and the end, stream()
# RST_STREAM with one of them and a connection that answers the next request,
# either() one of the two, or an answer where that is allowed, status() an answer and the same, fine() that
# nothing happens at all.  What does not fit is a function, @case.

import sys
import traceback

import h2_raw
from h2_raw import *

P = 'PROTOCOL_ERROR'
F = 'FRAME_SIZE_ERROR'
W = 'FLOW_CONTROL_ERROR'
C = 'COMPRESSION_ERROR'
S = 'STREAM_CLOSED'
R = 'REFUSED_STREAM'


class Setup:
    port = tls_port = 0
    ca = None


cases = []
setup = Setup()


def case(section, name, spec=None):
    """Of a function that returns (True, '') or (False, why)."""
    def add(function):
        cases.append((section, name, spec, function))
        return function
    return add


def client(settle=False, **options):
    """With settle, the SETTINGS of both sides are in effect."""
    c = Client(setup.port, **options)
    if settle:
        c.fence()
    return c


def connection(section, name, codes, data, spec=None, tls=False, **options):
    @case(section, name, spec)
    def run():
        c = Client(setup.tls_port, tls=setup.ca, **options) if tls \
            else client(**options)
        c.send(data)
        c.until(lambda: c.closed)
        c.close()
        return (c.closed and c.goaway in codes.split(),
                'GOAWAY %s, %s' % (c.goaway,
                                   'closed' if c.closed else 'open'))


def stream(section, name, codes, data, spec=None, number=1, **options):
    @case(section, name, spec)
    def run():
        c = client(**options)
        c.send(data)
        c.next = number + 2
        c.fence()
        s = c.get(number)
        c.until(lambda: s.reset is not None or c.goaway is not None)
        fine = s.reset in codes.split() and c.alive() and c.goaway is None
        c.close()
        return fine, 'RST_STREAM %s, GOAWAY %s, status %s' % (
            s.reset, c.goaway, s.status)


def either(section, name, codes, data, spec=None, number=1, answered=False,
           **options):
    @case(section, name, spec)
    def run():
        c = client(**options)
        c.send(data)
        c.next = number + 2
        s = c.get(number)
        c.until(lambda: s.reset is not None or c.closed
                or answered and s.ended)
        fine = s.reset in codes.split() and c.goaway is None and c.alive() \
            or c.closed and c.goaway in codes.split() \
            or answered and s.status == 200 and c.alive()
        c.close()
        return fine, 'RST_STREAM %s, GOAWAY %s, status %s' % (
            s.reset, c.goaway, s.status)


def status(section, name, want, data, spec=None, number=1, body=None,
           **options):
    @case(section, name, spec)
    def run():
        c = client(**options)
        c.send(data)
        c.next = number + 2
        s = c.finish(number)
        fine = s.status == want and body in (None, s.data) \
            and (number > 0x7ffffffd or c.alive()) and c.goaway is None
        c.close()
        return fine, 'status %s, RST_STREAM %s, GOAWAY %s, %r' % (
            s.status, s.reset, c.goaway, s.data[:60])


def malformed(section, name, fields, spec=None, more=b''):
    """A request that is: RST_STREAM, or 400 (RFC 9113, 8.1.1)."""
    @case(section, name, spec)
    def run():
        c = client()
        c.open(fields)
        s = c.finish(1)
        fine = (s.reset == P or s.status == 400) and c.alive() \
            and c.goaway is None
        c.close()
        return fine, 'status %s, RST_STREAM %s, GOAWAY %s' % (
            s.status, s.reset, c.goaway)


def fine(section, name, data, spec=None, **options):
    @case(section, name, spec)
    def run():
        c = client(**options)
        c.send(data)
        c.next = 101
        fine = c.fence() and c.alive() and c.goaway is None
        c.close()
        return fine, 'GOAWAY %s' % c.goaway


def head(fields, end=True, number=1):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number,
                 literal(fields))


def pieces(data, number=1):
    """A head that is larger than a frame."""
    out, kind, flags = b'', HEADERS, END_STREAM
    while len(data) > 16000:
        out += frame(kind, flags, number, data[:16000])
        kind, flags, data = CONTINUATION, 0, data[16000:]
    return out + frame(kind, flags | END_HEADERS, number, data)


def window(n):
    return struct.pack('>I', n)


GET = head(request())
POST = head(request('/up', 'POST'), end=False)
FILE = head(request('/file'))
HOLD = head(request('/hold'))  # it is not answered
block = literal(request())


def main():
    import h2_cases_frames
    import h2_cases_hpack
    import h2_cases_http

    if sys.argv[1:] == ['--table']:
        sections = {}
        for section, name, spec, function in cases:
            sections.setdefault(section, []).append((name, spec))
        for section in sorted(sections, key=lambda s: [
                s.split()[0] != '9113'] + [
                int(n) for n in s.replace(' ', '.').split('.')]):
            rfc, part = section.split()
            print('| RFC %s, %s | %s | %s |' % (
                rfc, part, '; '.join(n for n, s in sections[section]),
                ' '.join(s for n, s in sections[section] if s)))
        return 0
    setup.port, setup.tls_port = int(sys.argv[1]), int(sys.argv[2])
    setup.ca = sys.argv[3]
    for section, name, spec, function in cases:
        try:
            good, why = function()
        except Exception:
            good, why = False, traceback.format_exc().replace('\n', ' / ')
        check(good, '%s: %s' % (section, name), why)
    return h2_raw.failed != 0


if __name__ == '__main__':
    # The cases' module is this one, whatever it was started as.
    import h2_conformance
    sys.exit(h2_conformance.main())
