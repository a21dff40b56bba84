"""The kernels compiled for every architecture, native and viper, as tools/build_kernels makes them."""
