"""Calls of the command line, for its tests."""

import csv
import io
import json
import os
from unittest import mock

import pytest

from modiff_sim import cli


def run(capsys, *arguments, columns=110):
    """(exit code, stdout, stderr) of a call in a terminal of so many columns; argparse leaves by SystemExit."""
    with mock.patch.dict(os.environ, COLUMNS=str(columns)):
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


def rows_of_csv(text):
    """The rows of CSV, as text."""
    return list(csv.DictReader(io.StringIO(text)))


def runs(found):
    """Recursion -> norm -> column -> its values at all calls, of a simulation with one quantizer and one process."""
    made = {}
    for row in found["rows"]:
        columns = made.setdefault(row["recursion"], {}).setdefault(row["norm"], {})
        for name in ("mean", "max", "error", "bound", "ratio", "trial", "holds"):
            columns.setdefault(name, []).append(row[name])
    for row in found["comparison"]:
        for norm, columns in made[row["recursion"]].items():
            for name, values in columns.items():
                columns[name] = None if all(v is None for v in values) else values
            keys = {"ratio": "worst_ratio", "call": "worst_call", "trial": "worst_trial", "holds": "holds"}
            keys["premise_fails_from"] = "premise_fails_from"
            columns["worst"] = {key: row[f"{column}_{norm}"] for key, column in keys.items()}
    return made
