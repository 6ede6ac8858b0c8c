# h2_ocsp.py PORT CA CERT KEY RESET -- what ocsp.t wants of a client: three
# requests at once, first thing on a connection.  With RESET 1 it gives up the
# first of them while the server waits, with 2 all of the connection.  Says
# "asked", goes on when its input ends, and says the statuses.

import sys

from h2_raw import *

port, ca, cert, key, reset = sys.argv[1:6]
c = Client(int(port), tls=ca, cert=(cert, key))
head = literal(request())
c.send(b''.join(frame(HEADERS, END_HEADERS | END_STREAM, s, head)
                for s in (1, 3, 5)))
assert c.fence()
streams = [1, 3, 5]
print('asked', flush=True)
sys.stdin.readline()
if reset == '1':
    c.send(frame(RST_STREAM, 0, 1, struct.pack('>I', 8)))
    assert c.fence()
    streams = [3, 5]
if reset == '2':
    c.close()
    sys.exit()
print(*[c.finish(s).status for s in streams], flush=True)
c.close()
