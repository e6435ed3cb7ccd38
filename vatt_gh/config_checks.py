"""The checks of a whole configuration, before any work is done."""

import re
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.config import get
from vatt_gh.errors import UserError

MODES = ("pretrain", "evaluate", "describe", "demo", "study")
VIDEO_AUGMENTATIONS = ("none", "crop", "inception")
POSITIVE = (
    "loss.temperature",
    "train.steps",
    "train.batch_size",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "data.build_workers",
    "data.frames",
    "data.fps",
    "data.size",
    "data.audio_samples",
    "data.candidates",
    "data.words",
    "data.windows_per_segment",
    "harmonize.group",
    "study.signal_visits",
    "data.parallel_reads",
    "eval.batch_size",
    "eval.max_clips",
)
NOT_NEGATIVE = (
    "eval.probe_clips",
    "harmonize.curriculum_begin",
    "harmonize.curriculum_steps",
    "harmonize.sketch",
    "train.log_samples_every",
    "study.signal_windows",
    "data.prefetch",
)


def validate(config: ConfigDict, *, devices: int, hosts: int) -> None:
    """Checks a whole configuration before any work is done.

    Args:
        config: the configuration.
        devices: number of devices of all hosts.
        hosts: number of hosts.

    Raises:
        UserError: names the first key that does not fit.
    """
    _one_of(config, "mode", MODES)
    _one_of(config, "init_stretch", ("auto", "spline", "linear"))
    _check(
        not config.init_from or bool(re.fullmatch("(tf|orbax):.+", config.init_from)),
        "init_from",
        config.init_from,
        "tf:PATH of the original's checkpoint, orbax:WORKDIR of a run of ours, or nothing",
        "set --config.init_from=tf:DIR/ckpt-500000",
    )
    for given in config.data.also:
        _check(
            isinstance(given, str) and bool(re.fullmatch(r"[a-z0-9_]+(/\w+)?=.+", given)),
            "data.also",
            config.data.also,
            "a tuple of BUILDER=DATA_DIR or BUILDER/SPLIT=DATA_DIR",
            "set --config.data.also=\"('youtube8m=DIR',)\"",
        )
    _one_of(config, "model.kind", ("three_tower", "shared"))
    _one_of(config, "model.dtype", ("float32", "bfloat16"))
    _one_of(config, "model.audio.input", ("waveform", "spectrogram"))
    _one_of(config, "model.text.kind", ("t5", "bert", "linear"))
    _one_of(config, "model.head.kind", ("fac", "joint"))
    _one_of(config, "loss.kind", ("asymmetric_nce", "symmetric_nce"))
    _one_of(config, "data.augmentation", VIDEO_AUGMENTATIONS)
    _one_of(config, "harmonize.engine", ("ghost", "vmap"))
    _one_of(config, "harmonize.attribution", ("embedding", "anchor"))
    _one_of(config, "harmonize.select", ("threshold", "share"))
    _one_of(config, "harmonize.signal", ("cosine", "loss"))
    _one_of(config, "harmonize.cosine_over", ("shared", "last_block", "features"))
    _one_of(config, "harmonize.update", ("same", "embedding"))
    _check(
        not (config.harmonize.cosine_over == "features" and config.harmonize.sketch),
        "harmonize.cosine_over",
        config.harmonize.cosine_over,
        "shared or last_block where harmonize.sketch is set: at the features nothing is sketched",
        "set --config.harmonize.sketch=0 or --config.harmonize.cosine_over=shared",
    )
    _check(
        not config.harmonize.sketch_check
        or (config.harmonize.engine == "ghost" and config.harmonize.sketch > 0),
        "harmonize.sketch_check",
        config.harmonize.sketch_check,
        "False where the ghost engine has no sketch: nothing would differ from exact",
        "set --config.harmonize.sketch=64, or leave the check out",
    )
    for key in POSITIVE:
        _check(get(config, key) > 0, key, get(config, key), "a positive number", f"set {key} > 0")
    for key in NOT_NEGATIVE:
        _check(get(config, key) >= 0, key, get(config, key), "0 or more", f"set {key} >= 0")
    _divides(config, "train.batch_size", devices, f"the {devices} devices of {hosts} host(s)")
    local = config.train.batch_size // devices
    _check(
        not config.train.microbatch
        or (config.train.microbatch > 0 and local % config.train.microbatch == 0),
        "train.microbatch",
        config.train.microbatch,
        f"a divisor of {local}, the samples of one device, or 0 for all of them",
        f"set --config.train.microbatch to a divisor of {local}",
    )
    _harmonization_fits(config, local)
    _study_fits(config)
    _schedule_fits(config)
    _check(
        0 < config.model.keep_tokens <= 1,
        "model.keep_tokens",
        config.model.keep_tokens,
        "a share in (0, 1]",
        "set 0.5 to keep half of the tokens, 1.0 to keep all",
    )
    _patches_fit(config)


def _harmonization_fits(config: ConfigDict, local: int) -> None:
    harmonize, microbatch = config.harmonize, config.train.microbatch
    for key in ("harmonize.share_start", "harmonize.share_end"):
        _check(
            0 <= get(config, key) <= 1,
            key,
            get(config, key),
            "a share between 0 and 1",
            f"set --config.{key}=0.25 to drop a quarter of the batch",
        )
    ends = harmonize.share_start, harmonize.share_end
    by_loss = harmonize.curriculum and harmonize.signal == "loss"
    _check(
        not by_loss or (harmonize.select == "share" and max(ends) < 1),
        "harmonize.signal",
        harmonize.signal,
        "cosine where select is threshold; by their loss a share of the samples is dropped, "
        "which is below 1",
        "set --config.harmonize.select=share --config.harmonize.share_end=0.25",
    )
    together = microbatch or local
    _check(
        together % harmonize.group == 0,
        "harmonize.group",
        harmonize.group,
        f"a divisor of {together}, the samples that pass a device at a time",
        f"set --config.harmonize.group to a divisor of {together}, or 1",
    )
    _check(
        not (harmonize.curriculum and harmonize.signal == "cosine")
        or harmonize.select == "threshold"
        or harmonize.cosine_over == "features"
        or microbatch in (0, local),
        "harmonize.select",
        harmonize.select,
        "threshold where train.microbatch is set: the share is that of a whole batch, whose "
        "cosines are not known microbatch by microbatch",
        "set --config.train.microbatch=0 or --config.harmonize.select=threshold",
    )


def _study_fits(config: ConfigDict) -> None:
    study = config.study
    _check(
        isinstance(study.models, tuple)
        and bool(study.models)
        and {*study.models} <= {"three_tower", "shared"},
        "study.models",
        study.models,
        "a tuple of three_tower, shared",
        "set --config.study.models=\"('three_tower',)\"",
    )
    _check(
        not study.signal_windows
        or (config.data.keep_windows and study.signal_windows >= config.train.batch_size),
        "study.signal_windows",
        study.signal_windows,
        f"0, or at least a batch ({config.train.batch_size}) of kept windows",
        "set --config.data.keep_windows=True, or leave the signals out",
    )
    _check(
        isinstance(study.noise, tuple)
        and bool(study.noise)
        and all(0 <= share <= 1 for share in study.noise),
        "study.noise",
        study.noise,
        "a tuple of shares between 0 and 1",
        "set --config.study.noise='(0.0, 0.25)'",
    )
    _check(
        isinstance(study.seeds, tuple)
        and bool(study.seeds)
        and all(isinstance(seed, int) for seed in study.seeds),
        "study.seeds",
        study.seeds,
        "a tuple of whole numbers",
        "set --config.study.seeds='(0, 1, 2)'",
    )


def _schedule_fits(config: ConfigDict) -> None:
    train = config.train
    steps, warmup, rates = train.steps, train.warmup_steps, train.learning_rates
    _check(
        0 <= warmup <= steps,
        "train.warmup_steps",
        warmup,
        f"a number of steps between 0 and train.steps = {steps}",
        "set --config.train.warmup_steps to at most train.steps",
    )
    _check(
        len(rates) == 2 and all(isinstance(rate, int | float) and rate >= 0 for rate in rates),
        "train.learning_rates",
        rates,
        "two numbers, the rate after the warm-up and the one at the end",
        "set --config.train.learning_rates='(1e-4, 5e-5)'",
    )


def _patches_fit(config: ConfigDict) -> None:
    frames, rows, columns = config.model.video.patch
    for key, length, patch in (
        ("data.frames", config.data.frames, frames),
        ("data.size", config.data.size, rows),
        ("data.size", config.data.size, columns),
    ):
        _check(
            length % patch == 0 and length > 0,
            key,
            length,
            f"a multiple of model.video.patch = {tuple(config.model.video.patch)}",
            f"set --config.{key} to a multiple of {patch}",
        )
    if config.model.audio.input == "waveform":
        samples, patch = config.data.audio_samples, config.model.audio.patch
        _check(
            samples % patch == 0,
            "data.audio_samples",
            samples,
            f"a multiple of model.audio.patch = {patch}",
            f"set --config.data.audio_samples to a multiple of {patch}",
        )


def _one_of(config: ConfigDict, key: str, choices: tuple[str, ...]) -> None:
    value = get(config, key)
    _check(value in choices, key, value, f"one of {', '.join(choices)}", f"set --config.{key}=...")


def _divides(config: ConfigDict, key: str, parts: int, of_what: str) -> None:
    value = get(config, key)
    nearest = max(parts, value // parts * parts)
    _check(
        value % parts == 0,
        key,
        value,
        f"a multiple of {parts}: {of_what} take equal parts",
        f"set --config.{key}={nearest}",
    )


def _check(good: bool, key: str, value: Any, expected: str, todo: str) -> None:
    if not good:
        raise UserError(
            f"config.{key} = {value!r} does not fit.",
            where=f"config.{key}",
            expected=expected,
            todo=todo,
        )
