"""Machine code of the native kernels, one .mpy per architecture, as tools/build_kernels makes them."""
