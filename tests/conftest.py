"""What serves all tests: a core for each of two workers, and the longest files first."""

import os

LONGEST = ("test_pipeline.py", "test_synthesizers.py", "test_distributed.py", "test_evaluate_synthetic.py")
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

# Before TensorFlow is imported. The commands that test_pipeline.py starts have as many threads as a user's.
os.environ.update(dict.fromkeys(THREADS, "1"))


def pytest_collection_modifyitems(items):
    """Begin with the files that take minutes, so that none is what the other worker waits for at the end."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))
