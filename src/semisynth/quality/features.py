"""What every measure of two sets of features asks of them."""

import numpy as np
from numpy.typing import NDArray


def check_features(*sets: NDArray[np.floating], least: int = 2) -> None:
    """ValueError unless all are finite, (n, d) with one d, and n is `least` or more."""
    for features in sets:
        if features.ndim != 2 or len(features) < least:
            raise ValueError(
                f"expected features of shape (n, d) with n of at least {least}, received {features.shape}"
            )
        if not np.isfinite(features).all():
            raise ValueError("expected finite features, received NaN or infinity")
    if len({features.shape[1] for features in sets}) > 1:
        raise ValueError(f"expected features of one width, received {' and '.join(str(s.shape) for s in sets)}")
