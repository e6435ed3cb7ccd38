"""The checks of a whole configuration, before any work is done."""

import re
from typing import Any

from ml_collections import ConfigDict

from vatt_gh.config import SCHEMA, compares_gradients
from vatt_gh.config.schema import check_keys, misfit
from vatt_gh.loss_terms import active_terms


def validate(config: ConfigDict, *, devices: int, hosts: int) -> None:
    """Checks a whole configuration before any work is done.

    Args:
        config: the configuration.
        devices: number of devices of all hosts.
        hosts: number of hosts.

    Raises:
        UserError: names the first invalid key.
    """
    check_keys(SCHEMA, config)
    _start_fits(config)
    _data_sets_fit(config)
    _divides(
        config,
        "train.batch_size",
        devices,
        f"the {devices} devices of {hosts} host(s) take equal parts",
    )
    local = config.train.batch_size // devices
    _check(
        not config.train.microbatch or local % config.train.microbatch == 0,
        "train.microbatch",
        config.train.microbatch,
        f"a divisor of {local}, the samples of one device, or 0 for all of them",
        f"set --config.train.microbatch to a divisor of {local}",
    )
    _losses_fit(config)
    _harmonization_fits(config, local)
    _sketch_fits(config)
    _study_fits(config)
    _schedule_fits(config)
    _patches_fit(config)


def _start_fits(config: ConfigDict) -> None:
    _check(
        not config.init_from or bool(re.fullmatch("(tf|orbax):.+", config.init_from)),
        "init_from",
        config.init_from,
        "tf:PATH of the original's checkpoint, orbax:WORKDIR of a run of ours, or nothing",
        "set --config.init_from=tf:DIR/ckpt-500000",
    )


def _data_sets_fit(config: ConfigDict) -> None:
    for given in config.data.also:
        _check(
            isinstance(given, str) and bool(re.fullmatch(r"[a-z0-9_]+(/\w+)?=.+", given)),
            "data.also",
            config.data.also,
            "a tuple of BUILDER=DATA_DIR or BUILDER/SPLIT=DATA_DIR",
            "set --config.data.also=\"('youtube8m=DIR',)\"",
        )


def _losses_fit(config: ConfigDict) -> None:
    terms, harmonize = active_terms(config.loss), config.harmonize
    _check(
        bool(terms),
        "loss.video_audio_weight",
        config.loss.video_audio_weight,
        "a weight above 0 for one of the losses at least",
        "set --config.loss.video_audio_weight=1.0",
    )
    _check(
        len(terms) > 1 or not compares_gradients(config.harmonize),
        "harmonize.realign" if harmonize.realign else "harmonize.signal",
        harmonize.realign or harmonize.signal,
        f"no comparison of gradients where {terms[0].name if terms else 'none'} is the only loss",
        "give another loss a weight, or set --config.harmonize.realign=False "
        "--config.harmonize.signal=loss",
    )
    for term in terms:
        _check(
            config.model.head.kind == "joint" or term.anchor == "video",
            f"loss.{term.weight_key}",
            config.loss[term.weight_key],
            "0 with model.head.kind = 'fac', which has no space for this pair",
            "set --config.model.head.kind=joint, or the weight to 0",
        )


def _harmonization_fits(config: ConfigDict, local: int) -> None:
    harmonize, microbatch = config.harmonize, config.train.microbatch
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


def _sketch_fits(config: ConfigDict) -> None:
    harmonize = config.harmonize
    _check(
        not (harmonize.cosine_over == "features" and harmonize.sketch),
        "harmonize.cosine_over",
        harmonize.cosine_over,
        "shared or last_block where harmonize.sketch is set: at the features nothing is sketched",
        "set --config.harmonize.sketch=0 or --config.harmonize.cosine_over=shared",
    )
    _check(
        not harmonize.sketch_check or (harmonize.engine == "ghost" and harmonize.sketch > 0),
        "harmonize.sketch_check",
        harmonize.sketch_check,
        "False where the ghost engine has no sketch: nothing would differ from exact",
        "set --config.harmonize.sketch=64, or leave the check out",
    )


def _study_fits(config: ConfigDict) -> None:
    study = config.study
    _check(
        bool(study.models) and all(m in ("three_tower", "shared") for m in study.models),
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
    for name in ("noise", "seeds"):
        _check(
            bool(study[name]),
            f"study.{name}",
            study[name],
            "a tuple of one number at least",
            f"set --config.study.{name}='(0,)'",
        )


def _schedule_fits(config: ConfigDict) -> None:
    train = config.train
    _check(
        train.warmup_steps <= train.steps,
        "train.warmup_steps",
        train.warmup_steps,
        f"a number of steps between 0 and train.steps = {train.steps}",
        "set --config.train.warmup_steps to at most train.steps",
    )
    _divides(
        config,
        "eval.every",
        train.log_every,
        "scores stand in rows of metrics.jsonl, one every train.log_every steps",
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


def _divides(config: ConfigDict, name: str, parts: int, why: str) -> None:
    section, _, key = name.partition(".")
    value = config[section][key]
    nearest = max(parts, value // parts * parts)
    _check(
        value % parts == 0,
        name,
        value,
        f"a multiple of {parts}: {why}",
        f"set --config.{name}={nearest}",
    )


def _check(good: bool, key: str, value: Any, expected: str, todo: str) -> None:
    if not good:
        raise misfit(key, value, expected, todo)
