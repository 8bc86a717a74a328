"""c and κ of other quantizers than absmax: float and block formats, clipping, mid-rise, rounding down."""
