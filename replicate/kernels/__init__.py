"""The slow parts of the model, fast: the same numbers from the same parameters."""

from replicate.kernels.kept import check_what_is_kept

check_what_is_kept()
