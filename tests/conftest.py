"""How the suite uses a machine: two processes, one thread each, the longest files first."""

import gc
import os

# before PyTorch is imported: its idle threads spin, on the other process's core
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: The others follow by name, and fill what is left of the time.
LONGEST = ("pages", "book", "command_line", "project", "cluster", "cuda", "published", "training")


def pytest_collection_finish():
    """Look for garbage in what tests make only: statsmodels does each time, half a second long."""
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Hand out the longest files first, so that both processes end at about the same time."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
