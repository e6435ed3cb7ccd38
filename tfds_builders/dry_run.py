"""Estimates what a build would do; does not import TensorFlow."""

import functools
from pathlib import Path

from tfds_builders.flag_checks import check_name, check_settings
from tfds_builders.parts import Settings
from tfds_builders.selected import selected
from tfds_builders.sets import DATA_SETS
from vatt_gh.data.selection import Selection
from vatt_gh.media.form import Form
from vatt_gh.media.survey import SAMPLE, Survey, survey
from vatt_gh.media.workers import Limits, run_in_order

_FILE_SECONDS = 20.0  # time limit for one file or trial


def dry_run(
    name: str,
    *,
    manual_dir: str | Path,
    form: Form,
    settings: Settings,
    selection: Selection | None = None,
) -> Survey:
    """Examines the files that a build would read; leaves no files behind.

    Args:
        name: a key of DATA_SETS.
        manual_dir: laid out as the set's layout in tfds_builders.sets.
        form: how videos would be stored.
        settings: settings of the build.
        selection: videos that it does not use are left out; None: none is.

    Returns:
        The survey.

    Raises:
        UserError: nothing can be built, or a setting is invalid.
    """
    check_name(name, DATA_SETS)
    check_settings(form, settings)
    limits = Limits(min(_FILE_SECONDS, settings.limits.seconds), settings.limits.gigabytes)
    run = functools.partial(run_in_order, workers=settings.workers, limits=limits)
    library = selected(DATA_SETS[name].scan(Path(manual_dir), None), selection)
    return survey(library, form, sample=SAMPLE, workers=settings.workers, run=run)
