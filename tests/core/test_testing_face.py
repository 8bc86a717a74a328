"""``ms.testing`` is there in a fresh interpreter, and what it needs is imported when it is used."""

import subprocess
import sys

import numpy as np
import pytest

import modiff_sim as ms

LATE = """
import sys

import numpy as np
import pytest

import modiff_sim as ms
import modiff_sim as ms
assert "testing" in dir(ms)
assert "hypothesis" not in sys.modules
from modiff_sim import *
assert "hypothesis" not in sys.modules
assert "check_quantizer" in dir(ms.testing)
sys.modules["hypothesis"] = None  # as where it is not installed
try:
    ms.testing.check_quantizer
except ModuleNotFoundError as error:
    print(error)
del sys.modules["hypothesis"]
print(ms.testing.check_quantizer(ms.AbsMax(4), examples=2))
"""


def unguarded(x):
    scale = abs(x).max(axis=1, keepdims=True) / 7
    with np.errstate(invalid="ignore"):
        return np.round(x / scale) * scale


def test_a_function_that_divides_by_the_size_of_zeros_is_told_so():
    Q = ms.Custom(unguarded, kappa=1 / 14, bits=4)
    for run in (lambda: ms.testing.check_quantizer(Q, examples=2), lambda: Q(np.zeros((2, 3))),
                lambda: list(ms.recursion.run("closed_loop", [np.ones((2, 3))] * 2, Q))):  # fmt: skip
        with pytest.raises(ValueError, match=r"holds NaN or Inf.*are all 0, where 0/0 is NaN; give zeros back"):
            run()
    with pytest.raises(ValueError, match=r"for an input that is finite$"):
        ms.Custom(lambda x: x * np.nan, kappa=1)(np.ones((2, 3)))


def test_the_checks_are_loaded_when_they_are_used():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    needs, checked = done.stdout.splitlines()
    assert needs == "modiff_sim.testing needs hypothesis: pip install 'modiff-sim[testing]'"
    assert "kappa" in checked


def test_a_broken_constant_is_named_with_what_was_found():
    """Rounding to powers of two in the logarithm loses up to √2 - 1 of the input, and not a third."""

    def logarithmic(x):
        size = np.where(x == 0, 1.0, np.abs(x))
        return np.where(x == 0, 0.0, np.sign(x) * 2.0 ** np.round(np.log2(size)))

    with pytest.raises(ms.LawBroken, match=r"is declared.*and the (squared )?error is 0\.\d+·\|\|x\|\|"):
        ms.testing.check_quantizer(ms.Custom(logarithmic, kappa=1 / 3), dtypes=[np.float64])
    assert ms.testing.check_quantizer(ms.Custom(logarithmic, kappa=2**0.5 - 1), dtypes=[np.float64])
    with pytest.raises(AssertionError, match=r"exceeds its kappa bound after difference \d+: error .*, ratio [1-9]"):
        ms.testing.check_bound("closed_loop", ms.Custom(logarithmic, kappa=0.1))
