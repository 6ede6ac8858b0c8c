# h2_server.py -- an HTTP/2 server that does what its requests' paths say, on
# python3-h2, for tests of HTTP/2 to upstreams.
#
#     python3 h2_server.py LOG [STREAMS]
#
# Prints its port (of 127.0.0.1; h2c with prior knowledge), then serves each
# connection on a thread of its own.  Each request is a line of LOG:
# "connection stream method path authority content-length te".  STREAMS is
# what a connection may have at once: 2.

import select
import socket
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

log = open(sys.argv[1], 'a', buffering=1)
streams = int(sys.argv[2]) if len(sys.argv) > 2 else 2
refused = set()
lock = threading.Lock()
number = 0


class Connection:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.c = h2.connection.H2Connection(
            config=h2.config.H2Configuration(client_side=False,
                                             header_encoding='utf-8'))
        self.body = {}
        self.path = {}
        self.queue = {}
        self.open = True
        self.waiting = []
        self.pinging = set()
        self.next_ping = 0

    def flush(self):
        self.sock.sendall(self.c.data_to_send())

    def raw(self, data):
        self.flush()
        self.sock.sendall(data)

    def reply(self, sid, text, headers=(), trailers=None):
        self.c.send_headers(sid, [(':status', '200'),
                                  ('content-type', 'text/plain')]
                            + list(headers))
        text = text.encode() if isinstance(text, str) else text
        self.queue[sid] = [memoryview(text), trailers]
        self.pump(sid)

    def pump(self, sid):
        data, trailers = self.queue[sid]
        while data:
            n = min(self.c.local_flow_control_window(sid), len(data), 16384)
            if n <= 0:
                break
            self.c.send_data(sid, bytes(data[:n]))
            data = data[n:]
        self.queue[sid][0] = data
        if not data:
            del self.queue[sid]
            if trailers:
                self.c.send_headers(sid, trailers, end_stream=True)
            else:
                self.c.end_stream(sid)

    def first_time(self, path):
        with lock:
            first = path not in refused
            refused.add(path)
            return first

    def on_head(self, e):
        sid = e.stream_id
        h = dict(e.headers)
        path = self.path[sid] = h[':path']
        log.write('%d %d %s %s %s %s %s\n' % (
            self.number, sid, h[':method'], path, h.get(':authority'),
            h.get('content-length', '-'), h.get('te', '-')))
        what = path.split('/')[1]
        if what == 'refuse' or (what == 'refuse-once'
                                and self.first_time(path)):
            self.c.reset_stream(sid, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif what == 'goaway' and self.first_time(path):
            self.c.close_connection(last_stream_id=max(0, sid - 2))
            self.flush()
            self.sock.shutdown(socket.SHUT_WR)
            self.open = False
        elif what == 'missing':
            self.c.send_headers(sid, [(':status', '404')], end_stream=True)
        elif what == 'code':
            self.c.reset_stream(sid, int(path.split('/')[2]))
        elif what == 'half-code':   # a message of gRPC, then the reset
            self.c.send_headers(sid, [(':status', '200'),
                                      ('content-type', 'application/grpc')])
            self.c.send_data(sid, b'\0\0\0\0\x03one')
            self.c.reset_stream(sid, int(path.split('/')[2]))
        elif what == 'reset':
            self.c.reset_stream(sid, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif what == 'half':
            self.c.send_headers(sid, [(':status', '200')])
            self.c.send_data(sid, b'half')
            self.c.reset_stream(sid, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif what == 'hang':
            pass
        elif what == 'ping':        # and no answer
            self.pinging.add(sid)
        elif what == 'drop' and sid > 1:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.open = False
        elif what == 'big-head':
            self.c.send_headers(sid, [(':status', '200'),
                                      ('x-big', 'x' * 12000)],
                                end_stream=True)
        elif what == 'garbage':
            self.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        elif what == 'flood':
            try:
                for i in range(3000):
                    self.raw(b'\0\0\x08\x06\0\0\0\0\0' + b'12345678')
            except OSError:
                pass
        elif what == 'early':
            self.reply(sid, 'early')
            self.path[sid] = '/done'
        elif what in ('chat', 'first', 'after', 'give-up', 'held'):
            self.c.send_headers(sid, [(':status', '200')])
            if what == 'first':
                self.c.send_data(sid, b'hello')
        elif what in ('enough', 'done'):
            self.c.send_headers(sid, [(':status', '200')])
            self.c.send_data(sid, b'enough', end_stream=True)
            if what == 'enough':
                self.c.reset_stream(sid, h2.errors.ErrorCodes.NO_ERROR)
        elif what == 'two':         # answered when there are two at once
            self.waiting.append(sid)
            if len(self.waiting) == 2:
                for s in self.waiting:
                    self.reply(s, 'both')
                self.waiting = []

    def on_end(self, sid):
        what = self.path[sid].split('/')[1]
        body = self.body.get(sid, b'')
        if what in ('refuse', 'refuse-once', 'goaway', 'ok', 'echo', 'bye',
                    'drop'):
            self.reply(sid, '%d %d' % (self.number, len(body)))
            if what == 'bye':
                self.c.close_connection(last_stream_id=sid)
                self.flush()
                self.sock.shutdown(socket.SHUT_WR)
                self.open = False
        elif what in ('refuse-call', 'goaway-call'):
            # The whole call has come, and it is said that nobody looked.
            if not self.first_time(self.path[sid]):
                self.c.send_headers(sid, [
                    (':status', '200'), ('content-type', 'application/grpc')])
                self.queue[sid] = [body, [('grpc-status', '0')]]
                self.pump(sid)
            elif what == 'refuse-call':
                self.c.reset_stream(sid, h2.errors.ErrorCodes.REFUSED_STREAM)
            else:
                self.c.close_connection(last_stream_id=max(0, sid - 2))
                self.flush()
                self.sock.shutdown(socket.SHUT_WR)
                self.open = False
        elif what == 'trailers':
            self.reply(sid, 'text', trailers=[('x-after', 'yes')])
        elif what == 'hints':
            self.c.send_headers(sid, [(':status', '103'), ('link', '</a>')])
            self.reply(sid, 'hinted')
        elif what == 'empty':
            self.c.send_headers(sid, [(':status', '204')], end_stream=True)
        elif what in ('chat', 'first', 'late'):
            self.c.send_headers(sid, [('x-heard', str(len(body)))],
                                end_stream=True)
        elif what == 'after':
            for word in (b'one', b'two', b'three'):
                self.c.send_data(sid, word)
                self.flush()
                time.sleep(0.02)
            self.c.end_stream(sid)
        elif what == 'large':
            self.reply(sid, b'y' * int(self.path[sid].split('/')[2]))

    def on_data(self, sid, data):
        what = self.path.get(sid, '/').split('/')[1]
        body = self.body.get(sid, b'')
        self.body[sid] = body + data
        if what == 'late' and not body:
            self.c.send_headers(sid, [(':status', '200')])
        if what in ('chat', 'first', 'late') and data:
            self.c.send_data(sid, b'<' + data + b'>')
        elif what == 'give-up':
            self.c.send_data(sid, data)
            self.flush()
            self.c.reset_stream(sid, h2.errors.ErrorCodes.INTERNAL_ERROR)
        return what

    def on_event(self, e):
        if isinstance(e, h2.events.RequestReceived):
            self.on_head(e)
        elif isinstance(e, h2.events.DataReceived):
            sid = e.stream_id
            n = e.flow_controlled_length
            if self.on_data(sid, e.data) != 'held':
                self.c.acknowledge_received_data(n, sid)
            elif n:
                self.c.increment_flow_control_window(n)
        elif isinstance(e, h2.events.TrailersReceived):
            log.write('%d trailers %s\n' % (self.number, dict(e.headers)))
        elif isinstance(e, h2.events.StreamEnded):
            self.on_end(e.stream_id)
        elif isinstance(e, h2.events.StreamReset):
            log.write('%d reset %d %d\n' % (self.number, e.stream_id,
                                            int(e.error_code)))
            self.queue.pop(e.stream_id, None)
            self.pinging.discard(e.stream_id)
        elif isinstance(e, h2.events.WindowUpdated):
            for sid in list(self.queue):
                self.pump(sid)
        elif isinstance(e, h2.events.ConnectionTerminated):
            log.write('%d goaway %d\n' % (self.number, int(e.error_code)))

    def ping(self):
        """Twenty times a second; true when there is something to read."""
        left = self.next_ping - time.monotonic()
        if left <= 0:
            self.c.ping(b'12345678')
            self.flush()
            self.next_ping = time.monotonic() + 0.05
            return False
        return select.select([self.sock], [], [], left)[0]

    def run(self):
        self.c.initiate_connection()
        self.c.update_settings(
            {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()
        while self.open:
            if self.pinging and not self.ping():
                continue
            data = self.sock.recv(65536)
            if not data:
                break
            for e in self.c.receive_data(data):
                try:
                    self.on_event(e)
                except h2.exceptions.ProtocolError:
                    pass            # reset by an event that comes yet
            if self.open:
                self.flush()
        # What is on its way yet is no reason to reset the connection.
        try:
            while data and self.sock.recv(65536):
                pass
        except OSError:
            pass
        log.write('%d end\n' % self.number)


def serve(sock, number):
    try:
        Connection(sock, number).run()
    except Exception as e:
        log.write('%d error %r\n' % (number, e))
    sock.close()


listening = socket.create_server(('127.0.0.1', 0))
print(listening.getsockname()[1], flush=True)
while True:
    sock, _ = listening.accept()
    number += 1
    threading.Thread(target=serve, args=(sock, number), daemon=True).start()
