"""Semi-supervised image classification with synthesized labelled images."""

import os

# TensorFlow reports a missing GPU and optimizer trivia as errors; what fails still raises in Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
