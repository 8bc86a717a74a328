"""``ms.testing`` is there in a fresh interpreter, and what it needs is imported when it is used."""

import subprocess
import sys

LATE = """
import sys
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


def test_the_checks_are_loaded_when_they_are_used():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    needs, checked = done.stdout.splitlines()
    assert needs == "modiff_sim.testing needs hypothesis: pip install 'modiff-sim[testing]'"
    assert "kappa" in checked
