"""What bounds the error of one layer after any differences: sharp, in the 2-norm and in the max norm, and by Young."""
