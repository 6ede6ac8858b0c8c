# h2_cases_hpack.py -- compressed heads: RFC 7541.

from h2_conformance import *


def packed(data, more=b'', number=1):
    return frame(HEADERS, 5, number, data + more)


# A request from the static table: GET, http, /ok, localhost.
SHORT = b'\x82\x86\x04' + text('/ok') + b'\x01' + text('localhost')


def ask(c, data):
    """The answer to a head of these bytes."""
    n = c.next
    c.next += 2
    c.send(packed(data, number=n))
    return c.finish(n)


def field(section, name, data, want, spec=None):
    """A field x-late, however it is written, is seen as that value."""
    status(section, name, 200,
           packed(literal(request('/late')), data), spec,
           body=b'late=' + want)


# --- 2.3.3, 6.1: indices

status('7541 2.3.1', 'the static table', 200, packed(SHORT), 'generic/5/1')
connection('7541 2.3.3', 'an index beyond the table', C,
           packed(b'\xff\x80\x01', block), 'hpack/2.3.3/1')
connection('7541 2.3.3', 'a name beyond the table', C,
           packed(b'\x7f\x80\x01\x01a', block), 'hpack/2.3.3/2')
connection('7541 2.3.3', 'the first index of a dynamic table that is empty',
           C, packed(block, b'\xbe'))
connection('7541 2.3.3', 'a name of a dynamic table that is empty', C,
           packed(block, b'\x7e' + text('a')))
connection('7541 6.1', 'index 0', C, packed(b'\x80', block), 'hpack/6.1/1')


@case('7541 2.3.2', 'the newest entry comes first')
def newest():
    c = client()
    a = ask(c, literal(request('/late')) + b'\x40' + text('x-late')
            + text('1') + b'\x40' + text('x-other') + text('2'))
    b = ask(c, literal(request('/late')) + b'\xbf')
    d = ask(c, literal(request('/late')) + b'\xbe')
    c.close()
    return (a.data, b.data, d.data) == (b'late=1', b'late=1', b'late='), \
        (a.data, b.data, d.data, c.goaway)


# --- 4: the size of the table

connection('7541 4.2', 'a change of the table at the end of a head', C,
           packed(block, number(100, 5, 0x20)), 'hpack/4.2/1')
connection('7541 4.2', 'in the midst of one', C,
           packed(block[:9], number(100, 5, 0x20) + block[9:]))
status('7541 4.2', 'two changes of the table', 200,
       packed(number(0, 5, 0x20) + number(4096, 5, 0x20), block),
       'generic/5/15')
status('7541 4.2', 'a change to what SETTINGS allow', 200,
       packed(number(65536, 5, 0x20), block), 'generic/5/14', settle=True)
connection('7541 6.3', 'a table beyond SETTINGS_HEADER_TABLE_SIZE', C,
           packed(number(65537, 5, 0x20), block), 'hpack/6.3/1')
connection('7541 6.3', 'a size that overflows', C,
           packed(b'\x3f\xff\xff\xff\xff\xff\xff\xff\xff\x7f', block))


def kept(name, size, value, want):
    """x-late with that value in a table of that size: is it kept?"""
    @case('7541 4.1', name)
    def run():
        c = client()
        a = ask(c, number(size, 5, 0x20) + literal(request('/late'))
                + b'\x40' + text('x-late') + text(value))
        b = ask(c, literal(request('/late')) + b'\xbe')
        c.close()
        good = b.data == b'late=' + value.encode() if want \
            else c.goaway == C
        return a.data == b'late=' + value.encode() and good, \
            (a.data, b.data, c.goaway)


kept('an entry that just fits', 6 + 10 + 32, '0123456789', True)
kept('one that is a byte too large', 6 + 10 + 32 - 1, '0123456789', False)
kept('a table of no size', 0, '1', False)


@case('7541 4.3', 'a smaller table loses its oldest entries')
def shrink():
    c = client()
    a = ask(c, SHORT + b'\x40' + text('x-a') + text('1')
            + b'\x40' + text('x-late') + text('2'))
    b = ask(c, number(6 + 1 + 32, 5, 0x20) + literal(request('/late'))
            + b'\xbe')
    d = ask(c, SHORT + b'\xbf')
    c.close()
    return a.status == 200 and b.data == b'late=2' and c.goaway == C, \
        (a.status, b.data, c.goaway)


@case('7541 4.4', 'a larger entry than the table empties it')
def larger():
    c = client()
    ask(c, number(100, 5, 0x20) + SHORT + b'\x40' + text('x-a') + text('1'))
    b = ask(c, SHORT + b'\x40' + text('x-b') + text('x' * 100))
    d = ask(c, SHORT + b'\xbe')
    c.close()
    return b.status == 200 and c.goaway == C, (b.status, c.goaway)


@case('7541 4.4', 'new entries push out the oldest')
def evict():
    c = client()
    ask(c, number(39 * 3, 5, 0x20) + SHORT)
    for i in range(10):
        ask(c, SHORT + b'\x40' + text('x-late') + b'\x01%d' % i)
    got = [ask(c, literal(request('/late')) + bytes([n])).data
           for n in (0xbe, 0xbf, 0xc0)]
    ask(c, SHORT + b'\xc1')
    c.close()
    return got == [b'late=9', b'late=8', b'late=7'] and c.goaway == C, \
        (got, c.goaway)


@case('7541 4.4', 'an entry whose name is pushed out by it')
def name_pushed_out():
    c = client()
    ask(c, number(6 + 1 + 32, 5, 0x20) + SHORT + b'\x40' + text('x-late')
        + text('1'))
    a = ask(c, literal(request('/late')) + b'\x7e' + text('2'))
    b = ask(c, literal(request('/late')) + b'\xbe')
    c.close()
    return (a.data, b.data) == (b'late=2', b'late=2'), \
        (a.data, b.data, c.goaway)


# --- 5: integers and strings

connection('7541 5.1', 'an index that overflows', C,
           packed(block, b'\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f'))
connection('7541 5.1', 'an integer that does not end', C,
           packed(block, b'\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80'))
connection('7541 5.1', 'an integer that the head cuts off', C,
           packed(block, b'\xff'))
connection('7541 5.2', 'a length that overflows', C,
           packed(block, b'\0\x7f\xff\xff\xff\xff\xff\xff\xff\x7f'))
connection('7541 5.2', 'a string longer than the head', C,
           packed(block, b'\0\x05ab'))
connection('7541 5.2', 'a value longer than the head', C,
           packed(block, b'\0' + text('x-a') + b'\x7eab'))
field('7541 5.1', 'a length with zeros in front', b'\0' + text('x-late')
      + b'\x7f\x81\x00' + b'v' * 128, b'v' * 128)
# "a" is 00011 in 5 bits.
connection('7541 5.2', 'Huffman: padding of more than 7 bits', C,
           packed(block, b'\0' + text('x-a') + b'\x82\x1f\xff'),
           'hpack/5.2/1')
connection('7541 5.2', 'Huffman: padding of zeros', C,
           packed(block, b'\0' + text('x-a') + b'\x81\x18'), 'hpack/5.2/2')
connection('7541 5.2', 'Huffman: EOS', C,
           packed(block, b'\0' + text('x-a') + b'\x84\xff\xff\xff\xff'),
           'hpack/5.2/3')
connection('7541 5.2', 'Huffman: a code that is cut off', C,
           packed(block, b'\0' + text('x-a') + b'\x82\x1f\xfe'))
connection('7541 5.2', 'Huffman: the same in a name', C,
           packed(block, b'\0\x81\x18' + text('1')))
field('7541 5.2', 'Huffman: an empty string', b'\0' + huffman('x-late')
      + b'\x80', b'')

# --- 6.2: fields

for name, first in (('with indexing', 0x40), ('without indexing', 0),
                    ('never indexed', 0x10)):
    bits = 6 if first == 0x40 else 4
    section = '7541 6.2.%d' % (1 if first == 0x40 else 3 if first else 2)
    at = {0x40: 2, 0: 6, 0x10: 10}[first]
    # 15 is "accept-charset", which the location prints as well.
    field(section, name + ', a name of the table',
          number(15, bits, first) + text('v'), b'v', 'generic/5/%d' % at)
    field(section, name + ', a name of the table, Huffman',
          number(15, bits, first) + huffman('v'), b'v',
          'generic/5/%d' % (at + 1))
    field(section, name + ', a new name',
          bytes([first]) + text('x-late') + text('v'), b'v',
          'generic/5/%d' % (at + 2))
    field(section, name + ', a new name, Huffman',
          bytes([first]) + huffman('x-late') + huffman('some value/1'),
          b'some value/1', 'generic/5/%d' % (at + 3))


def not_kept(name, first):
    @case('7541 6.2.%d' % (3 if first else 2), name)
    def run():
        c = client()
        ask(c, SHORT + bytes([first]) + text('x-a') + text('1'))
        ask(c, SHORT + b'\xbe')
        c.close()
        return c.goaway == C, c.goaway


not_kept('and not kept', 0)
not_kept('nor kept', 0x10)

connection('7541 7.4', 'a string that is longer than any limit', C
           + ' ENHANCE_YOUR_CALM',
           pieces(literal(request(more=[('x-a', 'v' * 140000)]))))

# --- heads that are refused have changed the table

@case('7541 2.2', 'a refused head has changed the table')
def refused():
    c = client()
    ask(c, SHORT)
    a = ask(c, b'\x40' + text('x-late') + text('b'))
    b = ask(c, literal(request('/late')) + b'\xbe')
    fine = a.reset == P and b.data == b'late=b' and c.alive()
    c.close()
    return fine, (a.reset, b.data, c.goaway)


@case('7541 2.2', 'so has one that is too large')
def too_large():
    c = client()
    big = b''.join(b'\0' + text('x-%d' % i) + text('v' * 5000)
                   for i in range(30))
    c.send(pieces(literal(request('/late')) + big + b'\x40'
                  + text('x-late') + text('z')))
    c.next = 3
    a = c.finish(1)
    b = ask(c, literal(request('/late')) + b'\xbe')
    c.close()
    return a.status == 431 and b.data == b'late=z', \
        (a.status, b.data, c.goaway)


# --- what we compress

def encoder(name, size, smaller=None):
    """We keep to the table the client has, and say so when it shrinks."""
    @case('7541 4.2', name)
    def run():
        c = client(pairs=((1, size),) if size is not None else ())
        c.decoder.max_allowed_table_size = 4096 if size is None else size
        for i in range(20):
            c.ask(request('/late', more=[('x-late', '%d' % i)]))
        if smaller is not None:
            c.send(settings((1, smaller)))
            c.fence()
            c.decoder.max_allowed_table_size = smaller
            for i in range(20):
                c.ask(request('/late', more=[('x-late', '%d' % i)]))
        heads = [s.packed[0][0] for s in c.streams.values() if s.packed]
        fine = len(heads) == (20 if smaller is None else 40) \
            and c.decoder.header_table.maxsize <= (
                c.decoder.max_allowed_table_size)
        if smaller is not None:
            fine = fine and heads[20] & 0xe0 == 0x20
        fine = fine and c.alive()
        c.close()
        return fine, (heads, c.decoder.header_table.maxsize)


encoder('answers fit into the default table', None)
encoder('into none', 0)
encoder('into a small one', 64)
encoder('into one that becomes smaller', 4096, 64)
encoder('into one that becomes none', 4096, 0)
