# What virtual_process.py runs under MicroPython at every reset, before the REPL: the flash and the ROM of the board are
# mounted, then boot.py and main.py run. The REPL's namespace, and whatever the user can see, holds nothing of it.
import gc
import io
import os
import sys

import machine
import micropython
import uctypes
import vfs

micropython.kbd_intr(-1)


class Flash:
    def __init__(self, path, block_size, block_count):
        self.file = open(path, "r+b")
        self.block_size = block_size
        self.block_count = block_count
        self.erased = b"\xff" * block_size

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * self.block_size + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            for i in range(len(buffer) // self.block_size):
                self.ioctl(6, block + i)
            offset = 0
        self.file.seek(block * self.block_size + offset)
        self.file.write(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.block_count
        if operation == 5:
            return self.block_size
        if operation == 6:
            self.file.seek(argument * self.block_size)
            self.file.write(self.erased)
        return 0  # 3, sync: nothing is held back

    def blank(self):
        self.file.seek(0)
        return self.file.read(self.block_size) == self.erased == self.file.read(self.block_size)


# In the place of a built-in module, whose attributes cannot be set.
class Module:
    def __init__(self, module, changed):
        for name in dir(module):
            if not name.startswith("__"):
                setattr(self, name, getattr(module, name))
        for name in changed:
            setattr(self, name, changed[name])
        sys.modules[module.__name__] = self


def mount(path, block_size, block_count, prog_size):
    flash = Flash(path, block_size, block_count)
    try:
        fs = vfs.VfsLfs2(flash, progsize=prog_size)
    except OSError:
        if not flash.blank():
            raise OSError("its flash image holds no file system that it can mount; give another, or delete that one")
        vfs.VfsLfs2.mkfs(flash, progsize=prog_size)
        fs = vfs.VfsLfs2(flash, progsize=prog_size)
    vfs.umount("/")
    vfs.mount(fs, "/")
    return flash


def mount_rom(rom):
    def rom_ioctl(operation, partition=0, *arguments):
        if operation == 1:
            return 1  # partition
        if partition == 0:
            if operation == 2:
                return memoryview(rom)
            if operation == 3:
                return 4  # bytes that a write takes at least
            if operation == 4:
                at, data = arguments
                rom[at : at + len(data)] = data
                return 0
            if operation == 5:
                return 0
            if operation == 6:
                return 4096
        return -22  # EINVAL

    if bytes(rom[:3]) == b"\xd2\xcd\x31":
        vfs.mount(vfs.VfsRom(rom), "/rom")
    Module(vfs, {"rom_ioctl": rom_ioctl})


def reset():
    sys.exit(166)  # virtual_process.POWER_UP


class Implementation:
    def __init__(self, implementation, mpy):
        for name in dir(implementation):
            if not name.startswith("__"):
                setattr(self, name, getattr(implementation, name))
        self._mpy = mpy


# A file of the board, as its start runs it: in the namespace of the REPL, its traceback without our lines.
def run(name, namespace):
    try:
        file = open(name)
    except OSError:
        return
    try:
        with file:
            code = compile(file.read(), name, "exec")
        namespace["__file__"] = name
        micropython.kbd_intr(3)
        exec(code, namespace)
        micropython.kbd_intr(-1)
    except SystemExit as e:
        micropython.kbd_intr(-1)
        os.system("kill -%s $PPID" % ("TERM" if e.args == (166,) else "HUP"))
    except BaseException as e:
        micropython.kbd_intr(-1)
        text = io.StringIO()
        sys.print_exception(e, text)
        print("\n".join([line for line in text.getvalue().split("\n") if "virtual_main.py" not in line]), end="")


# Leave `free` bytes of heap, in one block but for crumbs: the gaps that compiling this file left are filled, then all
# else. Returns what has to stay for it.
def ballast(free):
    gc.collect()
    kept = [None] * 256  # of full length now: a list that grows would lie in the way of what comes
    kept[0] = bytearray(32768)  # no gap is as large, so it lies above them all
    above = uctypes.addressof(kept[0])
    size = 8192
    i = 1
    while size >= 64 and i < len(kept) - 1:
        kept[i] = bytearray(size)
        if uctypes.addressof(kept[i]) < above:
            i += 1
        else:
            kept[i] = None
            size //= 2
    gc.collect()
    kept[-1] = bytearray(gc.mem_free() - free)
    return kept


def main(namespace, rom_address, rom_bytes, raw, path, block_size, block_count, prog_size, free_bytes, mpy):
    try:
        flash = mount(path, int(block_size), int(block_count), int(prog_size))
    except OSError as e:
        print(e)
        os.system("kill -KILL $PPID")  # as with a REPL to come, the interpreter does not leave by itself
    mount_rom(uctypes.bytearray_at(int(rom_address), int(rom_bytes)))
    Module(machine, {"reset": reset})
    if mpy:
        Module(sys, {"implementation": Implementation(sys.implementation, int(mpy))})
    sys.argv[:] = []
    sys.path[:] = ["", ".frozen", "/lib", "/rom", "/rom/lib"]
    del sys.modules["virtual_main"]
    namespace.clear()
    namespace["__name__"] = "__main__"
    flash.ballast = ballast(int(free_bytes))
    print("\0", end="")  # alone in a write: what is typed may come
    run("boot.py", namespace)
    if raw == "0":
        run("main.py", namespace)
    gc.collect()
