"""``modiff-sim explore``: a page of controls on which quantizer assumptions are explored (extra [explore])."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from ..arguments import count
from ..explore import settings

PAGE = Path(settings.__file__).with_name("page.py")


def serve(command: list[str]) -> int:
    """Run the server until Ctrl-C, and return its exit code."""
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130


def run(chosen: Namespace) -> int:
    """Serve the page on this machine until Ctrl-C.

    Raises ValueError for a port that is none, and where marimo or matplotlib is missing.
    """
    count("--port", chosen.port, 1, most=65535)
    for needed in ("marimo", "matplotlib"):
        if importlib.util.find_spec(needed) is None:
            raise ValueError(f"the page needs {needed}: pip install 'modiff-sim[explore]'")
    command = [sys.executable, "-m", "marimo", "-q", "run", str(PAGE), "--port", str(chosen.port), "--no-token"]
    print(f"http://127.0.0.1:{chosen.port} (Ctrl-C ends it)", flush=True)
    if chosen.no_browser:
        command.append("--headless")
    return serve(command)
