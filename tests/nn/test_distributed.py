"""``analysis.sample``: one process, two ranks of torchrun, a killed rank: the same bytes, and no image made twice."""

import json
import signal
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch import nn

from analysis import sample as command
from analysis.experiments.arms import Arm
from analysis.faults.waiting import WaitingProgram, begun, wait_for
from modiff_sim.nn import modulated, sample, zoo
from modiff_sim.nn.distributed import Ranks, device, own_first, ranks, together
from modiff_sim.nn.models.memory import live_bytes, needs
from modiff_sim.sweeps.rowlog import RowLog
from modiff_sim.sweeps.verification import verify

BATCHES = 6
OPTIONS = (
    "--model digits --images 90 --steps 4 --recursion closed_loop --bits 4 --weight-bits 8 --batch 16 --device cpu"
)
COMMAND = [*OPTIONS.split(), "--out"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
HELD = """
import sys
from analysis import sample
from analysis.faults.driver import begin
compute = sample.compute
def held(point, **more):
    begin(point["micro_batch"])
    return compute(point, **more)
sample.compute = held
sys.exit(sample.main())
"""


def start(out, **environment):
    """Two ranks of torchrun, which finds a free port itself, and keeps it."""
    command = [*TORCHRUN, "--nproc-per-node", 2, "--no-python", sys.executable, "-c", HELD, *COMMAND, out]
    return WaitingProgram(command, out / "said", {"OMP_NUM_THREADS": 1, "COUNT": out / "count"} | environment)


def made(out):
    return len(RowLog(out / "store" / "images.rows.jsonl").entries())


def wanted(out):
    """Images of the stored micro-batches that are among the 90: the last one holds ten of them."""
    places = [
        json.loads(path.read_text(encoding="utf-8"))["params"]["micro_batch"]
        for path in out.glob("store/**/manifest.json")
    ]
    return sum(min(16, 90 - 16 * place) for place in places)


def noted(out):
    path = out / "store" / "images.aside.jsonl"
    return len(path.read_text(encoding="utf-8").splitlines())


def results(out):
    return {p.name: p.read_bytes() for p in out.iterdir() if p.is_file() and p.name not in ("said", "count")}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    assert command.main([*COMMAND, str(out)]) == 0
    return out


def test_one_process_gives_what_sample_gives(one_process, capsys):
    with np.load(one_process / "images.npz") as file:
        images = file["images"]
    model = zoo.load("digits")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with Arm("closed_loop", 4, 8).on(model) as run:
        expected = sample(model, images=[0, 89], steps=4, spacing="quad", batch=16, run=run)
    torch.set_num_threads(before)
    assert images.shape == (90, 1, 8, 8)
    assert images.dtype == np.float32
    assert np.array_equal(images[[0, 89]], expected)
    with np.load(one_process / "levels.npz") as file:
        assert file["images"].dtype == np.uint8
    assert verify(one_process) == (BATCHES + 2, [])
    assert noted(one_process) == BATCHES
    written = results(one_process)
    assert command.main([*COMMAND, str(one_process), "--grid", str(one_process / "store" / "grid.png")]) == 0
    assert "0 of them made now" in capsys.readouterr().out
    assert noted(one_process) == BATCHES
    assert results(one_process) == written
    assert (one_process / "store" / "grid.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_rank_is_killed_and_the_command_repeated(one_process, tmp_path):
    """Each rank has stored one micro-batch and is at its second."""
    with start(tmp_path, HOLD=f"2:{tmp_path / 'never'}") as program:
        wait_for(lambda: made(tmp_path) == 2 and len(begun(tmp_path / "count")) == 4, program)
        program.signal(signal.SIGKILL, to=begun(tmp_path / "count")[-1][1])
        code, _ = program.end()
    assert code != 0
    assert made(tmp_path) == 2
    assert not (tmp_path / "images.npz").exists()
    missing = 90 - wanted(tmp_path)
    with start(tmp_path) as program:
        code, said = program.end()
    assert code == 0, said
    assert f"; {missing} of them made now" in said
    assert results(tmp_path) == results(one_process)
    assert verify(tmp_path) == (BATCHES + 2, [])


def test_only_images_that_were_asked_for_are_counted_as_made(tmp_path, capsys):
    """The second micro-batch of two holds one image that nobody wants."""
    options = ["--model", "digits", "--steps", "2", "--device", "cpu", "--batch", "2", "--out", str(tmp_path)]
    for images, now in ((3, 3), (3, 0), (7, 3)):  # of the seven, the first four are there
        assert command.main([*options, "--images", str(images)]) == 0
        assert f"{images} images, full precision; {now} of them made now" in capsys.readouterr().out


def test_more_images_begin_with_fewer(one_process, tmp_path):
    few = [*COMMAND, str(tmp_path)]
    few[few.index("90")] = "20"
    assert command.main(few) == 0
    with np.load(tmp_path / "images.npz") as file, np.load(one_process / "images.npz") as more:
        assert np.array_equal(file["images"], more["images"][:20])


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--batch", "0"], "must be at least 1"),
        (["--images", "0"], "must be at least 1"),
        (["--memory-budget", "100"], "exclude each other"),
        (["--warmup", "sometimes"], "warmup"),
        (["--bits", "1"], "bits"),
        (["--model", "digit"], "did you mean"),
        (["--workers", "0"], "workers must be at least 1"),
        (["--scheduler", "x://y"], "no Dask scheduler answers"),
    ],
)
def test_bad_options_are_one_line(tmp_path, capsys, more, match):
    with pytest.raises(SystemExit) as left:
        command.main([*COMMAND, str(tmp_path), *more])
    assert left.value.code == 2
    assert match in capsys.readouterr().err


# -- ranks ----------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_rank_has_all_items_its_own_first(world):
    items = list(range(11))
    shares = [own_first(items, Ranks(r, world)) for r in range(world)]
    assert all(sorted(share) == items for share in shares)
    assert sorted(i for r, share in enumerate(shares) for i in share[: len(items[r::world])]) == items


def test_ranks_come_from_the_environment(monkeypatch, tmp_path):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert ranks() == Ranks(0, 1, 0)
    with together(tmp_path / "none", None) as who:
        assert who.first
    assert not (tmp_path / "none").exists()
    for rank, world in (("1", "2"), ("2", "2"), ("x", "2")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(ValueError, match="set all three, as torchrun does, or none"):
            ranks()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert ranks() == Ranks(1, 2, 1)
    with pytest.raises(SystemExit):
        command.main([*COMMAND, str(tmp_path), "--workers", "2"])


MEET = """
import json
import os
import sys
from modiff_sim.sweeps import environment, store
from modiff_sim.nn.distributed import together
versions, source = environment.versions, environment._source
for port, folder, work in json.loads(sys.argv[1]):
    os.environ["MASTER_PORT"] = str(port)
    if work == "v":  # as if installed otherwise
        environment.versions = lambda: store.versions() | {"numpy": "0.1"}
    if work == "s":
        environment._source = lambda package: "other"
    try:
        with together(folder, work):
            print("together", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    environment.versions, environment._source = versions, source
"""

MEETINGS = [  # folders and work of two ranks, and what both say
    ("aa", "xx", "together"),
    ("ab", "xx", "ranks [1] do not see the folder"),
    ("aa", "xy", "ranks [1] have other work than rank 0"),
    ("aa", "xv", f"rank 1 has numpy 0.1 (rank 0: {np.__version__}): install the same everywhere"),
    ("aa", "xs", "rank 1 has other source of modiff_sim: install the same everywhere"),
]


def test_ranks_that_do_not_fit_together_say_so(tmp_path):
    """They meet at ports that this process keeps, as they meet at torchrun's; the same two at one after the other."""
    stores = [torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False) for _ in MEETINGS]
    shared = {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": True, "WORLD_SIZE": 2}
    with ExitStack() as stack:
        programs = []
        for rank in range(2):
            where = [
                (store.port, str(tmp_path / folders[rank]), work[rank])
                for store, (folders, work, _) in zip(stores, MEETINGS, strict=True)
            ]
            command = [sys.executable, "-c", MEET, json.dumps(where)]
            about = shared | {"RANK": rank, "LOCAL_RANK": rank}
            programs.append(stack.enter_context(WaitingProgram(command, tmp_path / f"said-{rank}", about)))
        for program in programs:
            code, said = program.end()
            assert code == 0, said
            lines = said.splitlines()
            assert len(lines) == len(MEETINGS), said
            assert all(expected in line for line, (*_, expected) in zip(lines, MEETINGS, strict=True)), said
    assert list(tmp_path.rglob(".ranks-*")) == []


def test_devices():
    assert device("cpu", Ranks()) == torch.device("cpu")
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        device("tpu", Ranks())
    with pytest.raises(ValueError, match=r"rank 70 is number 70 on this machine, which has \d GPUs"):
        device("cuda", Ranks(70, 71, 70))


# -- memory ----------------------------------------


def test_live_bytes_are_those_of_the_tensors_that_are_alive():
    net = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(), nn.Linear(1000, 5))
    assert live_bytes(net, torch.empty(2, 10)) == 2 * (2 * 1000 * 4)  # of the ReLU: its input and output
    wide = nn.Sequential(nn.Linear(10, 10), nn.Flatten(), nn.ReLU(inplace=True))
    assert live_bytes(wide, torch.empty(2, 10)) == 2 * 10 * 4  # views and in-place operations need nothing
    model = zoo.load("digits")
    one = live_bytes(model, torch.empty(1, 1, 8, 8), 5)
    assert live_bytes(model, torch.empty(8, 1, 8, 8), 5) == 8 * one


def test_the_batch_is_the_largest_power_of_two_that_fits():
    found = command.memory("digits", Arm("closed_loop", 4, 8))
    for budget in (found.total(1), found.total(16), found.total(17), found.total(32) - 1):
        batch = found.largest_batch(budget)
        assert found.total(batch) <= budget < found.total(2 * batch)
        assert batch & (batch - 1) == 0
    assert found.largest_batch(2**50) == 1024
    with pytest.raises(ValueError, match=r"one image needs .* MiB, the budget is 0.5 MiB: raise it"):
        found.largest_batch(2**19)


def test_the_prediction_holds_what_a_run_holds():
    """States and buffers, measured, are within the prediction; without states it is smaller by them."""
    model = zoo.load("digits")
    x = torch.randn(4, 1, 8, 8)
    inputs = (torch.empty(1, 1, 8, 8), 5)
    full = needs(model, *inputs, weights=False, states=False)
    direct = needs(model, *inputs, weights=True, states=False)
    closed = needs(model, *inputs, weights=True, states=True)
    assert full.per_image < direct.per_image < closed.per_image
    assert direct.fixed == closed.fixed == 2 * full.fixed
    with modulated(model, **Arm("closed_loop", 4, 8).options(model)) as run, torch.inference_mode():
        for call in range(3):
            model(x, 900 - call)
        held = 2 * run.state_bytes() + run.buffer_bytes()
    assert held <= 4 * (closed.per_image - full.per_image) <= 1.25 * held
