"""A training as `python -m vatt_gh.main`, in which one sample is not finite.

    python -m tests.nan_child STEP FLAGS

The sound of the first sample of step STEP is NaN.
"""

import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from vatt_gh import batch as names
from vatt_gh.main import command
from vatt_gh.training import loop


def main() -> None:
    """See the module."""
    broken, batches = int(sys.argv.pop(1)), loop.training_batches

    def with_nan(sources, tokenizer, config, *, position: int, **rest) -> Iterator[tuple]:
        first = position // config.train.batch_size + 1
        with closing(batches(sources, tokenizer, config, position=position, **rest)) as given:
            for step, (arrays, host) in enumerate(given, start=first):
                if step == broken:
                    audio, mask = arrays[names.AUDIO].copy(), arrays[names.AUDIO_MASK].copy()
                    audio[0], mask[0] = np.nan, True
                    arrays = {**arrays, names.AUDIO: audio, names.AUDIO_MASK: mask}
                yield arrays, host

    loop.training_batches = with_nan
    command()


if __name__ == "__main__":
    main()
