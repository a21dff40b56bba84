"""One run of a simulated board, from one reset to the next: the process that virtual.py starts.

It runs by its path and imports nothing of whit, so that a reset takes some hundredths of a second. Arguments: LIBRARY
ROM BINARY_FD RAW HEAP_BYTES and the arguments of virtual_main.main().
"""

import ctypes
import mmap
import signal
import sys

# Exit statuses: how the board starts again. Any other means that the interpreter broke.
FRIENDLY, RAW, POWER_UP = 64, 65, 166  # the last is virtual_main.py's
INTERRUPT: int = getattr(signal, "SIGUSR2", 0)  # a Ctrl-C; Windows has none
_PR_SET_PDEATHSIG = 1


class _File(ctypes.Structure):
    """mp_obj_vfs_posix_file_t of extmod/vfs_posix.h."""

    _fields_ = (("type", ctypes.c_void_p), ("fd", ctypes.c_int))


def main(library: str, rom: str, binary_fd: str, raw: str, heap_bytes: str, *arguments: str) -> int:
    """Run the interpreter until it resets itself.

    Args:
        library: the shared library of the unix port.
        rom: the file with the contents of the ROMFS partition; mapped, as a board maps its flash.
        binary_fd: where sys.stdout.buffer goes, whose line ends a board leaves alone.
        raw: "1" to start at the raw REPL, else "0".
        heap_bytes: the heap, tables of the GC included.
        arguments: for virtual_main.main(), after the namespace, the address and the size of the ROM.
    """
    libc, micropython = ctypes.CDLL(None), ctypes.CDLL(library)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a loop on the board does not outlive its PC
    with open(rom, "r+b") as file:  # noqa: PTH123 (pathlib takes a third of the start)
        mapped = mmap.mmap(file.fileno(), 0)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    _File.in_dll(micropython, "mp_sys_stdout_buffer_obj").fd = int(binary_fd)
    # The port's own handler of SIGINT leaves whatever runs by a jump, a littlefs in the middle of its work too. This
    # does as a board: the exception waits until the virtual machine looks. System calls return, as sleep() has to.
    libc.signal(INTERRUPT, micropython.mp_sched_keyboard_interrupt)
    signal.siginterrupt(INTERRUPT, True)
    mode = ctypes.c_int.in_dll(micropython, "pyexec_mode_kind")
    mode.value = int(raw)
    arguments = (str(address), str(len(mapped)), raw, *arguments)
    start = f"import virtual_main; virtual_main.main(globals(), *{arguments!r})"
    command = ["micropython", "-X", f"heapsize={heap_bytes}", "-i", "-c", start]
    argv = (ctypes.c_char_p * (len(command) + 1))(*(part.encode() for part in command), None)
    status = micropython.micropython_unix_main(len(command), argv)
    return POWER_UP if status == POWER_UP else RAW if mode.value else FRIENDLY


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
