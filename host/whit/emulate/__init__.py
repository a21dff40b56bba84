"""Kernels as they are shipped, on microcontroller cores that QEMU emulates.

`run` executes .whit files there, with the machine code out of the installed .mpy files, and counts instructions. The
program on the core is tools/harness; what it finds in memory is laid out here.
"""

from .cores import CORES, INSTALL, Core
from .frontend import Frame, hear
from .run import Job, Result, run

__all__ = ["CORES", "INSTALL", "Core", "Frame", "Job", "Result", "hear", "run"]
