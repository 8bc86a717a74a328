"""Broken variants of what the theory claims check: (claim id, overrides of ``check``, verdict they must cause).

Every module of this folder has a list ``CONTROLS``; ``test_paper_checks`` runs them all and demands one per claim.
"""

import importlib
import pkgutil

CONTROLS = [
    control
    for info in pkgutil.iter_modules(__path__)
    for control in importlib.import_module(f"{__name__}.{info.name}").CONTROLS
]
