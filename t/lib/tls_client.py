"""A TLS client of tests: Python's ssl module, which is OpenSSL.

    tls_client.py FILE

FILE holds a JSON object (see Test::Veil::TLS): where to connect, what to
require, requests to send on each of several connections, each of which
resumes the session of the one before.  Prints a JSON list, one object for
each connection.
"""

import json
import re
import socket
import ssl
import sys


def context(ask):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if "ca" in ask:
        c.verify_mode = ssl.CERT_REQUIRED
        c.check_hostname = bool(ask.get("check_name"))
        c.load_verify_locations(ask["ca"])
    if "cert" in ask:
        c.load_cert_chain(ask["cert"], ask["key"])
    versions = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }
    if "tls" in ask:
        c.minimum_version = c.maximum_version = versions[ask["tls"]]
    if "ciphers" in ask:
        c.set_ciphers(ask["ciphers"])
    if "alpn" in ask:
        c.set_alpn_protocols(ask["alpn"].split(","))
    return c


def response(s):
    """One response: by its length, or by the end of the connection."""
    got = b""
    while True:
        head, end, body = got.partition(b"\r\n\r\n")
        if end:
            m = re.search(rb"(?im)^content-length: *(\d+)", head)
            if m and len(body) >= int(m[1]):
                return got
        piece = s.recv(65536)
        if not piece:
            return got
        got += piece


def handshake(ask, c, session):
    said = {}
    try:
        raw = socket.create_connection(
            (ask["host"], ask["port"]), timeout=ask["timeout"]
        )
        s = c.wrap_socket(raw, server_hostname=ask["name"], session=session)
        said.update(
            version=s.version(),
            cipher=s.cipher()[0],
            reused=bool(s.session_reused),
            alpn=s.selected_alpn_protocol(),
            responses=[],
        )
        for request in ask["requests"]:
            s.sendall(request.encode("latin-1"))
            said["responses"].append(response(s).decode("latin-1"))
        session = s.session
        try:
            s.unwrap().close()
            said["closed"] = "notified"
        except (ssl.SSLError, OSError) as e:
            said["closed"] = str(e)
    except (ssl.SSLError, OSError) as e:
        said["error"] = str(e)
    return said, session


def main():
    with open(sys.argv[1]) as f:
        ask = json.load(f)
    c = context(ask)
    session, found = None, []
    for _ in range(ask["times"]):
        said, session = handshake(ask, c, session)
        found.append(said)
    json.dump(found, sys.stdout)


main()
