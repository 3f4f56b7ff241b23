"""Experiments, the store of their runs, and what is selected of it."""
