"""The words by which practice claims say that the digits model stands in for the paper's models."""

STAND_IN = "On the digits model (8×8, a stand-in for the paper's CIFAR-10 and LSUN models)"
