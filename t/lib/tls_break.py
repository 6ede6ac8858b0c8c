"""Broken TLS handshakes, many of them.

    tls_break.py PORT COUNT SECONDS SEED

Makes COUNT connections to 127.0.0.1, 64 at a time, each broken in one of the
ways below, with the dice of SEED; gives up after SECONDS.  After what it has
to say each client resets, or ends its side and waits for the server to end
the connection, which must not take long.  On a machine where that is few it
goes on until there are LEAST.  Prints a JSON object: how many were
made, of which kinds, how they ended.
"""

import asyncio
import collections
import json
import os
import random
import socket
import ssl
import struct
import sys
import time

PORT, COUNT, SECONDS = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
dice = random.Random(int(sys.argv[4]))
PATIENCE = 10 * float(os.environ.get("TEST_VEIL_PATIENCE") or 2)
LEAST = 400

TEXTS = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"EHLO example.com\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"A" * 9000,
]


def context(version):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    c.minimum_version = c.maximum_version = version
    return c


CONTEXTS = [
    context(ssl.TLSVersion.TLSv1_2),
    context(ssl.TLSVersion.TLSv1_3),
]


def record(kind, data, version=0x0303):
    return struct.pack(">BHH", kind, version, len(data)) + data


class Session:
    """A client of OpenSSL's, whose bytes go through our hands."""

    def __init__(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = dice.choice(CONTEXTS).wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )
        self.done = self.failed = False

    def step(self, data=b""):
        """What it says to that."""
        if data:
            self.incoming.write(data)
        try:
            if not self.done:
                self.tls.do_handshake()
                self.done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.failed = True
        return self.outgoing.read()


def hello():
    return Session().step()


def flipped(data):
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


# --- what is said at once


def nothing():
    return b""


def truncated():
    h = hello()
    return h[: dice.randrange(len(h))]


def noise():
    return dice.randbytes(dice.choice((1, 5, 6, 40, 500, 20000)))


def noise_in_record():
    kind = dice.choice((20, 21, 22, 22, 22, 23, 24, dice.randrange(256)))
    return record(kind, dice.randbytes(dice.choice((0, 1, 4, 60, 16384))))


def text():
    return dice.choice(TEXTS)


def wrong_version():
    h = bytearray(hello())
    which = dice.randrange(4)
    if which == 0:  # of the record
        h[1:3] = dice.randbytes(2)
    elif which == 1:  # of the hello
        h[9:11] = dice.choice((b"\0\2", b"\2\0", b"\3\0", dice.randbytes(2)))
    elif which == 2:  # the extension
        at = h.find(b"\0\x2b\0")
        if at > 0:
            h[at + 4] = dice.randrange(256)
    else:  # SSL 2
        return b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + dice.randbytes(37)
    return bytes(h)


def over_long():
    which = dice.randrange(5)
    h = hello()
    if which == 0:  # of the record, by its header
        length = dice.choice((16385, 18433, 65535))
        return struct.pack(">BHH", 22, 0x0301, length) + h[5:]
    if which == 1:  # and in truth
        return struct.pack(">BHH", 22, 0x0301, 65535) + h[5:] + b"x" * 66000
    if which == 2:  # of the hello
        return record(22, h[5:6] + b"\xff\xff\xff" + h[9:] + b"x" * 9000)
    if which == 3:  # a hello that goes on for many records
        many = record(22, b"x" * 16384) * 8
        return record(22, h[5:6] + b"\2\0\0" + h[9:]) + many
    return record(22, b"") * 5000 + h  # nothing, at length


def other_message():
    kind = dice.choice((0, 2, 11, 12, 13, 14, 15, 16, 20, 24, 254))
    body = dice.randbytes(dice.choice((0, 4, 32, 200)))
    return record(22, bytes([kind]) + len(body).to_bytes(3, "big") + body)


def other_record():
    return dice.choice(
        (
            record(20, b"\1") * dice.choice((1, 3, 100)),
            record(21, dice.choice((b"\1\0", b"\2\50", b"\1", b"\1\0" * 9))),
            record(23, b"hello"),
        )
    ) + dice.choice((b"", hello()))


def mangled():
    return flipped(hello())


def hello_twice():
    return hello() + dice.choice((hello(), dice.randbytes(50)))


AT_ONCE = [
    nothing, truncated, truncated, noise, noise_in_record, text,
    wrong_version, over_long, other_message, other_record, mangled, mangled,
    hello_twice,
]

# --- what goes wrong later


async def later(reader, writer, what):
    s = Session()
    writer.write(s.step())
    while not s.failed:
        data = await asyncio.wait_for(reader.read(65536), PATIENCE)
        if not data:
            return
        answer = s.step(data)
        if not answer and not s.done:
            continue
        if what == "flight mangled" and answer:
            writer.write(flipped(answer))
            return
        if what == "flight truncated" and answer:
            writer.write(answer[: dice.randrange(len(answer))])
            return
        if what == "flight replaced" and answer:
            writer.write(record(dice.choice((20, 22, 23)), dice.randbytes(60)))
            return
        writer.write(answer)
        if s.done:
            break
    if what == "nothing after it":
        return
    if what == "noise after it":
        writer.write(dice.choice((noise, noise_in_record, hello))())
        return
    s.tls.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    request = s.outgoing.read()
    if what == "request mangled":
        writer.write(flipped(request))
    elif what == "request truncated":
        writer.write(request[: dice.randrange(len(request))])
    else:
        writer.write(request + flipped(request))


LATER = [
    "flight mangled", "flight truncated", "flight replaced",
    "nothing after it", "noise after it", "request mangled",
    "request truncated", "request repeated",
]


async def dribble(writer):
    for byte in hello():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)


# --- one connection


async def finish(reader, writer):
    """Resets it, or waits for the other side to end it."""
    sock = writer.get_extra_info("socket")
    if dice.randrange(3) == 0:
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
        return "reset"
    try:
        if writer.can_write_eof():
            writer.write_eof()
        until = time.monotonic() + PATIENCE
        while await asyncio.wait_for(
            reader.read(65536), until - time.monotonic()
        ):
            pass
    except asyncio.TimeoutError:
        return "STUCK"
    except OSError:
        return "reset by server"
    return "closed by server"


async def one(kinds, ends):
    kind = dice.randrange(len(AT_ONCE) + len(LATER) + 1)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError as e:
        ends["NOT CONNECTED: " + str(e)] += 1
        return
    try:
        if kind < len(AT_ONCE):
            name = AT_ONCE[kind].__name__
            writer.write(AT_ONCE[kind]())
        elif kind < len(AT_ONCE) + len(LATER):
            name = LATER[kind - len(AT_ONCE)]
            await later(reader, writer, name)
        elif dice.randrange(10) == 0:
            name = "dribbled"
            await dribble(writer)
        else:
            name = "nothing"
        end = await finish(reader, writer)
    except asyncio.TimeoutError:
        end = "STUCK"
    except OSError:
        end = "reset by server"
    kinds[name] += 1
    ends[end] += 1
    if end == "STUCK":
        ends["STUCK: " + name] += 1
    writer.transport.abort()


async def worker(state, kinds, ends):
    while state["left"] > 0 and (
        time.monotonic() < state["until"] or sum(kinds.values()) < LEAST
    ):
        state["left"] -= 1
        await one(kinds, ends)


async def main():
    begin = time.monotonic()
    state = {"left": COUNT, "until": begin + SECONDS}
    kinds, ends = collections.Counter(), collections.Counter()
    await asyncio.gather(*(worker(state, kinds, ends) for _ in range(64)))
    json.dump(
        {
            "made": sum(kinds.values()),
            "kinds": kinds,
            "ends": ends,
            "seconds": round(time.monotonic() - begin, 1),
        },
        sys.stdout,
    )


asyncio.run(main())
