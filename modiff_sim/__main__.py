"""``python -m modiff_sim``: the command line, as the script ``modiff-sim`` runs it."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
