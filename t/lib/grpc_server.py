# grpc_server.py -- a server of gRPC, on python3-grpcio, for tests of proxying.
#
#     python3 grpc_server.py LOG [PORT [KEY CERT]]
#
# Prints the ports (of 127.0.0.1) of h2c and, with a key, of TLS, then serves
# until it is killed.  PORT 0 is any.  There are no messages but bytes; what
# a method does is written at it.  What tests wait for is a line of LOG.

import sys
import threading
from concurrent import futures

import grpc

log = open(sys.argv[1], 'a', buffering=1)
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0


def note(text):
    log.write(text + '\n')


def metadata(context):
    return [(k, v) for k, v in context.invocation_metadata()
            if k.startswith('x-')]


def wait_for_end(context, name):
    end = threading.Event()
    if context.add_callback(end.set):
        note(name + ' waits')
        end.wait(60)
    note(name + ' has ended')


# What came goes back, its metadata as head and as trailers.
def echo(request, context):
    context.send_initial_metadata(metadata(context))
    context.set_trailing_metadata(metadata(context))
    return request


def collect(requests, context):
    sizes = [len(r) for r in requests]
    return b'%d %d' % (len(sizes), sum(sizes))


def count(request, context):
    for i in range(int(request)):
        yield b'%d' % i


# So many messages of so many bytes.
def bulk(request, context):
    n, size = request.split()
    for i in range(int(n)):
        yield bytes([i % 256]) * int(size)


# An answer to each message as it comes.
def chat(requests, context):
    note('chat begins')
    for r in requests:
        yield b're: ' + r
    yield b'bye'


# Says something before it has heard anything; ends at what it hears.
def first(requests, context):
    yield b'hello'
    yield b'you said ' + next(requests)


# Ends before the client does.
def enough(requests, context):
    yield b're: ' + next(requests)


def fail(request, context):
    code, details = request.decode().split(' ', 1)
    context.set_trailing_metadata((('x-why', 'because'),))
    context.abort([c for c in grpc.StatusCode if c.value[0] == int(code)][0],
                  details)


def fail_later(request, context):
    yield b'one'
    fail(request, context)


def hang(request, context):
    wait_for_end(context, request.decode())
    return b''


def hang_stream(request, context):
    yield b'one'
    wait_for_end(context, request.decode())


def swallow(requests, context):
    note('swallow begins')
    for r in requests:
        note('swallow ' + r.decode())
    note('swallow ends')
    return b'done'


def remaining(request, context):
    left = context.time_remaining()
    return b'none' if left is None else b'%d' % (left * 1000)


def fields(request, context):
    wanted = request.decode().split()
    return '\n'.join('%s: %s' % (k, v) for k, v in
                     context.invocation_metadata() if k in wanted).encode()


handlers = {
    'Echo': grpc.unary_unary_rpc_method_handler(echo),
    'Collect': grpc.stream_unary_rpc_method_handler(collect),
    'Count': grpc.unary_stream_rpc_method_handler(count),
    'Bulk': grpc.unary_stream_rpc_method_handler(bulk),
    'Chat': grpc.stream_stream_rpc_method_handler(chat),
    'First': grpc.stream_stream_rpc_method_handler(first),
    'Enough': grpc.stream_stream_rpc_method_handler(enough),
    'Fail': grpc.unary_unary_rpc_method_handler(fail),
    'FailLater': grpc.unary_stream_rpc_method_handler(fail_later),
    'Hang': grpc.unary_unary_rpc_method_handler(hang),
    'HangStream': grpc.unary_stream_rpc_method_handler(hang_stream),
    'Swallow': grpc.stream_unary_rpc_method_handler(swallow),
    'Remaining': grpc.unary_unary_rpc_method_handler(remaining),
    'Fields': grpc.unary_unary_rpc_method_handler(fields),
}

options = (('grpc.max_receive_message_length', -1),
           ('grpc.max_send_message_length', -1),
           ('grpc.so_reuseport', 0))
server = grpc.server(futures.ThreadPoolExecutor(max_workers=160),
                     options=options)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    'test.Test', handlers),))
ports = [server.add_insecure_port('127.0.0.1:%d' % port)]
if len(sys.argv) > 4:
    with open(sys.argv[3], 'rb') as k, open(sys.argv[4], 'rb') as c:
        credentials = grpc.ssl_server_credentials([(k.read(), c.read())])
    ports.append(server.add_secure_port('127.0.0.1:0', credentials))
server.start()
print(*ports, flush=True)
server.wait_for_termination()
