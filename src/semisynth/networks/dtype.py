"""The arithmetic that a builder is asked for."""

from typing import TypeAlias

import keras

Dtype: TypeAlias = keras.DTypePolicy | None
