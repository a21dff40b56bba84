"""whit, the half on the PC: turns trained models into .whit files for the runtime in whit.device."""

from .device import VERSION as __version__
from .errors import WhitError
from .features import Features, features
from .from_torch import from_torch
from .inspect import describe
from .pack import Packed, pack

__all__ = ["Features", "Packed", "WhitError", "__version__", "describe", "features", "from_torch", "pack"]
