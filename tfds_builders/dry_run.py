"""What a build would do, told before it begins; TensorFlow is not imported."""

import functools
from pathlib import Path

from tfds_builders.checks import check_name, check_settings
from tfds_builders.parts import Settings
from tfds_builders.sets import DATA_SETS
from tfds_builders.workers import Limits, run_in_order
from vatt_gh.media.form import Form
from vatt_gh.media.survey import SAMPLE, Survey, survey

_SECONDS = 20.0  # for a look at a file, or for a stretch of it


def dry_run(name: str, *, manual_dir: str | Path, form: Form, settings: Settings) -> Survey:
    """Looks at what a build would begin with; writes nothing that stays.

    Args:
        name: of DATA_SETS.
        manual_dir: as the set's layout in tfds_builders.sets.
        form: how videos would be stored.
        settings: of the build.

    Returns:
        What was found.

    Raises:
        UserError: nothing can be built; a setting does not fit.
    """
    check_name(name, DATA_SETS)
    check_settings(form, settings)
    limits = Limits(min(_SECONDS, settings.limits.seconds), settings.limits.gigabytes)
    run = functools.partial(run_in_order, workers=settings.workers, limits=limits)
    library = DATA_SETS[name].scan(Path(manual_dir), None)
    return survey(library, form, sample=SAMPLE, workers=settings.workers, run=run)
