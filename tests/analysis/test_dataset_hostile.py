"""Files made to harm their reader: nothing is run, no foreign memory is read, and the file bounds what is made."""

import bz2
import gzip
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy._core import multiarray
from PIL import Image

from analysis.datasets import load, pickles, raw, read
from analysis.datasets.picture import picture

ROWS = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
LABELS = [3, 7]


class Call:
    """Pickled as a call of a function with arguments and, at will, a state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def batches(root, content, first=None):
    for k in range(1, 6):
        (root / f"data_batch_{k}").write_bytes(content if first is None or k > 1 else first)
    return root


def dtype(word="u1", state=(3, "|", None, None, None, -1, -1, 0)):
    return Call(np.dtype, (word, False, True), state)


def array(shape, kind, content, begin=(0,), version=1, cls=np.ndarray):
    return Call(multiarray._reconstruct, (cls, begin, b"b"), (version, shape, kind, False, content))


# pickles -------------------------------------------------------------------------------------------------------


def by_python_2(rows, labels):
    """A batch of the original archive, opcode by opcode: protocol 2, byte strings, NumPy's old names."""
    text = lambda s: b"U" + bytes([len(s)]) + s  # noqa: E731
    names = b"](" + b"".join(text(b"img_%d.png" % i) for i in range(len(labels))) + b"e"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    content = np.ascontiguousarray(rows).tobytes()
    made = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87R(K\x01M"
        + struct.pack("<H", len(rows))
        + b"M\x00\x0c\x86q\x09cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )
    entries = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + numbers
    return b"\x80\x02}q\x01(" + entries + text(b"data") + made + text(b"filenames") + names + b"u."


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("labels", [LABELS, tuple(LABELS), np.array(LABELS), [np.int64(n) for n in LABELS], [3.0, 7.0]])
@pytest.mark.parametrize("order", ["C", "F"])
def test_whatever_numpy_writes_is_read(tmp_path, protocol, labels, order):
    content = pickle.dumps({b"data": np.array(ROWS, order=order), b"labels": labels, b"label_names": [b"x"]}, protocol)
    images, found = read(batches(tmp_path, content))
    assert np.array_equal(images[:2], ROWS.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))
    assert found.tolist() == 5 * LABELS


def test_what_python_2_has_written_is_read(tmp_path):
    content = by_python_2(ROWS, LABELS)
    assert np.array_equal(pickle.loads(content, encoding="bytes")[b"data"], ROWS)
    images, found = read(batches(tmp_path, content))
    assert np.array_equal(images[:2], ROWS.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))
    assert found.tolist() == 5 * LABELS
    assert pickles.loads(content)[b"filenames"] == [b"img_0.png", b"img_1.png"]


class Lying(np.ndarray):
    pass


HUGE = struct.pack("<Q", 2**45)
DEEP = b"".join(b"q%cq%c" % (k, k) + b"h%ch%c\x86" % (k, k) for k in range(60))
ADDRESSES = b"\x41" * 8 * 3072
FORGED = {
    "objects whose flags deny it": array((3072,), dtype("O", (3, "|", None, None, None, -1, -1, 0)), ADDRESSES),
    "numbers whose flags are objects'": array(
        (3072,), dtype("u1", (3, "|", None, None, None, -1, -1, 63)), b"A" * 3072
    ),
    "fields past the end": array(
        (3072,), dtype("V8", (3, "|", None, ("a",), {"a": (np.dtype("u1"), 4096)}, 8, 1, 0)), b"A" * 8 * 3072
    ),
    "fields": array((2,), dtype("u1", (3, "|", None, ("a",), {"a": (np.dtype("u1"), 0)}, 1, 1, 0)), b"AA"),
    "a size of its own": array((1, 3072), dtype("u1", (3, "|", None, None, None, 1, 4096, 0)), b"A" * 3072),
    "metadata": array((1, 3072), dtype("u1", (4, "|", None, None, None, -1, -1, 0, {"a": 1})), b"A" * 3072),
    "a subarray": array((1,), dtype("V3072", (3, "|", (np.dtype("u1"), (3072,)), None, None, 3072, 1, 0)), b"A" * 3072),
    "dates": array((1, 3072), dtype("M8", (4, "<", None, None, None, -1, -1, 0, ({}, ("s", 1, 1, 1)))), b"A" * 24576),
    "an order that is none": array((1, 3072), dtype("u1", (3, "O", None, None, None, -1, -1, 0)), b"A" * 3072),
    "too few bytes": array((2, 3072), dtype(), b"A" * 3072),
    "too many bytes": array((1, 3072), dtype(), b"A" * 6144),
    "a negative shape": array((-1, 3072), dtype(), b"A" * 3072),
    "a shape of floats": array((1.0, 3072), dtype(), b"A" * 3072),
    "a shape of 2**80": array((2**80, 3072), dtype(), b"A" * 3072),
    "begun with a shape": array((1, 3072), dtype(), b"A" * 3072, begin=(2**40,)),
    "another version": array((1, 3072), dtype(), b"A" * 3072, version=0),
    "a subclass": array((1, 3072), dtype(), b"A" * 3072, cls=Lying),
    "a list instead of bytes": array((1, 3072), dtype(), [1] * 3072),
    "a scalar of too few bytes": [Call(multiarray.scalar, (np.dtype("i8"), b"A"))],
    "a scalar that is an object": [Call(multiarray.scalar, (np.dtype("O"), b"A" * 8))],
    "a function of ours": Call(pickles.loads, (b"N.",)),
    "a stand-in of ours": Call(pickles._Array, ()),
    "builtins": Call(bytearray, (2**40,)),
    "many zeros by bytes": Call(bytes, (2**40,)),
}
OPCODES = {
    "a persistent id": b"\x80\x02}U\x04dataPx\ns.", "a persistent id from the stack": b"\x80\x02}U\x04dataK\x01Qs.",
    "an extension": b"\x80\x02}U\x04data\x82\x01s.", "an instance": b"(U\x04dataicollections\nOrderedDict\n.",
    "a new object": b"\x80\x02cnumpy\nndarray\nK\x08\x85\x81.", "a buffer from outside": b"\x80\x05\x97.",
    "a large bytearray": b"\x80\x05\x96" + HUGE + b"x.", "large bytes": b"\x80\x04\x8e" + HUGE + b"x.",
    "large text": b"\x80\x04\x8d" + HUGE + b"x.", "a large frame": b"\x80\x04\x95" + HUGE + b"}.",
    "a large number": b"\x80\x02\x8b\xff\xff\xff\x7fx.", "a far place in the memo": b"\x80\x02}r\xff\xff\xff\xff.",
    "a deep list": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".", "a mark that is missing": b"\x80\x02}u.",
    "nothing on the stack": b"\x80\x02s.", "two values": b"\x80\x02}}.", "no end": b"\x80\x02}", "a number": b"K\x01.",
    "a key of nested tuples": b"\x80\x02}U\x01aq\x00" + DEEP + b"K\x01s.", "many opcodes": b"]" + b"N0" * 2**20 + b".",
    "a set state": b"\x80\x02}}b.", "nameless": b"\x80\x04K\x01K\x02\x93.",
}  # fmt: skip
CASES = [
    *((name, pickle.dumps({b"data": value, b"labels": [1]}, 2)) for name, value in FORGED.items()),
    *((f"{name} as labels", pickle.dumps({b"data": ROWS[:1], b"labels": value}, 4)) for name, value in FORGED.items()),
    *OPCODES.items(),
    *((f"{name} as labels", pickle.dumps({b"data": ROWS[:1], b"labels": value}, 2)) for name, value in {
        "a list of lists": [[1]], "numbers beyond 64 bits": [2**70], "long names": [b"x" * 2**20, b""], "nothing": None,
    }.items()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), CASES, ids=[name for name, _ in CASES])
def test_a_forged_batch_is_refused_by_name(tmp_path, name, content):
    if content[-1:] == b".":  # opcodes that a reader may stop at
        pickles_or_not(content)
    with pytest.raises(ValueError, match=r"data_batch_1") as told:
        read(batches(tmp_path, content))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


def pickles_or_not(content):
    """What is no error is plain data."""
    try:
        found = pickles.loads(content)
    except Exception:
        return
    assert type(found) in (dict, list, int)


def test_labels_that_hold_themselves_are_not_unfolded(tmp_path):
    labels = [1]
    for _ in range(40):
        labels = [labels, labels]
    with pytest.raises(ValueError, match="labels must be one list of whole numbers"):
        read(batches(tmp_path, pickle.dumps({b"data": ROWS, b"labels": labels}, 2)))


MUTATED = """
import json, resource, sys
from pathlib import Path
import numpy as np
from analysis.datasets import read
from analysis.running.workspace import largest_resident
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
root = Path(sys.argv[1])
originals = [path.read_bytes() for path in sorted(root.glob("original-*"))]
whole = read(root / "whole")
rng = np.random.default_rng(20)
counts = {"same": 0, "others": 0, "refused": 0}
for k in range(int(sys.argv[2])):
    content = bytearray(originals[k % len(originals)])
    for _ in range(rng.integers(1, 4)):
        i, how = int(rng.integers(len(content))), rng.integers(5)
        if rng.random() < 0.7:  # in the head or the tail, where the opcodes are
            i = int(rng.choice([rng.integers(400), len(content) - 1 - rng.integers(200)]))
        if how == 0:
            content[i] = rng.integers(256)
        elif how == 1:
            content[i] ^= 1 << int(rng.integers(8))
        elif how == 2:
            del content[i : i + int(rng.integers(1, 9))]
        elif how == 3:
            content[i:i] = content[int(rng.integers(len(content))) :][: int(rng.integers(1, 40))]
        else:
            content[i : i + 8] = int(rng.choice([2**31 - 1, 2**45, 2**63])).to_bytes(8, "little")
    (root / "whole" / "data_batch_1").write_bytes(content)
    try:
        images, labels = read(root / "whole")
    except ValueError as error:
        assert "data_batch_" in str(error) and "\\n" not in str(error), error
        counts["refused"] += 1
    else:
        assert images.shape == whole[0].shape and images.dtype == np.uint8 and labels.dtype == np.int64
        same = np.array_equal(images, whole[0]) and np.array_equal(labels, whole[1])
        counts["same" if same else "others"] += 1
print(json.dumps(counts | {"peak": largest_resident()}))
"""


def test_mutated_batches_never_crash_and_give_arrays_or_a_value_error(tmp_path):
    kept = {b"data": ROWS, b"labels": LABELS, b"batch_label": b"x"}
    originals = [by_python_2(ROWS, LABELS), *(pickle.dumps(kept, protocol) for protocol in (2, 4, 5))]
    for k, content in enumerate(originals):
        (tmp_path / f"original-{k}").write_bytes(content)
    (tmp_path / "whole").mkdir()
    batches(tmp_path / "whole", originals[0])
    done = subprocess.run(
        [sys.executable, "-c", MUTATED, str(tmp_path), "800"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["refused"] > 200  # and bytes of pixels may have changed, which nobody can tell
    assert counts["same"] + counts["others"] > 100
    assert counts["peak"] < 500 * 2**20


def test_a_batch_of_another_size_is_not_read(tmp_path):
    with open(batches(tmp_path, b"") / "data_batch_1", "wb") as file:
        file.truncate(2**40)  # takes no place on the disk
    with pytest.raises(ValueError, match="data_batch_1 has 1099511627776 bytes"):
        read(tmp_path)


# archives ------------------------------------------------------------------------------------------------------


def head(shape, kind="|u1", order=False):
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"shape": shape, "fortran_order": order, "descr": kind})
    return made.getvalue()


def zipped(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                for piece in content:
                    stream.write(piece)
    return path


MANY = bytes(2**20)


def zeros(size):
    """Pieces, all of which are one."""
    return [MANY] * (size // 2**20) + [bytes(size % 2**20)]


ONE = [head((1,), "<i8"), bytes(8)]


@pytest.fixture
def little_memory():
    """Whatever is inflated must fit in 96 MiB more than there is now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 96 * 2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_zip_bomb_is_refused_by_its_head(tmp_path, little_memory, monkeypatch):
    """160 MB of zeros in 0.2 MB."""
    monkeypatch.setattr("analysis.datasets.archives.LARGEST", 10**8)
    shape = (52_000, 32, 32, 3)
    path = zipped(tmp_path / "a.npz", {"images": [head(shape), *zeros(int(np.prod(shape)))], "labels": ONE})
    assert path.stat().st_size < 3e5
    for reader in (read, lambda where: load("cifar10", where)):
        with pytest.raises(ValueError, match=r"a\.npz: images \(52000, 32, 32, 3\) has 159744000 bytes"):
            reader(path)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"images": [head((10, 32, 32, 3)), *zeros(2**27)], "labels": ONE}, "its header says uint8 .* which are 30720"),
        ({"images": [head((200_000, 32, 32, 3)), b"x"], "labels": ONE}, "its header says .*the archive has 1 of them"),
        ({"images": [head((50_000, 32, 32, 3)), *zeros(153_600_000)], "labels": ONE}, "50000 images and 1 labels"),
        ({"images": [head((1, 10_000, 15_000)), *zeros(150_000_000)], "labels": ONE}, "images of 10000×15000 "),
        ({"images": [head((150_000_000,)), *zeros(150_000_000)], "labels": ONE}, "must be uint8 .*150000000,"),
        ({"images": [head((1, 32, 32, 3)), bytes(3072)], "labels": [head((2**31,)), b""]}, "its header says uint8"),
        ({"images": [b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31), *zeros(2**27)], "labels": ONE}, "save plain"),
        ({"images": [b"\x93NUMPY\x01\0\x10\x27" + b"(" * 10_000], "labels": ONE}, "save plain arrays"),
        ({"images": [head((0, 1), "|V0")], "labels": ONE}, "save plain arrays"),
        ({"images": [head((1,), [("a", "|u1")]), b"x"], "labels": ONE}, "save plain arrays"),
        ({"jpeg": [head((9,)), bytes(9)], "offsets": [head((150_000_000,)), *zeros(150_000_000)], "labels": ONE},
         "offsets must be whole numbers"),
        ({"jpeg": [head((9,)), bytes(9)], "offsets": [head((2,)), b"\0\x09"], "labels": [head((2,)), b"\0\0"]},
         "1 images and 2 labels"),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_refused_before_the_pixels(tmp_path, members, said, little_memory):
    path = zipped(tmp_path / "a.npz", members)
    with pytest.raises(ValueError, match=rf"a\.npz.*{said}"):
        load("cifar10", path)


def test_more_than_the_directory_of_the_archive_says_is_not_inflated(tmp_path, little_memory):
    """The member deflates to 150 MB, and the archive says that it has as many bytes as its head."""
    honest = zipped(tmp_path / "b.npz", {"images": [head((1, 32, 32, 3)), *zeros(150_000_000)]}).read_bytes()
    size, told = len(head((1, 32, 32, 3))) + 150_000_000, len(head((1, 32, 32, 3))) + 3072
    lying = honest.replace(struct.pack("<Q", size), struct.pack("<Q", told))
    lying = lying.replace(struct.pack("<I", size), struct.pack("<I", told))
    assert lying != honest
    (tmp_path / "a.npz").write_bytes(lying)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        file.writestr("labels.npy", b"".join(ONE))
    with pytest.raises(ValueError, match=r"a\.npz: images cannot be read.*CRC"):
        load("cifar10", tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packers_that_inflate_without_a_limit_are_refused(tmp_path, kind):
    path = zipped(tmp_path / "a.npz", {"images": [head((1, 32, 32, 3)), bytes(3072)], "labels": ONE}, kind)
    with pytest.raises(ValueError, match="packed in an unusual way: save it by"):
        load("cifar10", path)


@pytest.mark.parametrize("name", ["images", "labels", "images.npy", "jpeg", "offsets"])
def test_an_array_that_is_there_twice_is_refused(tmp_path, name):
    """Whether it has the same name in the archive or not: each of them could be the one that is meant."""
    one, plain = [head((1, 32, 32, 3)), bytes(3072)], name.removesuffix(".npy")
    path = zipped(tmp_path / "a.npz", {"images": one, "labels": ONE, "jpeg": one, "offsets": one})
    load("cifar10", path)
    with zipfile.ZipFile(path, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name
        file.writestr(plain if plain != name else f"{name}.npy", b"".join(one if plain != "labels" else ONE))
    with pytest.raises(ValueError, match=rf"a\.npz holds {plain} 2 times: save the one that is meant"):
        load("cifar10", path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", {"images": [head((1, 32, 32, 3)), bytes(3072)], "labels": ONE})
    content = path.read_bytes().replace(b"PK\x01\x02\x2d\x03\x2d\0\0\0", b"PK\x01\x02\x2d\x03\x2d\0\x01\0")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read .*encrypted"):
        load("cifar10", path)


def test_an_array_whose_head_lies_is_not_made(tmp_path, little_memory):
    (tmp_path / "a.npy").write_bytes(head((2**40,)))
    with pytest.raises(ValueError, match=r"a\.npy is a single array of shape \(1099511627776,\)"):
        load("cifar10", tmp_path / "a.npy")


def test_mutated_archives_give_images_or_a_value_error(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", images=ROWS.reshape(2, 32, 32, 3), labels=LABELS)
    original, rng = (tmp_path / "a.npz").read_bytes(), np.random.default_rng(1)
    for _ in range(300):
        content = bytearray(original)
        i = int(rng.choice([rng.integers(200), len(content) - 1 - rng.integers(250)]))
        content[i] = rng.integers(256)
        (tmp_path / "a.npz").write_bytes(content)
        try:
            images, _ = read(tmp_path / "a.npz")
        except ValueError as error:
            assert "a.npz" in str(error)  # noqa: PT017 - most do not raise
        else:
            assert np.array_equal(images, ROWS.reshape(2, 32, 32, 3))


# gzipped idx files ---------------------------------------------------------------------------------------------


def gzipped(head, size):
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(head) + b"".join(map(packer.compress, zeros(size))) + packer.flush()


def idx_head(*shape):
    return b"\0\0\x08" + bytes([len(shape)]) + np.array(shape, ">u4").tobytes()


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        ((idx_head(10, 28, 28), 150_000_000), (idx_head(10), 10), "longer than its header says: 7841 or more bytes"),
        ((idx_head(10, 28, 28), 7840), (idx_head(10), 150_000_000), "longer than its header says: 11 or more bytes"),
        ((idx_head(200_000, 28, 28), 150_000_000), (idx_head(10), 10), "200000 images and 10 labels"),
        ((idx_head(1, 12_000, 12_000), 150_000_000), (idx_head(1), 1), "images of 12000×12000"),
        ((idx_head(2**32 - 1, 2**32 - 1, 28), 0), (idx_head(10), 10), "4294967295 images and 10 labels"),
    ],
)
def test_a_gzip_bomb_is_not_inflated(tmp_path, images, labels, said, little_memory):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzipped(*images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzipped(*labels))
    with pytest.raises(ValueError, match=said):
        load("fashion32", tmp_path)


def test_there_is_a_most_without_a_data_set_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.datasets.LARGEST", 7839)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_head(10, 28, 28) + bytes(7840)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_head(10) + bytes(10)))
    with pytest.raises(ValueError, match=f"{tmp_path}: 10 images of 28×28 .* 7840 bytes of grey levels, and 7839 is"):
        read(tmp_path)
    assert raw.LARGEST == 2**30


# pictures ------------------------------------------------------------------------------------------------------


def bomb(side):
    """A PNG that says it is of side×side black pixels, in few bytes; beyond 9000 rows it has only some of them."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side if side <= 9000 else 500)) + packer.flush()
    kind = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", kind) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("side", "said"), [(9000, "has 9000×9000 pixels, more than"), (60_000, "has more than")])
def test_a_picture_that_says_it_is_huge_is_not_decoded(tmp_path, side, said, little_memory, recwarn):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(bomb(side))
    with pytest.raises(ValueError, match=rf"0\.png {said}"):
        load("fashion32", tmp_path)
    assert not recwarn


def test_pictures_that_are_not_wanted_are_refused_at_the_first(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("L", (64, 64)).save(tmp_path / "a" / "0.png")
    (tmp_path / "a" / "1.png").write_bytes(b"not looked at")
    with pytest.raises(ValueError, match="images of 64×64 with 1 channels; needed: 1 channels, 32×32"):
        load("fashion32", tmp_path)


def test_pictures_together_have_a_most(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.datasets.picture.LARGEST", 3 * 64)
    (tmp_path / "a").mkdir()
    for k in range(4):
        Image.new("L", (8, 8)).save(tmp_path / "a" / f"{k}.png")
    with pytest.raises(ValueError, match=r"0\.png and 3 more have over 192 bytes"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "0.png")
    with pytest.raises(ValueError, match=r"0\.png is not a regular file: download it again or delete it"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_mutated_pictures_give_pixels_or_a_value_error(kind, recwarn):
    buffer, rng = io.BytesIO(), np.random.default_rng(0)
    Image.fromarray(ROWS.reshape(2, 32, 32, 3)[0]).save(buffer, kind)
    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for i in rng.choice([*rng.integers(min(300, len(content)), size=4), *rng.integers(len(content), size=2)], 2):
            content[i] = rng.integers(256)
        try:
            found = picture(io.BytesIO(content), "x.png")
        except ValueError as error:
            assert "x.png" in str(error)  # noqa: PT017 - many do not raise
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert found.dtype == np.uint8
            assert found.ndim == 3
    assert not recwarn


def test_a_page_description_is_not_run(tmp_path):
    """Pillow would hand a file that begins so to Ghostscript, whatever its name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match=r"0\.png is not a picture of a known format"):
        read(tmp_path)


def test_packed_files_are_not_unpacked(tmp_path):
    (tmp_path / "a.bz2").write_bytes(bz2.compress(bytes(10)))
    with pytest.raises(ValueError, match="is packed: unpack it"):
        read(tmp_path / "a.bz2")
