"""One new thing is one new file: the recipes of docs/extending.md are found everywhere in a copy of this checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
#: path -> text of the files that the page shows
FILES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", PAGE, re.S | re.M))
#: kind -> the name of what its recipe adds
NAMES = {
    "quantizer": "half_sign", "granularity": "pixel", "recursion": "half_loop", "process": "straight", "sampler": "ab2",
    "metric": "extreme_pixels", "claim": "constant_input_converges", "figure": "constant_input",
}  # fmt: skip
COPIED = ("modiff_sim", "analysis", "figures", "paper_checks", "tests", "docs")

LOOK = """
import contextlib, io, json
from pathlib import Path

import pytest


class Named:  # of the property tests, those that are named after what is new
    def pytest_collection_modifyitems(self, items):
        wanted = [(f"tests/{file}::", NAMES[kind]) for kind, files in TESTS.items() for file in files]
        items[:] = [i for i in items if any(i.nodeid.startswith(f) and name in i.name.lower() for f, name in wanted)]


with contextlib.redirect_stdout(io.StringIO()) as tried:  # first: pytest wants to import its plugins itself
    files = sorted({f"tests/{file}" for files in TESTS.values() for file in files})
    pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", "-v", *files], plugins=[Named()])

import figures
import modiff_sim as ms
import paper_checks
from analysis import contents, report, sample
from modiff_sim.metrics import METRICS
from analysis.tables import __main__ as tables
from figures import __main__ as drawing
from modiff_sim import cli
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.sweeps.store import write_atomic
from paper_checks import __main__ as claims


def printed(main, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        main(list(arguments))
    return shown.getvalue()


found = {"registry": {
    "quantizer": list(ms.QUANTIZERS), "granularity": list(ms.GRANULARITIES), "recursion": list(ms.RECURSIONS),
    "process": list(ms.processes.PROCESSES),
    "sampler": list(SAMPLERS), "metric": list(METRICS), "claim": [m.CLAIM.id for m in paper_checks.claims()],
    "figure": figures.names(),
}}
size = ("--steps", "4", "--trials", "2", "--d", "6")
run = json.loads(printed(cli.main, "simulate", "--quantizer", NAMES["quantizer"], "--granularity", NAMES["granularity"],
                         "--process", NAMES["process"], "--option", "speed=2", "--json", *size))
listed = json.loads(printed(cli.main, "quantizers", "--json"))["rows"]
found["command line"] = {
    "quantizer": [row["quantizer"] for row in listed] + [row["quantizer"] for row in run["settings"]],
    "granularity": printed(cli.main, "simulate", "--help").replace(",", " ").split(),
    "process": printed(cli.main, "simulate", "--help").replace(",", " ").split(),
    "recursion": printed(cli.main, "simulate", "--help").replace(",", " ").split(),
    "sampler": printed(sample.main, "--help"),
    "metric": printed(tables.main, "--help"),
    "claim": printed(claims.main, "--list"),
    "figure": printed(drawing.main, "--help"),
}
found["simulated"] = run
rows = ms.atlas.atlas(bits=[3], dims=[8], distributions=["normal"], trials=2, search=False)
found["atlas"] = [row["quantizer"] for row in rows]
found["drawn in the atlas"] = figures.load("atlas").NAMES
for main in (contents.main, lambda a: drawing.main(["--page"]), lambda a: claims.main(["--page"])):
    main([])
found["page"] = {kind: Path("docs/contents.md").read_text("utf-8") for kind in NAMES}
found["page"] |= {kind: Path(f"docs/{kind}s.md").read_text("utf-8") for kind in ("claim", "figure")}
out = Path("out")
judged = paper_checks.run(only=[NAMES["claim"]])
found["verdict"] = str(judged[0].verdict)
write_atomic(out / "results" / "checks.json", json.dumps(claims.as_json(judged, "quick")))
write_atomic(out / "results" / "arms.csv", "")
figures.make([NAMES["figure"]], "quick", out / "figures")
ARM = {"label": "W8A4", "n": 1} | dict.fromkeys(("recognised", "psnr", "relative_l2", "audit_share"), 1.0)
ARM["activation_bits"] = 4.0
found["report"] = report.build(out, "quick", [ARM]).read_text("utf-8")
found["tried"] = tried.getvalue()
Path("found.json").write_text(json.dumps(found), "utf-8")
"""
#: kind -> the property tests that it must come into
TESTS = {
    "quantizer": ("core/test_quantizers.py", "core/test_cli_simulate.py"),
    "granularity": ("core/test_granularity.py", "core/test_quantizers.py"),
    "recursion": ("core/test_recursion.py",),
    "process": ("core/test_processes.py", "core/test_simulate.py"),
    "sampler": ("core/test_samplers.py", "core/test_samplers_orders.py"),
    "metric": ("analysis/test_metrics_judge.py",),
    "claim": ("claims/test_paper_checks.py",),
    "figure": ("pages/test_figures.py",),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What one process finds in a copy of what the recipes need, with their files in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy2(ROOT / name, copy / name)
    for path, text in FILES.items():
        assert not (copy / path).exists(), f"{path} is there already: docs/extending.md needs another name"
        (copy / path).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    code = f"NAMES, TESTS = {NAMES!r}, {TESTS!r}\n{LOOK}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((copy / "found.json").read_text(encoding="utf-8"))


def test_the_page_has_a_recipe_of_every_kind():
    assert len(FILES) == len(NAMES)
    assert [name for name in NAMES.values() if not any(f'"{name}"' in t or name in p for p, t in FILES.items())] == []
    titles = re.findall(r"^## An? (.*)$", PAGE, re.M)
    assert titles == list(NAMES)
    assert max(len(line) for text in FILES.values() for line in text.splitlines()) <= 120


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("place", ["registry", "command line"])
def test_it_is_found_in(found, place, kind):
    assert NAMES[kind] in found[place][kind]


@pytest.mark.parametrize("kind", NAMES)
def test_it_is_on_its_page(found, kind):
    assert f"`{NAMES[kind]}`" in found["page"][kind]


def test_it_is_in_the_report(found):
    assert NAMES["claim"] in found["report"]
    assert "An input that stands still" in found["report"]  # the title of the figure


def test_it_is_run_by_name(found):
    (setting,) = found["simulated"]["settings"]
    assert setting["process_params"]["speed"] == 2
    assert setting["quantizer"] == NAMES["quantizer"]
    assert setting["granularity"] == NAMES["granularity"]
    compared = {row["recursion"]: row["holds_inf"] for row in found["simulated"]["comparison"]}
    assert {name for name, holds in compared.items() if holds is None} == {"half_loop"}  # no bound is known
    assert all(holds for name, holds in compared.items() if name != "half_loop")
    assert found["verdict"] == "HOLDS"


def test_quantizers_are_in_the_atlas(found):
    assert NAMES["quantizer"] in found["atlas"]
    assert NAMES["quantizer"] in found["drawn in the atlas"]


@pytest.mark.parametrize("kind", NAMES)
def test_it_is_in_the_property_tests_and_passes_them(found, kind):
    for file in TESTS[kind]:
        lines = [l for l in found["tried"].splitlines() if l.startswith(f"tests/{file}") and NAMES[kind] in l.lower()]
        assert lines, f"{file} knows no {NAMES[kind]}"
        assert all("PASSED" in line for line in lines), found["tried"]
