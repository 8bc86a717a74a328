"""Idx files, CIFAR's batches, archives and labels: each fault is refused with the file, the place and what to do."""

import gzip
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from analysis.datasets import load

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
GREY = COLOUR[:, :28, :28, 0].copy()
LABELS = np.arange(10)


def archive(root, **arrays):
    np.savez(root / "a.npz", **arrays)
    return root / "a.npz"


# labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64", ">i4", "float16", "float32", "float64"])
def test_whole_numbers_of_any_dtype_are_labels(tmp_path, dtype):
    found = load("cifar10", archive(tmp_path, images=COLOUR, labels=LABELS.astype(dtype)))
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 0.5, r"label 0 is 0\.5"),
        (np.r_[LABELS[:9], np.nan], "label 9 is nan, but labels must be whole numbers from 0 \\(1 is not\\)"),
        (np.r_[LABELS[:9], np.inf], "label 9 is inf"),
        (np.r_[LABELS[:9], -1], "label 9 is -1"),
        (LABELS + 2**40, "label 0 is 1099511627776"),
        (np.eye(10), r"one-hot, give labels\.argmax\(axis=1\)"),
        (LABELS[:, None], r"give labels\[:, 0\]"),
        (np.ones((10, 1)), r"give labels\[:, 0\]"),
        (LABELS[:4], "10 images and 4 labels"),
        (LABELS[:0], "10 images and 0 labels"),
        (np.array(3), r"10 images, but labels of shape \(\)$"),
        (LABELS > 4, r"labels are bool; convert them to whole numbers with labels\.astype\(int\)"),
        (LABELS.astype(str), r"labels are names; convert them to whole numbers with np\.unique\(.*return_inverse"),
        (LABELS * 1j, "labels are complex128"),
        (LABELS.astype(object), "labels cannot be read: save plain arrays"),
    ],
)
def test_other_labels_are_refused(tmp_path, labels, said):
    with pytest.raises(ValueError, match=rf"a\.npz.*{said}"):
        load("cifar10", archive(tmp_path, images=COLOUR, labels=labels))


def test_labels_of_one_image_may_be_one_hot(tmp_path):
    for labels, said in ((np.eye(1), r"argmax\(axis=1\)"), (np.full((1, 1), 7), r"give labels\[:, 0\]")):
        with pytest.raises(ValueError, match=said):
            load("cifar10", archive(tmp_path, images=COLOUR[:1], labels=labels))


# archives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (COLOUR / 255, r"in \[0, 1\], save np\.rint\(255 \* images\)"),
        (COLOUR / 127.5 - 1, r"in \[-1, 1\], save np\.rint\(127\.5 \* \(images \+ 1\)\)"),
        (COLOUR.astype(np.float32), r"save np\.rint\(images\)\.astype"),
        (COLOUR.astype(np.int64), r"save np\.rint\(images\)\.astype"),
        (COLOUR.astype(np.uint16) * 257, r"save np\.rint\(images / 257\)"),
        (COLOUR > 127, r"save 255 \* images"),
        (COLOUR * np.nan, "must be uint8"),
        (COLOUR.transpose(0, 3, 1, 2), r"channels first: save images\.transpose\(0, 2, 3, 1\)"),
        (COLOUR[0, :, :, 0], "must be uint8 .*got uint8 \\(32, 32\\)$"),
        (COLOUR // 128, "all grey levels are 0 or 1"),
        (COLOUR[..., 0], "with 1 channels; needed: 3"),  # an array, unlike a picture, says what it is
        (COLOUR.astype(object), "images cannot be read: save plain arrays"),
    ],
)
def test_other_images_are_refused(tmp_path, images, said):
    with pytest.raises(ValueError, match=rf"a\.npz.*{said}"):
        load("cifar10", archive(tmp_path, images=images, labels=LABELS))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("a.npz", lambda whole: b"", "is not an .npz"),
        ("a.npz", lambda whole: whole[: len(whole) // 2], "is not an .npz.*is it whole"),
        ("a.npz", lambda whole: whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "images cannot be read.*CRC"),
        ("a.npz", lambda whole: b"text", "neither a zip archive nor an array"),
        ("a.npz", lambda whole: pickle.dumps(1), "neither a zip archive nor an array"),
        ("cifar-10-python.tar.gz", lambda whole: whole, "is packed: unpack it"),
        ("pictures.zip", lambda whole: whole, "is packed: unpack it"),
    ],
)
def test_damaged_and_packed_files_are_named(tmp_path, name, damage, said):
    whole = archive(tmp_path, images=COLOUR, labels=LABELS).read_bytes()
    (tmp_path / name).write_bytes(damage(whole))
    with pytest.raises(ValueError, match=f"{name}.*{said}"):
        load("cifar10", tmp_path / name)


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", COLOUR)
    with pytest.raises(ValueError, match=r"a\.npy is a single array of shape \(10, 32, 32, 3\)"):
        load("cifar10", tmp_path / "a.npy")


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


PIECES = [jpeg(image) for image in COLOUR]
OFFSETS = np.cumsum([0, *map(len, PIECES)])


@pytest.mark.parametrize(
    ("pieces", "offsets", "said"),
    [
        (PIECES, OFFSETS[[0, 1, 2, 4, 3, *range(5, 11)]], "picture 3 lies from byte"),
        (PIECES, OFFSETS + 50 * (np.arange(11) == 10), "picture 9 lies from byte"),
        (PIECES, OFFSETS - 1, "picture 0 lies from byte -1"),
        (PIECES, OFFSETS[:-1], "offsets go from 0 to"),
        (PIECES, OFFSETS[1:], "offsets go from"),
        (PIECES, OFFSETS.astype(float), "offsets must be whole numbers"),
        (PIECES, OFFSETS[:1], "offsets must be whole numbers"),
        (PIECES[:9], OFFSETS, "picture 9 lies from byte"),
        (PIECES, OFFSETS + (np.arange(11) % 10 > 0), "picture 1 is not a picture"),
        ([*PIECES[:4], PIECES[4][:400], *PIECES[5:]], None, "picture 4 cannot be read"),
        ([*PIECES[:4], b"no jpeg", *PIECES[5:]], None, "picture 4 is not a picture"),
        ([*PIECES[:4], jpeg(COLOUR[4, :16, :16]), *PIECES[5:]], None, "picture 4 is 16×16 in colour"),
        ([*PIECES[:4], jpeg(COLOUR[4, ..., 0]), *PIECES[5:]], None, "picture 4 is 32×32 in grey"),
    ],
)
def test_joined_pictures_that_are_damaged_are_named_by_index(tmp_path, pieces, offsets, said):
    offsets = np.cumsum([0, *map(len, pieces)]) if offsets is None else offsets
    joined = np.frombuffer(b"".join(pieces), np.uint8)
    with pytest.raises(ValueError, match=rf"a\.npz.*{said}"):
        load("cifar10", archive(tmp_path, jpeg=joined, offsets=offsets, labels=LABELS[: len(offsets) - 1]))


def test_joined_pictures_without_offsets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds jpeg, labels; needed"):
        load("cifar10", archive(tmp_path, jpeg=np.zeros(3, np.uint8), labels=LABELS))


# idx -----------------------------------------------------------------------------------------------------------


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


IMAGES, NUMBERS = idx(GREY), idx(LABELS.astype(np.uint8))
PLAIN, ZIPPED, OF_LABELS = (
    "raw/train-images-idx3-ubyte",
    "raw/train-images-idx3-ubyte.gz",
    "raw/train-labels-idx1-ubyte",
)


def folder(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {PLAIN: IMAGES, OF_LABELS: NUMBERS},
        {ZIPPED: gzip.compress(IMAGES), OF_LABELS: NUMBERS},
        {PLAIN: IMAGES, ZIPPED: b"not looked at", OF_LABELS: NUMBERS},
        {"train-images.idx3-ubyte": IMAGES, "train-labels.idx1-ubyte": NUMBERS},
        {PLAIN: IMAGES, OF_LABELS: NUMBERS, "__MACOSX/" + PLAIN: b"x", ".old/" + PLAIN: IMAGES},
    ],
)
def test_idx_files_are_found_under_their_usual_names(tmp_path, files):
    found = load("fashion32", folder(tmp_path, files))
    assert np.array_equal(found.images[:, 0, 2:30, 2:30], GREY / np.float32(127.5) - 1)
    assert found.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({PLAIN: IMAGES}, "train-labels-idx1-ubyte is missing"),
        ({OF_LABELS: NUMBERS}, "train-images-idx3-ubyte is missing"),
        (
            {"raw/t10k-images-idx3-ubyte": IMAGES},
            "holds t10k-images-idx3-ubyte, and train-images-idx3-ubyte is missing",
        ),
        ({PLAIN: IMAGES[:-1], OF_LABELS: NUMBERS}, "train-images-idx3-ubyte is cut short"),
        ({PLAIN: IMAGES[:9], OF_LABELS: NUMBERS}, "its header has 9 of 16 bytes"),
        ({PLAIN: b"", OF_LABELS: NUMBERS}, "train-images-idx3-ubyte is not an idx file"),
        ({PLAIN: gzip.compress(IMAGES), OF_LABELS: NUMBERS}, "is not an idx file of bytes: it begins with 1f 8b"),
        ({PLAIN: IMAGES + b"x", OF_LABELS: NUMBERS}, "is longer than its header says"),
        ({PLAIN: b"\0\0\x08\3" + b"\xff" * 12, OF_LABELS: NUMBERS}, "is cut short: 0 bytes for"),
        ({PLAIN: IMAGES, OF_LABELS: NUMBERS[:-1]}, "train-labels-idx1-ubyte is cut short"),
        ({PLAIN: IMAGES, OF_LABELS: idx(np.zeros(4, np.uint8))}, "train-labels-idx1-ubyte: 10 images and 4 labels"),
        ({PLAIN: NUMBERS, OF_LABELS: IMAGES}, "exchanged"),
        ({ZIPPED: gzip.compress(IMAGES)[:-20], OF_LABELS: NUMBERS}, r"ubyte\.gz is cut short or damaged"),
        ({ZIPPED: IMAGES, OF_LABELS: NUMBERS}, r"ubyte\.gz is cut short or damaged"),
        ({PLAIN: IMAGES, OF_LABELS: NUMBERS, "MNIST/" + PLAIN: IMAGES}, "in 2 folders, .*MNIST.* and .*raw"),
    ],
)
def test_idx_files_that_do_not_fit_are_named(tmp_path, files, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        load("fashion32", folder(tmp_path, files))


@pytest.mark.parametrize(("plain", "kept"), [(PLAIN, {OF_LABELS: NUMBERS}), (OF_LABELS, {PLAIN: IMAGES})])
def test_a_damaged_file_beside_a_whole_gzipped_one_says_so(tmp_path, plain, kept):
    whole = IMAGES if plain == PLAIN else NUMBERS
    root = folder(tmp_path, {plain: whole[:-5], plain + ".gz": gzip.compress(whole)} | kept)
    name = plain.removeprefix("raw/")
    with pytest.raises(ValueError, match=f"{name} is cut short.*; {name}.gz beside it is whole: delete {name} to"):
        load("fashion32", root)
    (root / plain).unlink()
    assert load("fashion32", root).labels.tolist() == LABELS.tolist()
    folder(tmp_path, {plain: whole[:-5], plain + ".gz": b"damaged too"})
    with pytest.raises(ValueError, match=r"is cut short: \d+ bytes for shape \(.*\)$"):
        load("fashion32", root)


def test_names_of_idx_files_in_another_case_are_said(tmp_path):
    root = folder(tmp_path, {PLAIN.upper(): IMAGES, OF_LABELS.upper(): NUMBERS})
    with pytest.raises(FileNotFoundError, match=r"names of idx files are lower case: rename .*TRAIN-IMAGES-IDX3-UBYTE"):
        load("fashion32", root)


# CIFAR ---------------------------------------------------------------------------------------------------------


def batch(k, n=2, **changes):
    part = slice(2 * k, 2 * k + n)
    rows = np.ascontiguousarray(COLOUR[part].transpose(0, 3, 1, 2).reshape(n, -1))
    return {b"data": rows, b"labels": LABELS[part].tolist()} | {k.encode(): v for k, v in changes.items()}


BATCHES = {f"cifar-10-batches-py/data_batch_{k + 1}": pickle.dumps(batch(k), 2) for k in range(5)}
THIRD = "cifar-10-batches-py/data_batch_3"


def test_batches_are_read_in_order_and_hidden_copies_left_alone(tmp_path):
    hidden = {"__MACOSX/data_batch_1": b"x", "__MACOSX/._data_batch_1": b"x", ".old/data_batch_2": b"x"}
    found = load("cifar10", folder(tmp_path, BATCHES | hidden | {"cifar-10-batches-py/test_batch": b"x"}))
    assert np.array_equal(found.images, (COLOUR / np.float32(127.5) - 1).transpose(0, 3, 1, 2))
    assert found.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("missing", [{1}, {3}, {5}, {1, 2, 4, 5}])
def test_missing_batches_are_named(tmp_path, missing):
    names = ", ".join(f"data_batch_{k}" for k in sorted(missing))
    with pytest.raises(
        FileNotFoundError, match=f"cifar-10-batches-py: {names} (is|are) missing \\({len(missing)} of 5 batches\\)"
    ):
        load("cifar10", folder(tmp_path, {n: b for n, b in BATCHES.items() if int(n[-1]) not in missing}))


def test_the_test_batch_alone_is_no_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test_batch only: data_batch_1, .*data_batch_5 are missing"):
        load("cifar10", folder(tmp_path, {"cifar-10-batches-py/test_batch": BATCHES[THIRD]}))


@pytest.mark.parametrize(
    ("third", "said"),
    [
        (BATCHES[THIRD][:-500], "cannot be read as a batch"),
        (b"", "cannot be read as a batch"),
        (b"<html>", "cannot be read as a batch"),
        (pickle.dumps([1], 2), "holds list"),
        (pickle.dumps({"data": 1}, 2), "holds .*'data'"),
        (pickle.dumps({b"data": batch(2)[b"data"], b"fine_labels": [1, 2]}, 2), "holds .*fine_labels"),
        (pickle.dumps(batch(2, labels=[1]), 2), "2 images and 1 labels"),
        (pickle.dumps(batch(2, labels=np.eye(2)), 2), "one-hot"),
        (pickle.dumps(batch(2, labels=["cat", "dog"]), 2), "labels are names"),
        (pickle.dumps(batch(2, data=np.zeros((2, 3072))), 2), "must be uint8 .*float64"),
        (pickle.dumps(batch(2, data=np.zeros((2, 1024), np.uint8)), 2), "must be uint8 .*1024"),
        (pickle.dumps(batch(2, n=1), 2), "has 1 images and data_batch_1 has 2"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(tmp_path, third, said):
    with pytest.raises(ValueError, match=f"data_batch_3.*{said}"):
        load("cifar10", folder(tmp_path, BATCHES | {THIRD: third}))


def test_two_copies_of_a_data_set_are_not_joined(tmp_path):
    with pytest.raises(ValueError, match="batches of CIFAR in 2 folders"):
        load("cifar10", folder(tmp_path, BATCHES | {"backup/data_batch_1": BATCHES[THIRD]}))


def test_other_versions_of_cifar_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin is of CIFAR-10's binary version"):
        load("cifar10", folder(tmp_path / "bin", {"cifar-10-batches-bin/data_batch_1.bin": b"\0" * 3073}))
    hundred = pickle.dumps({b"data": batch(2)[b"data"], b"fine_labels": [1, 2]}, 2)
    for files in ({"cifar-100-python/train": hundred}, {"train": b"cut", "meta": b""}):
        with pytest.raises(FileNotFoundError, match="train looks like CIFAR-100, and only CIFAR-10 is read"):
            load("cifar10", folder(tmp_path / str(len(files)), files))
