# grpc_client.py -- a client of gRPC, on python3-grpcio, for tests of proxying.
#
#     python3 grpc_client.py PORT CA|- GROUP [WORD ...]
#
# Runs the checks of a group (the functions below that begin with "group_")
# over one channel to 127.0.0.1:PORT, with TLS if there is a CA, and prints a
# line for each: its name, a tab, and "ok" or what was wrong.  A group that
# is to be synchronised with the test prints lines that begin with "!", and
# reads a line where it waits.

import os
import random
import sys
import threading
import traceback

import grpc

# With what the library starts, it is killed as a group.
os.setpgrp()

port, ca, group, words = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
# Without retries errors are seen as they are.  A channel that is long has them,
# as usual: a call that the library has not begun when GOAWAY comes fails
# otherwise, before anything of it is sent.
options = [('grpc.max_receive_message_length', -1),
           ('grpc.max_send_message_length', -1),
           ('grpc.enable_retries', int(group == 'long')),
           ('grpc.initial_reconnect_backoff_ms', 100),
           ('grpc.max_reconnect_backoff_ms', 500),
           ('grpc.default_authority', 'localhost')]
PATIENCE = 10 * float(os.environ.get('TEST_VEIL_PATIENCE') or 2)
Code = grpc.StatusCode


def connect():
    if ca == '-':
        return grpc.insecure_channel('127.0.0.1:' + port, options)
    with open(ca, 'rb') as f:
        return grpc.secure_channel(
            '127.0.0.1:' + port, grpc.ssl_channel_credentials(f.read()),
            options + [('grpc.ssl_target_name_override', 'localhost')])


channel = connect()


def unary(name, path='/test.Test/'):
    return channel.unary_unary(path + name)


def server_stream(name):
    return channel.unary_stream('/test.Test/' + name)


def client_stream(name):
    return channel.stream_unary('/test.Test/' + name)


def bidi(name):
    return channel.stream_stream('/test.Test/' + name)


def check(name, got, expected):
    print('%s\t%s' % (name, 'ok' if got == expected else 'got %r, not %r' % (
        got, expected)), flush=True)


def tell(text):
    print('!' + text, flush=True)


def wait():
    sys.stdin.readline()


# The code and details a call ends with.
def end_of(call):
    try:
        result = call()
        return (Code.OK, result)
    except grpc.RpcError as e:
        return (e.code(), e.details())


class Say:
    """Messages that are said one by one, when the test wants it."""

    def __init__(self):
        self.cond = threading.Condition()
        self.queue = []

    def say(self, what):
        with self.cond:
            self.queue.append(what)
            self.cond.notify()

    def end(self):
        self.say(None)

    def __iter__(self):
        return self

    def __next__(self):
        with self.cond:
            while not self.queue:
                self.cond.wait()
            what = self.queue.pop(0)
        if what is None:
            raise StopIteration
        return what


def group_basic():
    check('unary', unary('Echo')(b'hello', timeout=PATIENCE), b'hello')
    check('an empty message', unary('Echo')(b'', timeout=PATIENCE), b'')
    check('client streaming',
          client_stream('Collect')(iter([b'a' * n for n in range(50)]),
                                   timeout=PATIENCE), b'50 1225')
    check('no message at all',
          client_stream('Collect')(iter([]), timeout=PATIENCE), b'0 0')
    check('server streaming',
          list(server_stream('Count')(b'200', timeout=PATIENCE)),
          [b'%d' % i for i in range(200)])
    check('many small messages',
          list(server_stream('Count')(b'5000', timeout=PATIENCE)),
          [b'%d' % i for i in range(5000)])
    check('and to the server',
          client_stream('Collect')(iter([b'a'] * 5000), timeout=PATIENCE),
          b'5000 5000')
    check('an empty stream',
          list(server_stream('Count')(b'0', timeout=PATIENCE)), [])

    say = Say()
    call = bidi('Chat')(say, timeout=PATIENCE)
    text = b'start'
    for i in range(30):
        say.say(text)
        text = next(call)
    say.end()
    check('ping-pong', text, b're: ' * 30 + b'start')
    check('half close', list(call), [b'bye'])
    check('its status', call.code(), Code.OK)

    say = Say()
    call = bidi('First')(say, timeout=PATIENCE)
    check('the server speaks first', next(call), b'hello')
    say.say(b'yes')
    check('then the client', next(call), b'you said yes')
    say.end()
    check('and it ends', list(call), [])

    say = Say()
    call = bidi('Enough')(say, timeout=PATIENCE)
    say.say(b'x')
    check('the server ends first', list(call), [b're: x'])
    check('with OK', call.code(), Code.OK)
    say.end()


def group_metadata():
    sent = (('x-text', 'some text'), ('x-bytes-bin', bytes(range(256))),
            ('x-more', 'one'), ('x-more', 'two'))
    result, call = unary('Echo').with_call(b'', metadata=sent,
                                           timeout=PATIENCE)

    def mine(m):
        return sorted((k, v) for k, v in m if k.startswith('x-'))
    check('metadata as head', mine(call.initial_metadata()), sorted(sent))
    check('metadata as trailers', mine(call.trailing_metadata()),
          sorted(sent))
    check('fields that the proxy sets',
          unary('Fields')(b'set-by', timeout=PATIENCE,
                          metadata=(('set-by', 'me'),)),
          b'set-by: the proxy')


def group_statuses():
    for n in range(1, 17):
        try:
            unary('Fail')(b'%d so it is: 100%% \xc3\xa4\n' % n,
                          timeout=PATIENCE)
            check('status %d' % n, 'OK', 'an error')
        except grpc.RpcError as e:
            check('status %d' % n,
                  (e.code().value[0], e.details(),
                   dict(e.trailing_metadata()).get('x-why')),
                  (n, 'so it is: 100% \u00e4\n', 'because'))
    call = server_stream('FailLater')(b'9 later', timeout=PATIENCE)
    check('a message before the error', next(call), b'one')
    try:
        next(call)
        check('the error', 'a message', 'an error')
    except grpc.RpcError as e:
        check('the error', (e.code(), e.details()),
              (Code.FAILED_PRECONDITION, 'later'))
    code, details = end_of(lambda: unary('Missing')(b'', timeout=PATIENCE))
    check('no such method', code, Code.UNIMPLEMENTED)


def group_big():
    big = os.urandom(4 * 1024 * 1024)
    check('4 MB there and back', unary('Echo')(big, timeout=60) == big, True)
    check('4 MB, streamed',
          client_stream('Collect')(iter([big[:65536]] * 64), timeout=60),
          b'64 4194304')
    got = list(server_stream('Bulk')(b'16 262144', timeout=60))
    check('4 MB back, streamed',
          got == [bytes([i]) * 262144 for i in range(16)], True)
    call = bidi('Chat')(iter([big[:500000]] * 8), timeout=60)
    check('4 MB both ways, streamed',
          [len(m) for m in call], [500004] * 8 + [3])


def group_many():
    says = [Say() for i in range(100)]
    calls = [bidi('Chat')(s, timeout=60) for s in says]
    bad = 0
    for turn in range(3):
        for i, s in enumerate(says):
            s.say(b'%d of %d' % (turn, i))
        for i, c in enumerate(calls):
            bad += next(c) != b're: %d of %d' % (turn, i)
    for s in says:
        s.end()
    bad += sum(list(c) != [b'bye'] for c in calls)
    check('100 concurrent streams', bad, 0)
    futures = [unary('Echo').future(b'%d' % i, timeout=60)
               for i in range(100)]
    check('100 concurrent calls', [f.result() for f in futures],
          [b'%d' % i for i in range(100)])


def group_deadline():
    far = 1000 * 3600 * 24 * 365
    check('no deadline', int(unary('Remaining')(b'', timeout=None)) > far,
          True)
    left = int(unary('Remaining')(b'', timeout=300))
    check('a deadline is passed on: %d' % left, 200000 < left <= 302000,
          True)


def group_capped():
    for timeout in (300, None):
        left = int(unary('Remaining')(b'', timeout=timeout))
        check('no longer than that: %d' % left, left <= 100100, True)
    left = int(unary('Remaining')(b'', timeout=50))
    check('shorter is passed on: %d' % left, left <= 50100, True)


# A stream, and its first message.  The proxy, which has it end soon, may end
# it before that on a busy machine: another one then.
def begun(what, timeout):
    for i in range(10):
        call = server_stream('HangStream')(what, timeout=timeout)
        try:
            return call, next(call)
        except grpc.RpcError as e:
            last = e
    return call, last


# The client itself waits for ever: it is the proxy that ends these.
def group_expire():
    check('there is a connection to the server',
          unary('Echo')(b'x', timeout=PATIENCE, wait_for_ready=True), b'x')
    code, details = end_of(lambda: unary('Hang')(b'hang', timeout=None))
    check('past its deadline', (code, details),
          (Code.DEADLINE_EXCEEDED, 'Deadline Exceeded'))
    call, message = begun(b'stream', None)
    check('a message before it', message, b'one')
    code, details = end_of(lambda: next(call))
    check('past its deadline, streaming', (code, details),
          (Code.DEADLINE_EXCEEDED, 'Deadline Exceeded'))


def group_cancel():
    call = unary('Hang').future(b'unary')
    tell('called')
    wait()
    call.cancel()
    check('cancelled by the client', call.cancelled(), True)
    call = server_stream('HangStream')(b'streaming')
    check('a message', next(call), b'one')
    tell('called')
    wait()
    call.cancel()
    code, details = end_of(lambda: next(call))
    check('a stream cancelled by the client', code, Code.CANCELLED)
    say = Say()
    call = client_stream('Swallow').future(say)
    say.say(b'first')
    tell('called')
    wait()
    call.cancel()
    say.end()
    call = unary('x', words[0]).future(b'x')
    tell('called')
    wait()
    call.cancel()


def group_code():
    code, details = end_of(lambda: unary(
        words[1] if len(words) > 1 else 'Echo',
        words[2] if len(words) > 2 else '/test.Test/')(b'x',
                                                       timeout=PATIENCE))
    check('answer', '%d %s' % (code.value[0], details), words[0])


# Calls that the server refuses at first.
def group_again():
    for size in (0, 3, 5000, 16379):
        what = b'x' * size
        check('%d bytes are sent again' % size,
              end_of(lambda: unary('again%d' % size, words[0])(
                  what, timeout=PATIENCE)), (Code.OK, what))
    check('so is a stream',
          end_of(lambda: channel.stream_unary(words[0] + 'stream')(
              iter([b'x']), timeout=PATIENCE)), (Code.OK, b'x'))
    check('more is not',
          end_of(lambda: unary('more', words[0])(
              b'x' * 16380, timeout=PATIENCE))[0], Code.UNAVAILABLE)


# The same of a stream, after its first message.
def group_stream_code():
    call = channel.unary_stream(words[2] + words[1])(b'x', timeout=PATIENCE)
    check('a message', next(call), b'one')
    code, details = end_of(lambda: next(call))
    check('answer', '%d %s' % (code.value[0], details), words[0])


def group_held():
    call, message = begun(b'held', PATIENCE)
    check('a message', message, b'one')
    tell('held')
    code, details = end_of(lambda: next(call))
    check('its end', '%d %s' % (code.value[0], details), words[0])


def group_wait():
    call = unary('Echo')
    for i in range(100):
        if end_of(lambda: call(b'x', timeout=PATIENCE,
                               wait_for_ready=True))[0] == Code.OK:
            break
    check('it works again', i < 99, True)


# Calls of all kinds that are left, cancelled and late in all places, each
# with its own random numbers, so that a seed repeats them: as many as asked
# for, and then until told to stop.  The first that ends as it should is told,
# so that what comes to harm has served.
def group_chaos():
    seed, each = int(words[0]), int(words[1])
    stop = threading.Event()
    fine = threading.Event()
    wrong = []
    usual = (Code.OK, Code.CANCELLED, Code.DEADLINE_EXCEEDED,
             Code.UNAVAILABLE, Code.INTERNAL, Code.RESOURCE_EXHAUSTED,
             Code.UNKNOWN)

    def said(rng, say, n):
        for i in range(n):
            say.say(bytes([i]) * rng.choice((0, 1, 100, 20000, 200000)))

    def one(rng, number):
        kind = rng.randrange(6)
        timeout = rng.choice((PATIENCE, PATIENCE, PATIENCE, 0.2, 0.03, 0.002))
        cancel = rng.random() < 0.3
        say = Say()
        if kind == 0:
            what = bytes([number % 256]) * rng.choice((0, 10, 3000, 300000))
            code, got = end_of(lambda: unary('Echo')(what, timeout=timeout))
            if code == Code.OK and got != what:
                wrong.append('an echo of %d bytes' % len(what))
        elif kind == 1:
            call = server_stream('Bulk')(b'20 %d' % rng.choice(
                (10, 5000, 100000)), timeout=timeout)
            code = read(rng, call, cancel)
        elif kind == 2:
            call = client_stream('Collect').future(say, timeout=timeout)
            said(rng, say, 8)
            if cancel:
                call.cancel()
            say.end()
            code = call.code()
        elif kind == 3:
            call = bidi('Chat')(say, timeout=timeout)
            said(rng, say, 8)
            if not cancel:
                say.end()
            code = read(rng, call, cancel)
            say.end()
        elif kind == 4:
            call = bidi('Enough')(say, timeout=timeout)
            said(rng, say, 5)
            code = read(rng, call, cancel)
            say.end()
        else:
            call = unary('Hang').future(b'x', timeout=min(timeout, 0.2))
            if cancel:
                call.cancel()
            code = call.code()
        if code not in usual:
            wrong.append('kind %d: %s' % (kind, code))
        if code == Code.OK:
            fine.set()

    def read(rng, call, cancel):
        n = rng.randrange(6) if cancel else 1000
        try:
            for i, message in enumerate(call):
                if i >= n:
                    call.cancel()
                    break
        except grpc.RpcError:
            pass
        return call.code()

    def run(i):
        rng = random.Random(seed * 1000 + i)
        n = 0
        while n < each or not stop.is_set():
            n += 1
            try:
                one(rng, n)
            except Exception:
                wrong.append(traceback.format_exc().replace('\n', ' | '))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    check('some calls end as they should', fine.wait(PATIENCE), True)
    tell('some are fine')
    wait()
    stop.set()
    for t in threads:
        t.join()
    check('all calls end as calls do', wrong[:3], [])


# Calls one after the other, with streams besides, until told to stop.
def group_long():
    stop = threading.Event()
    failed = []
    count = [0]

    def calls():
        while not stop.is_set() or count[0] < 200:
            count[0] += 1
            code, text = end_of(lambda: unary('Echo')(b'x', timeout=PATIENCE))
            if code != Code.OK:
                failed.append('%s %s' % (code, text))
            if count[0] == 50:
                tell('running')

    def streams():
        while not stop.is_set():
            say = Say()
            call = bidi('Chat')(say, timeout=PATIENCE)
            try:
                for i in range(20):
                    say.say(b'x')
                    if next(call) != b're: x':
                        failed.append('a wrong answer')
            except grpc.RpcError as e:
                failed.append('stream: %s %s' % (e.code(), e.details()))
            finally:
                say.end()
            list(call)

    threads = [threading.Thread(target=f) for f in (calls, streams, streams)]
    for t in threads:
        t.start()
    wait()
    stop.set()
    for t in threads:
        t.join()
    check('calls on one channel', failed, [])


try:
    globals()['group_' + group]()
except Exception:
    print('%s\t%s' % (group, traceback.format_exc().replace('\n', ' | ')),
          flush=True)
sys.stdout.flush()
os._exit(0)
