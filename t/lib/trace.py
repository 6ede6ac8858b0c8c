# trace.py -- traces a process, as a debugger does: trace.py PID FILE.
#
# Prints "traced" when the process has been stopped, or why it cannot be, and
# lets go of it when FILE is there.

import ctypes
import os
import sys
import time

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid):
    if libc.ptrace(request, pid, None, None) != 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        sys.exit(1)


pid = int(sys.argv[1])
ptrace(PTRACE_SEIZE, pid)
ptrace(PTRACE_INTERRUPT, pid)
os.waitpid(pid, WALL)
print("traced", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
ptrace(PTRACE_DETACH, pid)
