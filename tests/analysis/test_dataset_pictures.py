"""Folders of pictures: every file is read rightly or refused by name, and what is left out is counted and said."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from analysis.datasets import load, read
from analysis.datasets.picture import Damaged, picture

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
GREY = COLOUR[..., 0].copy()
OPAQUE = np.dstack([COLOUR, np.full((32, 32), 255, np.uint8)])
TRANSPARENT = OPAQUE.copy()
TRANSPARENT[3, 4, 3] = 254


def saved(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def folder(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def png(pixels, depth, colour_type):
    """A PNG by hand, of what Pillow does not write: (H, W, channels) of 8 or 16 bits."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else ">u1").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# kinds of pictures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["0.png", "0.PNG", "0.webp", "0.bmp", "0.BMP", "0.tif", "0.TIFF", "0.ppm"])
def test_lossless_kinds_give_the_pixels_whatever_the_suffix_looks_like(tmp_path, name):
    kind = {"tif": "TIFF"}.get(name[2:].lower(), name[2:].upper())
    content = saved(COLOUR, kind, **({"lossless": True} if kind == "WEBP" else {}))
    images, labels = read(folder(tmp_path, {f"a/{name}": content}))
    assert np.array_equal(images[0], COLOUR)
    assert labels.tolist() == [0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (saved(GREY), GREY[..., None]),
        (saved(GREY > 127), np.where(GREY > 127, 255, 0)[..., None]),
        (saved(GREY > 127, "TIFF"), np.where(GREY > 127, 255, 0)[..., None]),
        (saved(OPAQUE), COLOUR),
        (saved(OPAQUE, "TIFF"), COLOUR),
        (saved(OPAQUE[..., 2:]), COLOUR[..., 2:]),
        (saved(GREY, "GIF"), GREY[..., None].repeat(3, axis=2)),
        (saved(Image.fromarray(COLOUR // 86 * 86).quantize(64)), None),
        (saved(Image.fromarray(GREY).convert("P"), transparency=b"\xff" * 256), GREY[..., None].repeat(3, axis=2)),
    ],
    ids=["L", "1 png", "1 tif", "RGBA opaque", "RGBA tif", "LA opaque", "gif", "palette", "opaque palette"],
)
def test_modes_whose_colours_are_certain_are_read(content, expected):
    found = picture(io.BytesIO(content), "x")
    assert found.dtype == np.uint8
    if expected is None:
        expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert len(np.unique(expected)) > 2
    assert np.array_equal(found, expected)


@given(st.lists(st.integers(0, 65535), min_size=16, max_size=16))
def test_16_bits_become_the_nearest_of_256_levels(levels):
    """65535 is white: v becomes the whole number next to v/257, for every v; multiples of 257 are exact."""
    deep = np.array(levels, np.uint16).reshape(4, 4)
    for content in (saved(deep), saved(deep, "TIFF"), png(deep[..., None], 16, 0)):
        found = picture(io.BytesIO(content), "x")[..., 0]
        assert (np.abs(found * 257.0 - deep) <= 128.5).all()
    assert np.array_equal(picture(io.BytesIO(saved((deep // 257 * 257).astype(np.uint16))), "x")[..., 0], deep // 257)


def test_16_bit_pictures_are_no_longer_white(tmp_path):
    deep = RNG.integers(0, 65536, (4, 32, 32)).astype(np.uint16)
    found = load("fashion32", folder(tmp_path, {f"a/{i}.png": saved(d) for i, d in enumerate(deep)}))
    assert np.abs((found.images[:, 0] + 1) * 32767.5 - deep).max() <= 128.5 + 0.01  # float32 in between
    assert found.notes == ()


@pytest.mark.parametrize("white", [15, 255, 1023, 4095, 65535])
@pytest.mark.parametrize(("kind", "channels"), [(b"P2", 1), (b"P3", 3), (b"P5", 1), (b"P6", 3)])
def test_portable_maps_of_every_depth_are_read(kind, channels, white):
    levels = np.linspace(0, white, 16 * channels).round().astype(int).reshape(4, 4, channels)
    text = b" ".join(b"%d" % level for level in levels.ravel())
    pixels = levels.astype(">u2" if white > 255 else "u1").tobytes() if kind in (b"P5", b"P6") else text
    found = picture(io.BytesIO(b"%s 4 4 %d\n" % (kind, white) + pixels), "x")
    assert found.shape == levels.shape
    assert np.abs(found - levels * 255 / white).max() <= 0.5 + 1 / 257  # rounded twice


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(TRANSPARENT), "has 1 transparent pixels, whose colour is undefined: flatten it onto a background"),
        (saved(TRANSPARENT, "WEBP", lossless=True), "has 1 transparent pixels"),
        (saved(TRANSPARENT[..., 2:]), "has 1 transparent pixels"),
        (saved(Image.fromarray(GREY).convert("P"), transparency=int(GREY[0, 0])), "transparent pixels"),
        (saved(Image.fromarray(GREY).convert("P"), "GIF", transparency=int(GREY[0, 0])), "transparent pixels"),
        (saved(COLOUR, transparency=tuple(map(int, COLOUR[0, 0]))), "has 1 transparent pixels"),
        (saved(GREY, transparency=int(GREY[0, 0])), "transparent pixels"),
        (saved(GREY.astype(np.uint16), transparency=int(GREY[0, 0])), "transparent pixels"),
        (saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), r"inks \(CMYK\)"),
        (saved(Image.fromarray(COLOUR).convert("LAB"), "TIFF"), "mode LAB"),
        (saved(GREY.astype(np.float32), "TIFF"), "floats"),
        (saved(GREY.astype(np.int32), "TIFF"), "32-bit numbers"),
        (png(COLOUR.astype(int) * 257, 16, 2), "16 bits per channel"),
        (png(OPAQUE.astype(int) * 257, 16, 6), "16 bits per channel"),
        (png(OPAQUE[..., 2:].astype(int) * 257, 16, 4), "16 bits per channel"),
        (saved(COLOUR, "GIF", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]), "holds 2 frames"),
        (saved(COLOUR, "PNG", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]), "holds 2 frames"),
        (saved(COLOUR, "TIFF", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]), "holds 2 frames"),
        (b"", "not a picture of a known format"),
        (b"<html>404</html>", "not a picture of a known format"),
    ],
)
def test_what_has_no_certain_colour_is_refused_by_name(tmp_path, content, said):
    folder(tmp_path, {"a/0.png": content})
    with pytest.raises(ValueError, match=rf"a/0\.png .*{said}"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_file_cut_short_is_named(tmp_path, kind, share):
    whole = saved(COLOUR, kind)
    folder(tmp_path, {"a/0.png": saved(COLOUR), "a/1.png": whole[: int(len(whole) * share)], "a/2.png": saved(COLOUR)})
    for error in (ValueError, OSError):  # whichever a caller expects
        with pytest.raises(error, match=r"a/1\.png .*(cannot be read|known format)"):
            load("cifar10", tmp_path)


def test_a_flipped_bit_of_a_png_and_a_dead_link_are_named(tmp_path):
    whole = bytearray(saved(COLOUR))
    whole[len(whole) // 2] ^= 64
    with pytest.raises(ValueError, match=r"a/0\.png cannot be read"):
        load("cifar10", folder(tmp_path / "x", {"a/0.png": bytes(whole)}))
    folder(tmp_path / "y", {"a/1.png": saved(COLOUR)})
    (tmp_path / "y" / "a" / "0.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match=r"a/0\.png cannot be read .*No such file"):
        load("cifar10", tmp_path / "y")


# folders -------------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted_and_said(tmp_path, caplog):
    """The data lie below a hidden folder themselves, as in a cache: only what is hidden within them is left out."""
    one = saved(COLOUR)
    root = folder(tmp_path / ".cache" / "data", {
        "a/0.png": one, "b/0.png": one, "b/1.PNG": one,
        ".ipynb_checkpoints/0.png": one, "__MACOSX/0.png": one, "a/._0.png": b"x", "a/.hidden.png": one,
        "a/Thumbs.db": b"x", "b/notes.txt": b"x", "README.md": b"x", "a/photo.heic": b"x",
        "b/more/0.png": one, "loose.png": one, "docs/page.html": b"x",
    })  # fmt: skip
    (root / "empty").mkdir()
    found = load("cifar10", root)
    assert found.labels.tolist() == [0, 1, 1]
    assert (found.images == found.images[0]).all()
    notes = "\n".join(found.notes)
    assert "hidden files and folders left out: 5 (.ipynb_checkpoints, __MACOSX, a/" in notes
    assert "files of other kinds left out: 4 (README.md, a/photo.heic, b/notes.txt, …); pictures read: 3" in notes
    assert "folders within class folders left out: 1 (b/more)" in notes
    assert "pictures beside the class folders left out: 1 (loose.png)" in notes
    assert "empty class folders skipped (they get no label): 2 (docs, empty)" in notes
    assert [r.getMessage() for r in caplog.records] == [f"{root}: {note}" for note in found.notes]


def test_a_newcomer_sees_it(tmp_path):
    folder(tmp_path, {"a/0.png": saved(COLOUR), ".git/0.png": saved(COLOUR)})
    program = f"from analysis import datasets; print(len(datasets.load('cifar10', {str(tmp_path)!r})))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert run.stdout == "1\n"
    assert run.stderr == f"{tmp_path}: hidden files and folders left out: 1 (.git); pictures read: 1\n"


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, caplog):
    found = load("cifar10", folder(tmp_path, {"a/0.png": saved(COLOUR), "b/0.png": saved(COLOUR)}))
    assert found.notes == ()
    assert not caplog.records


def test_grey_and_colour_are_taken_for_each_other_where_nothing_is_lost(tmp_path):
    grey = load("cifar10", folder(tmp_path / "g", {"a/0.png": saved(GREY)}))
    assert np.array_equal(grey.images, (GREY / np.float32(127.5) - 1)[None, None].repeat(3, axis=1))
    assert "every picture is grey: taken as colour" in grey.notes
    colour = load("fashion32", folder(tmp_path / "c", {"a/0.png": saved(GREY[..., None].repeat(3, axis=2))}))
    assert np.array_equal(colour.images[0, 0], grey.images[0, 0])
    assert "every picture is grey, saved as colour: taken as grey" in colour.notes
    with pytest.raises(ValueError, match="needed: 1 channels"):
        load("fashion32", folder(tmp_path / "d", {"a/0.png": saved(COLOUR)}))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a/0.png": COLOUR, "b/0.png": COLOUR[:16, :16]}, r"a/0\.png is 32×32 in colour and .*b/0\.png is 16×16"),
        ({"a/0.png": COLOUR, "a/1.png": GREY, "a/2.png": COLOUR}, r"a/1\.png is 32×32 in grey: .* 1 of 3 differ"),
        ({"train/0.png": COLOUR, "test/0.png": COLOUR}, "test and train, which are not classes: sort"),
        (
            {"train/0.png": COLOUR, "test/a/0.png": COLOUR, "train/b/1.png": COLOUR},
            "holds train, which are not classes: give .*train$",
        ),
        ({"a/0.png": COLOUR // 128}, "all grey levels are 0 or 1"),
        ({"a/0.png": np.zeros((33, 33, 3), np.uint8) + 200}, "images of 33×33"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, files, said):
    folder(tmp_path, {name: saved(pixels) for name, pixels in files.items()})
    with pytest.raises(ValueError, match=said):
        load("cifar10", tmp_path)


def test_where_pictures_lie_elsewhere_it_is_said_where(tmp_path):
    one = saved(COLOUR)
    folder(tmp_path / "split", {"test/a/0.png": one, "train/a/0.png": one, "train/b/0.png": one})
    with pytest.raises(FileNotFoundError, match=r"pictures lie deeper: give .*split/train$"):
        load("cifar10", tmp_path / "split")
    assert load("cifar10", tmp_path / "split" / "train").labels.tolist() == [0, 1]
    with pytest.raises(FileNotFoundError, match="2 pictures lie in it directly: put each in a folder"):
        load("cifar10", folder(tmp_path / "flat", {"0.png": one, "1.png": one}))
    with pytest.raises(FileNotFoundError, match=r"jpeg, offsets and labels$"):
        load("cifar10", folder(tmp_path / "hidden", {".a/0.png": one}))


def test_dark_pictures_are_said(tmp_path):
    assert load("cifar10", folder(tmp_path, {"a/0.png": saved(COLOUR // 8)})).notes == (
        "the brightest grey level of all 1 images is 31 of 255: all are dark",
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_pictures_lie_as_exif_says(kind, orientation):
    """1 is upright; the pixels of the others are turned or mirrored, as every viewer shows them."""
    turned = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
              6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: np.rot90}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    wide = COLOUR[:24]
    stored = picture(io.BytesIO(saved(wide, kind, **options)), "x")
    found = picture(io.BytesIO(saved(wide, kind, exif=exif, **options)), "x")
    assert np.array_equal(found, turned[orientation](stored))


def test_16_bits_and_grey_are_turned_and_damaged_exif_is_left_alone():
    exif = Image.Exif()
    exif[0x0112] = 6
    for pixels in (GREY[:24], GREY[:24].astype(np.uint16) * 257):
        found = picture(io.BytesIO(saved(pixels, exif=exif)), "x")
        assert np.array_equal(found[..., 0], np.rot90(GREY[:24], -1))
    plain = saved(COLOUR, "JPEG")
    found = picture(io.BytesIO(saved(COLOUR, "JPEG", exif=b"Exif\0\0no such header")), "x")
    assert np.array_equal(found, picture(io.BytesIO(plain), "x"))


def test_class_folders_that_are_numbers_are_sorted_as_numbers(tmp_path, caplog):
    root = folder(tmp_path / "a", {f"{i}/0.png": saved(COLOUR // (i + 1)) for i in (0, 2, 9, 10, 11)})
    found = load("cifar10", root)
    by_number = dict(zip((0, 10, 11, 2, 9), found.labels.tolist(), strict=True))  # pictures stay in the order of paths
    assert by_number == {0: 0, 2: 1, 9: 2, 10: 3, 11: 4}
    assert found.notes == (
        "class folders are numbers and sorted as such; the label of 0 is 0, 2 is 1, 9 is 2, 10 is 3, 11 is 4",
    )
    caplog.clear()
    for names in (("0", "1", "2"), ("2", "10", "a"), ("00", "02", "10")):
        found = load("cifar10", folder(tmp_path / "-".join(names), {f"{n}/0.png": saved(COLOUR) for n in names}))
        assert found.notes == ()
    assert not caplog.records


def test_classes_named_like_parts_of_a_data_set_are_said(tmp_path, caplog):
    one = saved(COLOUR)
    found = load("cifar10", folder(tmp_path / "a", {"Train/0.png": one, "test/0.png": one, "cat/0.png": one}))
    assert found.notes == ("taken as classes, though named like parts of a data set: Train, test",)
    found = load("cifar10", folder(tmp_path / "b", {"train/0.png": one}))
    assert found.notes == ("taken as classes, though named like parts of a data set: train",)
    assert not any(": 0 ()" in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("suffix", ["avif", "jp2", "HEIC"])
def test_pictures_of_kinds_that_are_not_read_are_said(tmp_path, suffix):
    with pytest.raises(
        FileNotFoundError, match=rf"kinds that are not read \(\.{suffix.lower()}\): convert them to PNG"
    ):
        load("cifar10", folder(tmp_path, {f"a/0.{suffix}": b"x", f"b/1.{suffix}": b"x"}))


def test_a_flipped_bit_among_the_pixels_of_a_png_is_named(tmp_path):
    """Pillow would read on, with other pixels."""
    ramp = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    content = bytearray((tmp_path / "ramp.png").read_bytes())
    assert (picture(io.BytesIO(content), "ramp")[..., 0] == ramp).all()
    start, end = content.find(b"IDAT") + 4, content.find(b"IEND") - 8
    for i in range(start, end):
        for bit in range(8):
            content[i] ^= 1 << bit
            with pytest.raises(Damaged, match="ramp cannot be read as a picture"):
                picture(io.BytesIO(content), "ramp")
            content[i] ^= 1 << bit


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_sixteen_bits_where_white_is_zero(tmp_path, white_is_zero):
    levels = np.array([[0, 257, 65535]], np.uint16)
    image = Image.fromarray(levels)
    image.save(tmp_path / "a.tif", tiffinfo={262: 0} if white_is_zero else {})
    expected = [255, 254, 0] if white_is_zero else [0, 1, 255]
    assert picture(tmp_path / "a.tif", "a").ravel().tolist() == expected
