# grpc_web_server.py -- a backend that speaks gRPC over h2c and does what its
# requests' paths say, on python3-h2: also what no library of gRPC would.
#
#     python3 grpc_web_server.py DIRECTORY
#
# Prints its port (of 127.0.0.1).  Each call is a line of DIRECTORY/calls.log
# when it has come to its end: fields, and the messages that were received.
# Where a call waits, it does so until there is a file DIRECTORY/NAME.

import os
import socket
import struct
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events

DIR = sys.argv[1]
log = open(DIR + '/calls.log', 'a', buffering=1)


def message(data, flag=0):
    return struct.pack('>BI', flag, len(data)) + data


def messages(data):
    out = []
    while data:
        flag, n = struct.unpack('>BI', data[:5])
        out.append((flag, data[5:5 + n]))
        data = data[5 + n:]
    return out


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()
        self.c = h2.connection.H2Connection(
            config=h2.config.H2Configuration(client_side=False,
                                             header_encoding='utf-8'))
        self.head = {}
        self.body = {}
        self.reset = set()

    def flush(self):
        self.sock.sendall(self.c.data_to_send())

    # Of a call, each on a thread of its own.

    def start(self, sid, more=(), status='200', kind='application/grpc'):
        with self.lock:
            self.c.send_headers(sid, [(':status', status),
                                      ('content-type', kind)] + list(more))
            self.flush()

    def send(self, sid, data, end=False):
        while data:
            with self.lock:
                if sid in self.reset:
                    return
                n = min(self.c.local_flow_control_window(sid), len(data),
                        16384)
                if n > 0:
                    self.c.send_data(sid, data[:n])
                    data = data[n:]
                    self.flush()
            if n <= 0:
                time.sleep(0.005)
        if end:
            with self.lock:
                self.c.end_stream(sid)
                self.flush()

    def finish(self, sid, status='0', more=()):
        with self.lock:
            self.c.send_headers(sid, [('grpc-status', status)] + list(more),
                                end_stream=True)
            self.flush()

    def only(self, sid, fields, status='200', kind='application/grpc'):
        with self.lock:
            self.c.send_headers(sid, [(':status', status),
                                      ('content-type', kind)] + list(fields),
                                end_stream=True)
            self.flush()

    def wait(self, sid, name):
        while not os.path.exists(DIR + '/' + name):
            if sid in self.reset:
                return
            time.sleep(0.005)

    def call(self, sid):
        h = self.head[sid]
        body = self.body.get(sid, b'')
        what = h[':path'].split('/')
        try:
            got = ' '.join('%d:%s' % (flag, data.decode('latin-1')
                                      if len(data) < 100 else len(data))
                           for flag, data in messages(body))
        except struct.error:
            got = 'no messages: %r' % body
        log.write('%s %s type=%s te=%s accept=%s web=%s length=%s timeout=%s '
                  'got=[%s]\n' % (
                      h[':method'], h[':path'], h.get('content-type'),
                      h.get('te'), h.get('accept'), h.get('x-grpc-web'),
                      h.get('content-length'), h.get('grpc-timeout'), got))
        kind = h.get('content-type', '')
        if what[1] == 'echo':
            self.start(sid, [('x-first', 'yes')], kind=kind)
            self.send(sid, body)
            self.finish(sid, '0', [('x-last', 'p\u00e4')])
        elif what[1] == 'stream':
            self.start(sid)
            for i in range(int(what[2])):
                if i:
                    self.wait(sid, 'go-%s-%d' % (what[3], i))
                self.send(sid, message(b'message %d' % i))
            self.finish(sid)
        elif what[1] == 'compressed':
            self.start(sid, [('grpc-encoding', 'gzip')])
            self.send(sid, message(b'not really', 1))
            self.finish(sid)
        elif what[1] == 'big':
            self.start(sid)
            self.send(sid, message(b'x' * int(what[2])))
            self.finish(sid)
        elif what[1] == 'fail':
            self.only(sid, [('grpc-status', '5'),
                            ('grpc-message', 'no%20such thing'),
                            ('grpc-status-details-bin', 'AAAA')])
        elif what[1] == 'late':
            self.start(sid)
            self.send(sid, message(b'one'))
            self.finish(sid, '9', [('grpc-message', 'too late')])
        elif what[1] == 'none':
            self.start(sid)
            self.send(sid, message(b'one'), end=True)
        elif what[1] == 'head':     # a status in the head, and no trailers
            self.start(sid, [('grpc-status', '3')])
            self.send(sid, b'', end=True)
        elif what[1] == 'html':
            self.start(sid, status=what[2], kind='text/html')
            self.send(sid, b'<p>sorry</p>', end=True)
        elif what[1] == 'refuse':   # as gRPC's servers in Go do
            self.only(sid, [('grpc-status', '3'), ('grpc-message', 'bad')],
                      status='415')
        elif what[1] == 'web':
            self.start(sid, kind='application/grpc-web+proto')
            self.send(sid, b'as it is', end=True)
        elif what[1] == 'short':    # an end in the middle of a message
            self.start(sid)
            self.send(sid, message(b'one') + message(b'two')[:-1])
            self.finish(sid)
        elif what[1] == 'break':    # after so many bytes
            self.start(sid)
            self.send(sid, (message(b'one') * 3)[:int(what[2])])
            self.wait(sid, 'go-break')
            with self.lock:
                self.c.reset_stream(sid, h2.errors.ErrorCodes.INTERNAL_ERROR)
                self.flush()
        elif what[1] == 'open':
            open(DIR + '/' + what[2], 'w').close()
            self.only(sid, [('grpc-status', '0')])
        elif what[1] == 'hold':
            self.wait(sid, 'page')
            self.only(sid, [])
        elif what[1] == 'hang':
            self.wait(sid, 'never')
        else:
            self.only(sid, [('grpc-status', '12')])

    def run_call(self, sid):
        try:
            self.call(sid)
        except (OSError, h2.exceptions.ProtocolError):
            pass

    def on_event(self, e):
        if isinstance(e, h2.events.RequestReceived):
            self.head[e.stream_id] = dict(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            self.body[e.stream_id] = \
                self.body.get(e.stream_id, b'') + e.data
            self.c.acknowledge_received_data(e.flow_controlled_length,
                                             e.stream_id)
        elif isinstance(e, h2.events.StreamEnded):
            threading.Thread(target=self.run_call, args=(e.stream_id,),
                             daemon=True).start()
        elif isinstance(e, h2.events.StreamReset):
            self.reset.add(e.stream_id)
            log.write('reset %s\n' % self.head[e.stream_id][':path'])

    def run(self):
        with self.lock:
            self.c.initiate_connection()
            self.flush()
        while True:
            data = self.sock.recv(65536)
            if not data:
                break
            with self.lock:
                for e in self.c.receive_data(data):
                    self.on_event(e)
                self.flush()


def serve(sock):
    try:
        Connection(sock).run()
    except OSError:
        pass
    sock.close()


listening = socket.create_server(('127.0.0.1', 0))
print(listening.getsockname()[1], flush=True)
while True:
    sock, _ = listening.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(sock,), daemon=True).start()
