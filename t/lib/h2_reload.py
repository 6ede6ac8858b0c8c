# h2_reload.py PORT FILE -- requests on eight connections, as many as go,
# until FILE is there.  What GOAWAY says was not served is asked for again;
# anything else that is not 200 has failed.

import os
import sys

from h2_raw import *

PORT, STOP = int(sys.argv[1]), sys.argv[2]
served = again = renewed = 0
wrong = []
clients = [Client(PORT) for i in range(8)]

while not os.path.exists(STOP) and not wrong:
    for i, c in enumerate(clients):
        if c.goaway is not None or c.closed:
            if len(c.goaways) == 1 and not c.closed:
                c.pump(0.01)  # the second one may come, all is answered
            if c.closed or len(c.goaways) > 1:
                renewed += 1
                c.close()
                clients[i] = c = Client(PORT)
        asked = [c.open() for n in range(10)]
        for n in asked:
            s = c.finish(n) if not c.goaways or n <= c.goaways[-1][0] \
                else c.get(n)
            if s.status == 200 and s.data == b'ok':
                served += 1
            elif c.goaways and n > c.goaways[-1][0]:
                again += 1
            else:
                wrong.append((n, s.status, s.reset, c.goaways, c.closed))
check(not wrong, '0 of %d failed' % served, wrong[:3])
check(served > 200, 'there were enough', served)
check(renewed >= 8, 'the connections moved to new workers', renewed)
print('# asked again: %d' % again)
