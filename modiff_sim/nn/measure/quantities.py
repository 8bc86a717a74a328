"""What is recorded of a layer's inputs, by name and in words."""

QUANTITIES = ("a", "d", "r")
#: what a table holds, in words: of all values of a quantity; of its norm, c and kappa, reduced over samples or blocks
VALUES = {
    "absmax": "largest |value|", "mean": "mean of the values", "variance": "variance of the values",
    "kurtosis": "kurtosis of the values", "norm": "2-norm, median over samples", "c": "c, median over blocks",
    "kappa": "kappa, median over blocks",
}  # fmt: skip
#: what is smaller than the inputs, in words
WORDS = {"d": "differences", "r": "residuals of the closed loop"}
#: columns of a frame
COLUMNS = ("layer", "step", "quantity", "values", "mean", "variance", "kurtosis", "absmax", "norm", "c", "kappa")
