"""A TLS server of tests, in front of a plain one: Python's ssl module.

    tls_server.py FILE

FILE holds a JSON object (see Test::Veil::TLSUpstream).  Each connection is
decrypted and joined to one to the backend, byte by byte.  Prints the port,
then a line for each connection: "conn" when it is accepted, "hello" and a
JSON object when its handshake is over or has failed, "end" and one when it is
over.
"""

import json
import os
import socket
import ssl
import struct
import sys
import threading

ask = json.load(open(sys.argv[1]))
out_lock = threading.Lock()


def say(what, number, facts=None):
    with out_lock:
        sys.stdout.write("%s %d %s\n" % (what, number, json.dumps(facts)))
        sys.stdout.flush()


def context(pair):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pair[0], pair[1])
    versions = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }
    if "tls" in ask:
        c.minimum_version = c.maximum_version = versions[ask["tls"]]
    if "alpn" in ask:
        c.set_alpn_protocols(ask["alpn"])
    if "ciphers" in ask:
        c.set_ciphers(ask["ciphers"])
    if "ca" in ask:
        c.load_verify_locations(ask["ca"])
        c.verify_mode = ssl.CERT_REQUIRED
    return c


contexts = {name: context(pair) for name, pair in ask["certs"].items()}
default = contexts[""]


def on_name(obj, name, _):
    with names_lock:
        names[id(obj)] = name
    if name in contexts:
        obj.context = contexts[name]


names = {}
names_lock = threading.Lock()
for c in contexts.values():
    c.sni_callback = on_name


class Connection:
    """The library in memory, so that either side can end by itself."""

    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.lock = threading.Lock()
        self.sending = threading.Lock()  # taken first
        self.inp = ssl.MemoryBIO()
        self.out = ssl.MemoryBIO()
        self.tls = default.wrap_bio(self.inp, self.out, server_side=True)
        self.closed = False  # the peer said close_notify
        self.left = None  # bytes until the connection breaks
        if "chop" in ask:
            self.left = ask["chop"][(number - 1) % len(ask["chop"])]

    def flush(self):
        with self.sending:
            with self.lock:
                data = self.out.read()
            if not data:
                return
            if self.left is None:
                self.sock.sendall(data)
                return
            self.sock.sendall(data[: self.left])
            self.left -= len(data)
            if self.left <= 0:
                self.abort()

    def abort(self):
        """With a reset, every other time."""
        if self.number % 2:
            self.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.shutdown(socket.SHUT_RD)  # wakes who reads
            self.sock.close()
        else:
            self.sock.shutdown(socket.SHUT_RDWR)
        raise OSError("chopped")

    def fill(self):
        """More ciphertext; False at its end."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        with self.lock:
            if data:
                self.inp.write(data)
            else:
                self.inp.write_eof()
        return bool(data)

    def handshake(self):
        while True:
            try:
                with self.lock:
                    self.tls.do_handshake()
                self.flush()
                return None
            except ssl.SSLWantReadError:
                self.flush()
                if not self.fill():
                    return "closed"
            except (ssl.SSLError, OSError) as e:
                if self.left is not None and self.left <= 0:
                    return "chopped"
                try:
                    self.flush()
                except OSError:
                    pass
                return str(e)

    def facts(self, error):
        cert = self.tls.getpeercert() if error is None else None
        subject = ""
        for part in (cert or {}).get("subject", ()):
            for key, value in part:
                if key == "commonName":
                    subject = value
        return {
            "error": error,
            "name": names.get(id(self.tls)),
            "version": self.tls.version(),
            "cipher": self.tls.cipher()[0] if self.tls.cipher() else None,
            "reused": bool(self.tls.session_reused),
            "peer": subject,
        }

    def read(self):
        """Plaintext; b"" at its end."""
        while True:
            try:
                with self.lock:
                    data = self.tls.read(65536)
                self.closed = self.closed or not data
                return data
            except ssl.SSLWantReadError:
                self.flush()
                if not self.fill():
                    return b""
            except ssl.SSLZeroReturnError:
                self.closed = True
                return b""
            except (ssl.SSLError, OSError):
                return b""

    def write(self, data):
        with self.lock:
            while data:
                n = self.tls.write(data)
                data = data[n:]
        self.flush()

    def end(self):
        """The backend has ended: so do we, with a goodbye or without."""
        try:
            if ask.get("close") != "cut":
                with self.lock:
                    try:
                        self.tls.unwrap()
                    except ssl.SSLError:
                        pass
                self.flush()
            self.sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass


def to_backend(conn, back):
    while True:
        data = conn.read()
        try:
            if not data:
                back.shutdown(socket.SHUT_WR)
                return
            back.sendall(data)
        except OSError:
            return


def from_backend(conn, back):
    while True:
        try:
            data = back.recv(65536)
        except OSError:
            data = b""
        if not data:
            conn.end()
            return
        try:
            conn.write(data)
        except (ssl.SSLError, OSError):
            return


def serve(sock, number):
    conn = Connection(sock, number)
    mode = ask.get("mode")
    if mode == "silent":
        while conn.fill():
            pass
        return say("end", number, {})
    if mode == "hangup":
        conn.fill()
        sock.close()
        return say("end", number, {})
    if mode == "garbage":
        conn.fill()
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        sock.close()
        return say("end", number, {})
    error = conn.handshake()
    say("hello", number, conn.facts(error))
    if error is None:
        host, port = ask["backend"]
        back = socket.create_connection((host, port))
        reader = threading.Thread(
            target=to_backend, args=(conn, back), daemon=True)
        reader.start()
        from_backend(conn, back)
        reader.join()
        back.close()
    sock.close()
    say("end", number, {"closed": conn.closed})


def main():
    if "unix" in ask:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(ask["unix"])
        os.chmod(ask["unix"], 0o666)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ask.get("addr", "127.0.0.1"), ask.get("port", 0)))
    listener.listen(128)
    port = 0 if "unix" in ask else listener.getsockname()[1]
    say("port", port)
    number = 0
    while True:
        sock, _ = listener.accept()
        number += 1
        say("conn", number)
        threading.Thread(
            target=serve, args=(sock, number), daemon=True).start()


main()
