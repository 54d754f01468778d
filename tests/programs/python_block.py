# SPDX-License-Identifier: GPL-2.0
"""A block of multiprocessing.shared_memory, wherever it is."""
from multiprocessing import shared_memory

memory = shared_memory.SharedMemory(create=True, size=100000)
other = shared_memory.SharedMemory(memory.name)
other.buf[5] = 9
assert memory.buf[5] == 9
other.close()
memory.close()
memory.unlink()
