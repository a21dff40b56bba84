# Runs under MicroPython: bytes of heap that a hundred runs of a model take.

import gc


def allocated(m, x, y):
    m.run(x, y)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(100):
        m.run(x, y)
    after = gc.mem_alloc()
    gc.enable()
    return after - before
