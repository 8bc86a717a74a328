"""Data sets: every common format gives the same arrays, and what does not fit is refused with a reason."""

import gzip
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.datasets import digits, load, read, split

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
TEN = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], np.uint8)
LABELS = TEN[:6]


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_digits_are_the_17_grey_levels_mapped_to_plus_minus_one():
    images, labels = digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == np.float32
    assert np.array_equal(np.unique(images), np.arange(17) / 8 - 1)
    assert sorted(set(labels.tolist())) == list(range(10))
    assert load("digits").sha256 == load("digits").sha256


def test_split_is_a_fixed_partition():
    train_part, test_part = split(1797)
    assert len(test_part) == 359
    assert np.array_equal(np.sort(np.concatenate([train_part, test_part])), np.arange(1797))
    assert np.array_equal(split(1797)[1], test_part)
    assert not np.array_equal(split(1797, seed=1)[1], test_part)
    with pytest.raises(ValueError, match="empty part"):
        split(2)


def test_fashion_is_padded_with_black_whatever_it_is_kept_in(tmp_path):
    np.savez(tmp_path / "a.npz", images=GREY, labels=LABELS)
    expected = load("fashion32", tmp_path / "a.npz")
    assert expected.images.shape == (6, 1, 32, 32)
    assert expected.images.dtype == np.float32
    assert np.array_equal(expected.images[:, 0, 2:30, 2:30], GREY / np.float32(127.5) - 1)
    border = np.ones((32, 32), bool)
    border[2:30, 2:30] = False
    assert (expected.images[:, 0, border] == -1).all()
    assert expected.labels.tolist() == LABELS.tolist()
    for ending, pack in (("", bytes), (".gz", gzip.compress)):
        raw = tmp_path / f"folder{ending}" / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / f"train-images-idx3-ubyte{ending}").write_bytes(pack(idx(GREY)))
        (raw / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(idx(LABELS)))
        (raw / f"t10k-images-idx3-ubyte{ending}").write_bytes(pack(idx(GREY[:1])))
        found = load("fashion32", tmp_path / f"folder{ending}")
        assert found.sha256 == expected.sha256
        assert np.array_equal(found.images, expected.images)


def test_cifar_is_the_same_from_batches_pictures_and_archives(tmp_path):
    np.savez(tmp_path / "a.npz", images=COLOUR, labels=TEN)
    expected = load("cifar10", tmp_path / "a.npz")
    assert np.array_equal(expected.images, (COLOUR / np.float32(127.5) - 1).transpose(0, 3, 1, 2))
    batches = tmp_path / "data" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for k, part in enumerate(np.split(np.arange(10), 5)):
        rows = np.ascontiguousarray(COLOUR[part].transpose(0, 3, 1, 2).reshape(2, -1))
        batch = {b"data": rows, b"labels": TEN[part].tolist(), b"batch_label": b"x"}
        (batches / f"data_batch_{k + 1}").write_bytes(pickle.dumps(batch, protocol=2))
    assert load("cifar10", tmp_path / "data").sha256 == expected.sha256
    pieces = [png(image) for image in COLOUR]
    offsets = np.cumsum([0, *map(len, pieces)])
    np.savez(tmp_path / "b.npz", jpeg=np.frombuffer(b"".join(pieces), np.uint8), offsets=offsets, labels=TEN)
    assert load("cifar10", tmp_path / "b.npz").sha256 == expected.sha256
    for k, (image, label) in enumerate(zip(COLOUR, TEN, strict=True)):
        folder = tmp_path / "pictures" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.png").write_bytes(png(image))
    order = np.argsort(TEN, kind="stable")
    images, labels = read(tmp_path / "pictures")
    assert np.array_equal(images, COLOUR[order])
    assert np.array_equal(labels, TEN[order])


def test_a_pickle_that_asks_for_more_than_arrays_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "run"),))

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(pickle.UnpicklingError, match="only arrays"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_is_refused(tmp_path):
    np.savez(tmp_path / "colour.npz", images=COLOUR, labels=TEN)
    np.savez(tmp_path / "short.npz", images=GREY, labels=LABELS[:2])
    np.savez(tmp_path / "float.npz", images=GREY / 255.0, labels=LABELS)
    np.savez(tmp_path / "other.npz", x=GREY)
    (tmp_path / "text.npz").write_text("no archive", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "train-images-idx3-ubyte").write_bytes(idx(GREY)[:-1])
    for name, file, said in (
        ("fashion32", "colour.npz", "needed: 1 channels, 32×32"),
        ("fashion32", "short.npz", "6 images and 2 labels"),
        ("fashion32", "float.npz", "must be uint8"),
        ("fashion32", "other.npz", "holds x; needed"),
        ("fashion32", "text.npz", "is not an .npz"),
        ("fashion32", "cut", "cut short"),
        ("mnist", "colour.npz", "unknown data set"),
    ):
        with pytest.raises(ValueError, match=said):
            load(name, tmp_path / file)
    for file, said in (("empty", "found no idx files"), ("nowhere", "nowhere does not exist$")):
        with pytest.raises(FileNotFoundError, match=said):
            load("cifar10", tmp_path / file)
    with pytest.raises(ValueError, match="needs --data"):
        load("cifar10")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "sha256"),
    [
        ("digits", None, "314b97e8b73b7a469ab137a8e1c41298c092513ab5645ba0ad0efb54b9367ab7"),
        ("fashion32", "fashion_mnist_30k.npz", "7bc54566911ba133b533cd683425df93c37eb98039b9df0bdf0887d7b42217b2"),
        ("cifar10", "cifar10_train_jpeg.npz", "a180e05e854c5f25f31f6fc85ce5be9b3309477e6101cef8e135e7b6ba83c914"),
    ],
)
def test_the_bytes_of_a_data_set_stay_what_models_were_trained_on(name, file, sha256):
    path = file and Path(__file__).parents[3] / "shared" / "data" / file
    if path and not path.exists():
        pytest.skip(f"{path} is not here")
    found = load(name, path)
    assert found.sha256 == sha256
    assert found.notes == ()
