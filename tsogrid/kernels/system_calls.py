"""Functions of the C library for compiled code, which calls them by name; this page loads numba."""

from numba.core import types

# ssize_t pread(int, void *, size_t, off_t), as POSIX has it
pread = types.ExternalFunction("pread", types.intp(types.int32, types.uintp, types.uintp, types.int64))
