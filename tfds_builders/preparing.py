"""Prepares a data set with TFDS: checks before, notes and the record index after."""

import dataclasses
import errno
import math
import os
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from tfds_builders.howto100m import Howto100m, Howto100mConfig
from vatt_gh.data.record_index import write_index
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form
from vatt_gh.media.library import Library, scan

BUILDERS = {"howto100m": (Howto100m, Howto100mConfig)}


def build(
    name: str,
    *,
    manual_dir: str | Path,
    data_dir: str | Path,
    form: Form,
    workers: int,
) -> Path:
    """Builds records; returns at once where they are built already.

    Args:
        name: of BUILDERS.
        manual_dir: videos and captions, see vatt_gh.media.library.LAYOUT.
        data_dir: where records go.
        form: how videos are stored.
        workers: processes that decode.

    Returns:
        The directory that tfds.builder_from_directory opens.

    Raises:
        UserError: nothing can be built; a setting does not fit; records with other settings are
            there; the disk is full.
    """
    if name not in BUILDERS:
        raise UserError(
            f"There is no builder {name!r}.",
            where="the builder's name",
            expected=f"one of {', '.join(BUILDERS)}",
            todo="give one of these names",
        )
    cls, config_cls = BUILDERS[name]
    settings = dataclasses.asdict(form)
    _check_settings({**settings, "workers": workers})
    data_dir = Path(data_dir)
    for info in (data_dir / name).glob("*/*/dataset_info.json"):
        _check_same(info.parent, settings)
        return info.parent
    # TFDS keeps the names of a builder's own configs for their own settings.
    config = config_cls(name=f"jpeg_{form.short_side}_{form.fps:g}fps", workers=workers, **settings)
    builder = cls(config=config, data_dir=str(data_dir))
    version_dir = Path(str(builder.data_dir))
    builder.library = scan(Path(manual_dir))
    builder.spool_dir = data_dir
    _check_room(builder.library, data_dir)
    _prepare(builder, Path(manual_dir), data_dir)
    counts = builder.counts
    parts = [f"{counts[n]} {n}" for n in ("videos", "segments", "captions")]
    parts += [f"{counts['milliseconds'] / 3.6e6:.2f} hours"]
    parts += [f"{counts[n]} {n}" for n in ("without sound", "without captions")]
    print(f"{name}: {', '.join(parts)}, {len(builder.skipped)} skipped", flush=True)
    return version_dir


def _prepare(builder: Howto100m, manual_dir: Path, data_dir: Path) -> None:
    # No statistics: they would read everything once more.
    download = tfds.download.DownloadConfig(
        manual_dir=str(manual_dir), compute_stats=tfds.download.ComputeStatsMode.SKIP
    )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        builder.download_and_prepare(download_config=download)
        write_index(Path(str(builder.data_dir)))
    except (OSError, tf.errors.ResourceExhaustedError) as error:
        # TensorFlow's own errors have no number, but the system's words.
        if not any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT)):
            raise
        raise UserError(
            "The disk became full while records were built; what was built before is untouched.",
            where=data_dir,
            expected="room for the records",
            todo="free some space or give another --data_dir, and build again",
        ) from error


def _check_settings(settings: dict[str, float]) -> None:
    for key, value in settings.items():
        if not 0 < value < math.inf or (key == "jpeg_quality" and value > 95):
            raise UserError(
                f"{key} = {value} does not fit.",
                where=f"--{key} (config.data.build_{key})",
                expected="1 to 95" if key == "jpeg_quality" else "a positive number",
                todo=f"give another --{key}",
            )


def _check_room(library: Library, data_dir: Path) -> None:
    """Refuses to start where not even the originals' size is free."""
    needed = sum(path.stat().st_size for _, path in library.videos)
    existing = next(p for p in [data_dir, *data_dir.absolute().parents] if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"The disk has {free / 1e9:.1f} GB free; the videos alone have {needed / 1e9:.1f} GB.",
            where=data_dir,
            expected="more room than the videos take; JPEG records often take several times it",
            todo="free some space or give another --data_dir",
        )


def _check_same(version_dir: Path, settings: dict[str, Any]) -> None:
    stored = tfds.builder_from_directory(str(version_dir)).info.metadata
    other = {k: stored.get(k) for k, v in settings.items() if stored.get(k) != v}
    if other:
        lines = [f"{key}: there {value}, now {settings[key]}" for key, value in other.items()]
        raise UserError(
            f"Records with other settings are there already: {'; '.join(lines)}.",
            where=version_dir,
            expected="the same settings",
            todo="give another --data_dir, or the settings of the records",
        )
