# SPDX-License-Identifier: GPL-2.0
"""Python with the module sysv_ipc (Debian: python3-sysv-ipc)."""
import os
import signal
import sysv_ipc as s

KEY = 4711


def raises(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{call} raised no {error}")


memory = s.SharedMemory(KEY, s.IPC_CREX, mode=0o600, size=10000)
raises(s.ExistentialError, s.SharedMemory, KEY, s.IPC_CREX, size=10000)
raises(s.ExistentialError, s.SharedMemory, KEY + 1)
assert memory.size == 10000 and memory.key == KEY
assert memory.attached and memory.number_attached == 1
assert memory.creator_pid == os.getpid() and memory.last_pid == os.getpid()
assert memory.uid == os.geteuid() and memory.mode == 0o600
memory.write(b"written by the parent", 5000)

child = os.fork()
if child == 0:
    assert memory.read(21, 5000) == b"written by the parent"
    other = s.SharedMemory(KEY)
    assert other.id == memory.id and other.number_attached == 3
    other.write(b"written by the child", 0)
    os.kill(os.getpid(), signal.SIGKILL)
assert os.waitpid(child, 0)[1] == signal.SIGKILL
assert memory.number_attached == 1 and memory.last_pid == child
assert memory.read(20) == b"written by the child"

memory.mode = 0o640
again = s.SharedMemory(KEY, flags=s.IPC_CREAT)
assert again.mode == 0o640
assert again.number_attached == 2
again.detach()
raises(s.NotAttachedError, again.detach)
again.attach(flags=s.SHM_RDONLY)
assert again.read(7) == b"written"
raises(OSError, again.write, b"x")
again.detach()

memory.remove()
assert memory.read(7) == b"written", "it lives on for who has it attached"
raises(s.ExistentialError, s.SharedMemory, KEY)
memory.detach()
raises(s.ExistentialError, s.remove_shared_memory, memory.id)

random = s.SharedMemory(None, s.IPC_CREX, size=4096)
s.remove_shared_memory(random.id)
random.detach()
raises(ValueError, s.attach, random.id)
