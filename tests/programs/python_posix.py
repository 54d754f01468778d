# SPDX-License-Identifier: GPL-2.0
"""Python's multiprocessing.shared_memory, and the calls below it."""
import _posixshmem
import mmap
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from multiprocessing import resource_tracker, shared_memory
from multiprocessing.managers import SharedMemoryManager


def raises(error, call, *args):
    try:
        call(*args)
    except error:
        return
    raise AssertionError(f"{call} raised no {error}")


def fill(name):
    memory = shared_memory.SharedMemory(name)
    assert memory.size >= 100000
    memory.buf[99990:99995] = b"child"
    memory.close()


def double(values):
    for i, value in enumerate(values):
        values[i] = value * 2


def main():
    # A block, a child of the same program, and a program that knows the name only.
    memory = shared_memory.SharedMemory(create=True, size=100000)
    assert memory.size == 100000
    raises(FileExistsError, shared_memory.SharedMemory, memory.name, True, 10)
    child = multiprocessing.get_context("spawn").Process(target=fill, args=(memory.name,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert bytes(memory.buf[99990:99995]) == b"child"
    code = ("import sys; from multiprocessing import shared_memory as s, resource_tracker as r;"
            "m = s.SharedMemory(sys.argv[1]); r.unregister(m._name, 'shared_memory');"
            "m.buf[0:7] = b'another'; m.close()")
    subprocess.run([sys.executable, "-c", code, memory.name], check=True)
    assert bytes(memory.buf[0:7]) == b"another"
    memory.unlink()
    raises(FileNotFoundError, shared_memory.SharedMemory, memory.name)
    assert bytes(memory.buf[0:7]) == b"another"
    memory.close()

    # A list, a manager with a process of its own.
    with SharedMemoryManager() as manager:
        values = manager.ShareableList([1, 2, 3])
        child = multiprocessing.Process(target=double, args=(values,))
        child.start()
        child.join()
        assert list(values) == [2, 4, 6]

    # The calls themselves: size before the first use and later, copies, fork, death.
    name = "/calls"
    fd = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o640)
    st = os.fstat(fd)
    assert st.st_size == 0 and stat.S_ISREG(st.st_mode) and st.st_nlink == 1
    assert not os.get_inheritable(fd)
    os.ftruncate(fd, 5000)
    assert os.fstat(fd).st_size == 5000
    first = mmap.mmap(fd, 5000)
    first[0:5] = b"first"
    copy = os.dup(fd)
    os.close(fd)
    os.ftruncate(copy, 50000)
    second = mmap.mmap(copy, 0)
    assert len(second) == 50000
    second[49999] = 7
    assert second[0:5] == b"first"
    raises(OSError, os.ftruncate, copy, 100)
    os.fchmod(copy, 0o600)
    assert stat.S_IMODE(os.fstat(copy).st_mode) == 0o600
    os.posix_fallocate(copy, 0, 60000)
    assert os.fstat(copy).st_size == 60000
    assert os.fstat(copy).st_blocks * 512 >= 60000
    pid = os.fork()
    if pid == 0:
        again = _posixshmem.shm_open(name, os.O_RDWR, mode=0)
        third = mmap.mmap(again, 60000)
        third[1] = ord("I")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert first[0:5] == b"fIrst"
    reader = _posixshmem.shm_open(name, os.O_RDONLY, mode=0)
    raises(PermissionError, mmap.mmap, reader, 5000)
    assert mmap.mmap(reader, 5000, prot=mmap.PROT_READ)[0:5] == b"fIrst"
    _posixshmem.shm_unlink(name)
    assert os.fstat(copy).st_nlink == 0
    raises(FileNotFoundError, _posixshmem.shm_unlink, name)
    raises(FileNotFoundError, _posixshmem.shm_open, name, os.O_RDWR)


if __name__ == "__main__":
    main()
