"""Compiled functions that are only parts of kernels."""

import pytest

from tsogrid.kernels.compile import kernel, part


@part
def _double(value):
    return 2.0 * value


@kernel
def _quadruple(value):
    return _double(_double(value))


def test_a_part_works_inside_a_kernel_and_is_refused_outside():
    assert _quadruple(1.5) == 6.0
    with pytest.raises(TypeError, match="_double is a part"):
        _double(1.5)
