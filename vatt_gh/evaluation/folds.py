"""Which clips of a downstream set a classifier is fitted on, and which it is tested on."""

from collections.abc import Sequence

import numpy as np

from vatt_gh.errors import UserError
from vatt_gh.evaluation.protocols import Fold


def clips_of(
    fold: Fold, splits: Sequence[set[str]], kinds: Sequence[object], builder: str
) -> tuple[np.ndarray, np.ndarray]:
    """Picks the clips of a fold.

    Args:
        fold: names of the splits to fit on, and of the one to test on.
        splits: for each of N clips, the official splits that it belongs to.
        kinds: the class of each clip; fitting needs two classes or more. Where any two clips do,
            the clip's number.
        builder: name of the data set, for the message.

    Returns:
        [N] bool of the clips to fit on, and of those to test on.

    Raises:
        UserError: the clips to fit on are of one kind, or none is to be tested.
    """
    fit, test = fold
    fitted = np.array([bool({*fit} & mine) for mine in splits])
    tested = np.array([test in mine for mine in splits])
    if len({kinds[n] for n in np.flatnonzero(fitted)}) < 2 or not tested.any():
        raise UserError(
            f"There are too few clips to classify: {fitted.sum()} to fit on in "
            f"{', '.join(fit)}, {tested.sum()} to test in {test}.",
            where=f"the records of {builder}",
            expected="two clips to fit on (of two classes, where a clip has one), and one to test",
            todo="build all splits of the data set",
        )
    return fitted, tested
