"""whit, the half on the PC: turns trained models into .whit files for the runtime in whit.device."""

from .device import VERSION as __version__
from .errors import WhitError
from .from_torch import from_torch
from .inspect import describe
from .pack import Packed, pack

__all__ = ["Packed", "WhitError", "__version__", "describe", "from_torch", "pack"]
