"""The door for images: every metric, judge, grid and saver takes floats in [-1, 1] and says of others what to do."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.datasets import Images, digits, load
from analysis.metrics import EXTRACTORS, Judge, inception, reference
from analysis.sampling import pictures
from analysis.training import classifier
from modiff_sim import metrics
from modiff_sim.metrics.images import MANY, checked, pair, plain

DIGITS = digits()[0][:100]
GREY = np.rint((DIGITS + 1) * 127.5).astype(np.uint8)
PHOTOS = np.random.default_rng(0).uniform(-1, 1, (20, 3, 16, 16)).astype(np.float32)
SAMPLES = DIGITS + 0.1 * np.random.default_rng(1).standard_normal(DIGITS.shape).astype(np.float32)


@pytest.fixture(scope="module")
def judge():
    return Judge("digits")


@pytest.fixture(scope="module")
def of_digits(judge):
    return judge.frechet(DIGITS), judge.intervals(DIGITS, resamples=2)


#: one call per public door; those that make a number about a whole set refuse where others warn
JUDGES = {
    "Judge": lambda x: Judge("digits")(x),
    "Judge, full": lambda x: Judge("digits")(DIGITS, x),
    "Judge.frechet": lambda x: Judge("digits").frechet(x),
    "Judge.intervals": lambda x: Judge("digits").intervals(x, resamples=1),
    "Judge.differences": lambda x: Judge("digits").differences(x, DIGITS, resamples=1),
    "Judge.differences, full": lambda x: Judge("digits").differences(DIGITS, x, resamples=1),
    "features": EXTRACTORS["digits"].features,
    "probabilities": EXTRACTORS["digits"].probabilities,
    "report": EXTRACTORS["digits"].report,
    "FID": lambda x: inception.attempt(x, DIGITS),
    "FID, reference": lambda x: inception.attempt(DIGITS, x),
    "reference": lambda x: reference.compute(Images("digits", x, np.zeros(len(x), np.int64), "")),
    "classifier": lambda x: classifier.train(
        EXTRACTORS["digits"],
        Images("digits", x, np.zeros(len(x), np.int64), ""),
        None,
        classifier.ClassifierSettings(epochs=0),
    ),
}
OTHERS = {
    "psnr": lambda x: metrics.psnr(x, x),
    "psnr, y": lambda x: metrics.psnr(DIGITS, x),
    "ssim": lambda x: metrics.ssim(x, x),
    "ssim, x": lambda x: metrics.ssim(x, DIGITS),
    "relative_l2": lambda x: metrics.relative_l2(x, DIGITS),
    "relative_l2, y": lambda x: metrics.relative_l2(DIGITS, x),
    "first_divergence": lambda x: metrics.first_divergence(x[None], x[None]),
    "duplicates": metrics.duplicates,
    "nearest_distance": metrics.nearest_distance,
    "nearest_distance, x": lambda x: metrics.nearest_distance(x, DIGITS),
    "nearest_distance, reference": lambda x: metrics.nearest_distance(DIGITS, x),
    "levels": pictures.levels,
    "tiles": pictures.tiles,
}
#: what makes the range of no other set wrong, so that only dtypes and NaN are looked at
ANY_RANGE = {"fingerprint": pictures.fingerprint}


@pytest.fixture(params=[*JUDGES, *OTHERS])
def door(request):
    return (JUDGES | OTHERS)[request.param]


def save_grid(x, tmp_path):
    pictures.save_grid(x, tmp_path / "grid.png")


# dtypes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*JUDGES, *OTHERS, *ANY_RANGE])
@pytest.mark.parametrize(
    ("images", "said"),
    [
        (GREY, r"integer dtype \(uint8\).* / 127\.5 - 1"),
        (GREY.astype(np.int64), r"integer dtype \(int64\).* / 127\.5 - 1"),
        (GREY.astype(np.uint16) * 257, r"integer dtype \(uint16\).* / 32767\.5 - 1"),
        ((GREY.astype(int) - 128).astype(np.int8), r"integer dtype \(int8\).*map black to -1"),
        (GREY > 127, r"boolean; floats are needed.*2\.0 \* \w+ - 1"),
        (DIGITS * 1j, "dtype complex64, but real floats are needed"),
        (DIGITS.astype(object), "dtype object"),
        (DIGITS.astype(str), "dtype <U"),
        (GREY.astype("M8[s]"), "dtype datetime64"),
        (np.ma.masked_greater(DIGITS, 0.5), "are masked"),
        (np.ma.array(DIGITS), "are masked"),
        (DIGITS * np.nan, "NaN or Inf"),
        (np.where(DIGITS > 0.9, np.inf, DIGITS), "NaN or Inf"),
        (DIGITS[:0], r"n >= [12]|non-empty|no nearest|trajectories|different shapes|paired|shape"),
    ],
    ids=["u8", "i64", "u16", "i8", "bool", "complex", "object", "text", "date", "masked", "mask of none", "nan", "inf",
         "empty"],
)  # fmt: skip
def test_every_door_refuses_what_are_no_floats(name, images, said):
    with pytest.raises(ValueError, match=said):
        (JUDGES | OTHERS | ANY_RANGE)[name](images)


def test_tensors_and_lists_are_held_to_the_same(tmp_path):
    for images in (torch.from_numpy(GREY), GREY.tolist(), list(GREY), [torch.from_numpy(g) for g in GREY[:3]]):
        with pytest.raises(ValueError, match=r"integer dtype \(\w+\).*images / 127\.5 - 1"):
            pictures.levels(images)
    with pytest.raises(ValueError, match="are masked"):
        pictures.levels([np.ma.masked_greater(d, 0.5) for d in DIGITS])
    with pytest.raises(ValueError, match="do not form an array"):
        pictures.levels([DIGITS[0], DIGITS[0, :, :4]])
    with pytest.raises(ValueError, match="integer dtype"):
        save_grid(GREY, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.longdouble),
        lambda x: x.astype(">f4"),
        lambda x: x.tolist(),
        lambda x: torch.from_numpy(x),
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: torch.from_numpy(x).bfloat16(),
        lambda x: [torch.from_numpy(each) for each in x],
    ],
)
def test_floats_of_any_kind_give_the_same_numbers(same, judge, of_digits, tmp_path):
    """Digits have 17 levels, multiples of 1/8: exact in every float, so every number is the same to the last bit."""
    other = same(DIGITS)
    assert (judge.frechet(other), judge.intervals(other, resamples=2)) == of_digits
    assert np.array_equal(pictures.levels(other), pictures.levels(DIGITS))
    assert np.array_equal(metrics.psnr(other, DIGITS[::-1].copy()), metrics.psnr(DIGITS, DIGITS[::-1]))
    save_grid(other, tmp_path)


def test_levels_of_half_precision_are_those_of_single():
    half = np.random.default_rng(0).uniform(-1, 1, (4, 3, 8, 8)).astype(np.float16)
    assert np.array_equal(pictures.levels(half), pictures.levels(half.astype(np.float64)))


# ranges --------------------------------------------------------------------------------------------------------

ZERO_TO_ONE = [
    (DIGITS + 1) / 2,
    (SAMPLES + 1) / 2,
    ((DIGITS + 1) / 2).astype(np.float16),
    (DIGITS > 0).astype(np.float32),
    1 - (DIGITS + 1) / 2,
]
CERTAIN = [
    (GREY.astype(np.float32), r"from 0 to 255 .*/ 127\.5 - 1"),
    (GREY.astype(np.float64) - 128, "from -128 to 127 in whole numbers"),
    (GREY * 257.0, r"from 0 to 65535 .*/ 32767\.5 - 1"),
    ((DIGITS + 1) * 8, "from 0 to 16 .*/ 8 - 1"),
    (np.clip(SAMPLES + 1, 0, 2) * 127.3, r"/ 127\.5 - 1"),
    (np.clip(SAMPLES + 1, 0, 2), "from 0 to 2"),
]
PROBABLE = [
    (DIGITS * 127.5, "at most 256 distinct values"),
    (((DIGITS + 1) / 2 - 0.3) / 0.35, "at most 256 distinct values"),
    (((DIGITS + 1) / 2 - 0.1307) / 0.3081, "almost no dark values"),
]


@pytest.mark.parametrize("images", ZERO_TO_ONE, ids=["digits", "samples", "half", "binary", "negative"])
@pytest.mark.parametrize("name", [*JUDGES, *OTHERS])
def test_images_in_zero_to_one_are_refused_by_judges_and_warned_about_by_others(name, images):
    said = r"if black is 0 and white is 1, give 2 \* images - 1"
    if name in JUDGES:
        with pytest.raises(ValueError, match=said):
            JUDGES[name](images)
    else:
        with pytest.raises((ValueError, UserWarning), match=said):  # pytest makes warnings errors
            OTHERS[name](images)


@pytest.mark.parametrize(("images", "said"), CERTAIN)
def test_ranges_that_no_image_has_are_refused_everywhere(door, images, said):
    with pytest.raises(ValueError, match=said):
        door(images)


@pytest.mark.parametrize(("images", "said"), PROBABLE)
@pytest.mark.parametrize("name", [*JUDGES, *OTHERS])
def test_other_ranges_are_refused_by_judges_and_warned_about_by_others(name, images, said):
    with pytest.raises(ValueError if name in JUDGES else UserWarning, match=said):
        (JUDGES | OTHERS)[name](images)


@pytest.mark.parametrize("name", [*JUDGES, *OTHERS])
def test_half_the_range_gives_a_warning(name):
    with pytest.raises(UserWarning, match=r"range from -0\.5 to 0\.5.*double them"):  # pytest makes warnings errors
        (JUDGES | OTHERS)[name](DIGITS / 2)


def test_continuous_images_that_fill_a_wider_range_give_a_warning():
    with pytest.warns(UserWarning, match="are spread over that whole range"):
        pictures.levels(127.5 * SAMPLES)


def test_colour_standardised_per_channel_is_seen():
    """As torchvision's Normalize leaves it: each channel has its own 256 values."""
    grey = np.rint((PHOTOS + 1) * 127.5) / 255
    mean, std = (np.array(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with pytest.warns(UserWarning, match="at most 256 distinct values"):
        pictures.levels(np.concatenate([(grey - mean) / std] * 4))


def test_two_sets_in_two_ranges_are_refused():
    for metric in (metrics.psnr, metrics.ssim, metrics.relative_l2, metrics.nearest_distance):
        for one, other in ((DIGITS, (DIGITS + 1) / 2), ((DIGITS + 1) / 2, DIGITS)):
            with pytest.raises(ValueError, match=r"give 2 \* images - 1; the others range from -1 to 1"):
                metric(one, other)


@pytest.mark.parametrize(
    "images",
    [
        DIGITS, SAMPLES, PHOTOS, 1.3 * SAMPLES, DIGITS[:1], SAMPLES[:1],
        np.zeros((20, 1, 8, 8)), np.ones((20, 1, 8, 8)), -np.ones((20, 1, 8, 8)),
        np.linspace(-1, 1, 20)[:, None, None, None] * np.ones((20, 1, 8, 8)),  # constant images
        30 * np.random.default_rng(2).standard_normal((64, 1, 8, 8)),  # an arm that diverged
        np.exp(3 * np.random.default_rng(3).standard_normal((64, 1, 8, 8))) * SAMPLES[:64],
        np.where(np.random.default_rng(4).random((50, 1, 64, 64)) < 0.005, -1.0, 1.0),  # a few dark lines on white
        0.05 * np.random.default_rng(5).standard_normal((64, 1, 8, 8)),  # an arm that collapsed to grey
        1 - 0.05 * np.abs(np.random.default_rng(6).standard_normal((64, 1, 8, 8))),  # and to white
    ],
)  # fmt: skip
def test_legitimate_sets_pass_without_a_word(images):
    """Overshoot, divergence, collapse, constants and mostly white drawings are all found among real samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pictures.levels(images).dtype == np.uint8
        checked("images", images, judged=True)


@given(
    st.integers(MANY, 40),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.2),
    st.sampled_from([1.0, 2.0, 16.0, 255.0, 4095.0, 65535.0]),
)
def test_whatever_the_white_a_set_from_zero_is_refused_and_its_like_from_minus_one_is_not(n, seed, noise, white):
    rng = np.random.default_rng(seed)
    x = np.clip(rng.choice([-1.0, 1.0], (n, 1, 8, 8)) + noise * rng.standard_normal((n, 1, 8, 8)), -1, 1)
    checked("x", x, judged=True)
    with pytest.raises(ValueError, match=r"give images|give 2"):
        checked("x", (x + 1) / 2 * white, judged=True)


@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_the_range_is_judged_relative_to_its_limit(limit, seed):
    x = np.random.default_rng(seed).uniform(-limit, limit, (20, 1, 8, 8))
    checked("x", x, judged=True, limit=limit)
    with pytest.raises(ValueError, match=r"almost no dark values|whole numbers"):
        checked("x", x + limit, judged=True, limit=limit)


def warned(images, **options):
    """What is said of a set that a judge takes with a warning, or "" where nothing is."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        checked("images", images, judged=True, **options)
    return " ".join(str(w.message) for w in seen)


@pytest.mark.parametrize("value", [1.3, 2.0, 3.9, 4.1, 10.0, 60.0, 1e4, -4.1, -60.0])
@pytest.mark.parametrize("n", [1, 64])
def test_one_value_that_overshoots_does_not_decide(value, n):
    """Upwards or downwards, of samples and of pictures with a grid of levels."""
    for real in (DIGITS[:n], SAMPLES[:n], PHOTOS[:n], np.where(DIGITS[:n] > 0, 1.0, -1.0)):
        arm = real.copy()
        arm[-1, 0, 3, 3] = value
        if (arm != np.rint(arm)).any():
            assert warned(arm) == ""
            metrics.psnr(arm, real)
            metrics.nearest_distance(arm, real)
        else:
            warned(arm)  # black and white drawings become a set of whole numbers: not refused, that is all


def test_one_value_that_overshoots_does_not_hide_another_range():
    for value in (4.1, 60.0):
        arm = (SAMPLES + 1) / 2
        arm[7, 0, 3, 3] = value
        with pytest.raises(ValueError, match="if black is 0 and white is 1, give 2"):
            checked("images", arm, judged=True)


def test_an_arm_with_a_share_of_large_values_is_not_taken_for_another_range():
    arm = SAMPLES.copy()
    arm.reshape(-1)[::40] = 10.0
    assert arm.min() < -1
    checked("images", arm, judged=True)
    metrics.psnr(arm, DIGITS)  # black is not exactly 0, though 1 is little beside 60
    arm.reshape(-1)[::40] = 60.0
    metrics.psnr(arm, DIGITS)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (DIGITS + 2, "range from 1 to 3 and take at most 256 distinct values"),
        (DIGITS + 50, "range from 49 to 51 and take at most 256 distinct values"),
        (np.random.default_rng(0).choice([-8.0, 0.0, 8.0], DIGITS.shape), "from -8 to 8 in whole numbers, as grey"),
        (np.where(DIGITS > 0, 2.0, -2.0), "range from -2 to 2 and take at most 256 distinct values"),
        (np.where(DIGITS > 0, 30.0, 0.0), "from 0 to 30 in whole numbers, as grey levels do"),
        (DIGITS / 2 - 0.5, r"range from -1 to 0; images must lie in \[-1, 1\]: .* give 2 \* images \+ 1"),
    ],
    ids=["drifted", "drifted far", "ternary", "saturated", "half dead", "below 0"],
)  # fmt: skip
def test_failed_arms_of_few_values_are_warned_about_and_judged(images, said, judge):
    with pytest.warns(UserWarning, match=said):
        judge(images)
    with pytest.warns(UserWarning, match=said):
        pictures.levels(images)


def test_few_images_and_constant_ones_below_zero_or_far_off_pass():
    assert warned(DIGITS[:4] / 2 - 0.5) == ""
    constants = np.random.default_rng(0).standard_normal((64, 1, 1, 1)) * np.full((1, 1, 8, 8), 3.0)
    assert warned(constants) == ""


@pytest.mark.parametrize(
    ("images", "said", "black"),
    [
        ((DIGITS + 1) / 2, "give 2 * images - 1", 0),
        (DIGITS + 1, "give images - 1", 0),
        ((DIGITS + 1) * 8, "give images / 8 - 1", 0),
        ((DIGITS + 1) * 127.5, "give images / 127.5 - 1", 0),
        (np.where(DIGITS > 0, 255.0, 0.0), "give images / 127.5 - 1", 0),
        ((DIGITS + 1) * 1.25 - 0.4, "give 2 * (images + 0.4) / 2.5 - 1", -0.4),
        ((DIGITS + 1) * 1.55 - 0.45, "give 2 * (images + 0.45) / 3.1 - 1", -0.45),
    ],
)
def test_what_is_advised_maps_black_to_minus_one_and_white_to_one(images, said, black):
    with pytest.raises(ValueError, match="must lie in") as refused:
        checked("images", images, judged=True)
    assert str(refused.value).endswith(said)
    assert f"if black is {black:g} and white is {images.max():g}, " in str(refused.value)
    formula = said.removeprefix("give ")
    assert eval(formula, {"images": np.array([black, images.max()])}) == pytest.approx([-1, 1], abs=1e-6)


def test_noise_about_grey_levels_is_seen():
    assert "spread over that whole range" in warned(np.rint((SAMPLES + 1) * 127.5) + 0.5)


# shapes --------------------------------------------------------------------------------------------------------


def test_channels_that_come_last_are_refused_where_they_would_be_misread(tmp_path):
    last = PHOTOS.transpose(0, 2, 3, 1)
    for door in (pictures.tiles, lambda x: metrics.ssim(x, x), lambda x: inception.attempt(x, x),
                 lambda x: save_grid(x, tmp_path)):  # fmt: skip
        with pytest.raises(ValueError, match=r"transpose\(0, 3, 1, 2\)"):
            door(last)
    with pytest.raises(ValueError, match=r"got \(100, 8, 8, 1\): give images\.transpose\(0, 3, 1, 2\)"):
        EXTRACTORS["digits"].features(DIGITS.transpose(0, 2, 3, 1))
    assert metrics.psnr(last, -last) == pytest.approx(metrics.psnr(PHOTOS, -PHOTOS))  # any layout will do


def test_a_pair_has_one_shape():
    with pytest.raises(ValueError, match="different shapes"):
        pair(DIGITS, DIGITS[:, 0])
    with pytest.raises(ValueError, match="no nearest image"):
        metrics.nearest_distance(DIGITS, DIGITS.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="their sizes must be equal"):
        inception.attempt(PHOTOS, DIGITS)


# data_range ----------------------------------------------------------------------------------------------------


def test_a_data_range_that_is_chosen_says_where_images_lie():
    x, y = DIGITS, np.roll(DIGITS, 1, axis=0)
    for white in (1.0, 255.0):
        expected = metrics.psnr(x, y)
        found = metrics.psnr((x + 1) / 2 * white, (y + 1) / 2 * white, data_range=white)
        assert found == pytest.approx(expected)
        # about zero, where ssim counts brightness from black
        assert metrics.ssim(x / 2 * white, y / 2 * white, data_range=white) == pytest.approx(metrics.ssim(x, y))
        with pytest.raises(ValueError, match=r"almost no dark values|whole numbers"):
            metrics.ssim((x + 1) / 2 * white, (y + 1) / 2 * white, data_range=white)
    with pytest.warns(UserWarning, match="the images span 2 but data_range is 255"):
        metrics.psnr(x, y, data_range=255.0)
    with pytest.raises(ValueError, match="the images span 2 but data_range is 1"):
        metrics.psnr(x, y, data_range=1.0)
    arm = (x + 1) / 2
    arm[7] += 3  # an arm that diverged in one image, in the range that was chosen
    with pytest.warns(UserWarning, match="the images span 4 but data_range is 1"):
        metrics.psnr(arm, (y + 1) / 2, data_range=1.0)
    for metric in (metrics.psnr, metrics.ssim):
        for wrong in (np.inf, np.nan, 0.0, -1.0):
            with pytest.raises(ValueError, match="data_range must be positive and finite"):
                metric(x, y, data_range=wrong)


def test_integers_are_advised_by_what_they_are_for():
    for call, said in (
        (lambda: metrics.psnr(GREY, GREY, data_range=255), r"give x\.astype\(float\)$"),
        (lambda: metrics.ssim(GREY, GREY, data_range=255), r"give images - 127\.5$"),
        (lambda: metrics.ssim(GREY > 99, GREY > 99, data_range=255), r"give 255\.0 \* x - 127\.5$"),
        (lambda: metrics.frechet_distance(GREY[:, 0, 0], GREY[:, 0, 0]), "x has an integer dtype .*: give float64$"),
        (lambda: metrics.classifier_score(np.eye(4, dtype=int)), "probabilities have an .*: give float64$"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


# features ------------------------------------------------------------------------------------------------------

SETS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "sliced_wasserstein": metrics.sliced_wasserstein,
    "precision_recall": metrics.precision_recall,
    "kernel_difference": lambda x, y: metrics.kernel_difference(x, x, y),
    "classifier_score": lambda x, y: metrics.classifier_score(x),
    "split_scores": lambda x, y: metrics.split_scores(x),
}


@pytest.mark.parametrize("name", SETS)
def test_features_are_held_to_the_same(name):
    f = np.random.default_rng(0).standard_normal((30, 4))
    for wrong, said in (
        (np.rint(100 * f).astype(np.uint8), r"integer dtype \(uint8\) but must be floats: give float64"),
        (f > 0, "boolean.*: give float64"), (f * 1j, "complex128"),
        (np.ma.masked_greater(f, 1), "masked"), (f.astype(str), "dtype <U"), (f.astype(object), "dtype object"),
        (np.where(f > 1, np.nan, f), "NaN or Inf"), (f[:, 0], "shape"), (f[None], "shape"), (f[:0], "0 samples"),
        (DIGITS[:30], "shape"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            SETS[name](wrong, f)


def test_values_of_seeds_may_be_whole_numbers():
    assert metrics.mean_interval([1, 2, 3]) == metrics.mean_interval([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="masked"):
        metrics.mean_interval(np.ma.masked_greater([1.0, 2.0, 3.0, 4.0], 3))
    assert plain("x", [True, False], whole=True).tolist() == [1.0, 0.0]


def test_labels_beyond_the_classes_do_not_reach_the_classifier(tmp_path):
    data = load("digits")
    shifted = Images("digits", data.images, data.labels + 1, "")
    with pytest.raises(ValueError, match=r"labels up to 10, the classifier has classes 0\.\.9"):
        classifier.train(EXTRACTORS["digits"], shifted, tmp_path / "x", classifier.ClassifierSettings(epochs=0))
