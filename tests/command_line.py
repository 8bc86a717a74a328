"""Calls of the command line, for its tests."""

import json

import pytest

from modiff_sim import cli


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a call; argparse leaves by SystemExit."""
    try:
        code = cli.main([str(a) for a in arguments])
    except SystemExit as left:
        code = left.code
    out, err = capsys.readouterr()
    return code, out, err


def parsed(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
