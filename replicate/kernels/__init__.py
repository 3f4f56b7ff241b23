"""The slow parts of the model, fast: the same numbers from the same parameters."""
