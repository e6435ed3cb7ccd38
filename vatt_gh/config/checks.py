"""The checks of a whole configuration, before any work is done."""

from collections.abc import Collection, Iterator, Sequence

from ml_collections import ConfigDict

from vatt_gh.batch import AUDIOVISUAL
from vatt_gh.config import SCHEMA, compares_gradients, default, drops_per_loss, engines_with
from vatt_gh.config.mixture import parse_entry
from vatt_gh.config.schema import check_keys, misfit, value_of
from vatt_gh.config.training import DATA, TRAINING_MODES
from vatt_gh.loss_terms import LOSS_TERMS, active_terms

_NOT_FINETUNED = (
    "train.microbatch",
    "train.adam.b1",
    "train.adam.b2",
    "train.adam.epsilon",
    "data.also",
    "data.keep_windows",
    "data.split",
)

_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz

Problem = tuple[str, str, str]  # a key that does not fit, what it has to be, and what to do


def validate(
    config: ConfigDict,
    *,
    devices: int,
    hosts: int,
    modalities: Collection[str] = AUDIOVISUAL,
) -> None:
    """Checks a whole configuration before any work is done.

    Args:
        config: the configuration.
        devices: number of devices of all hosts.
        hosts: number of hosts.
        modalities: modalities whose windows have to consist of whole patches.

    Raises:
        UserError: names the first invalid key.
    """
    check_keys(SCHEMA, config)
    for key, expected, todo in _problems(config, devices, hosts, modalities):
        raise misfit(key, value_of(config, key), expected, todo)


def _problems(
    config: ConfigDict, devices: int, hosts: int, modalities: Collection[str]
) -> Iterator[Problem]:
    """Yields the problems; each check may rely on those before it."""
    yield from _of_batch(config, devices, hosts)
    yield from _of_mixture(config.data)
    if config.mode == "finetune":
        yield from _of_finetuning(config)
    else:
        yield from _of_losses(config)
        yield from _of_harmonization(config, config.train.batch_size // devices)
        yield from _of_sketch(config.harmonize)
        yield from _of_study(config)
    if config.mode in ("demo", "study"):
        yield from _of_corpus(config.demo)
    yield from _of_mel(config.model.audio.spectrogram)
    yield from _of_schedule(config)
    yield from _of_extract_and_search(config)
    if "video" in modalities:
        yield from _of_video_patches(config)
    if "audio" in modalities:
        yield from _of_audio_patches(config)
    yield from _of_words(config)


def _of_batch(config: ConfigDict, devices: int, hosts: int) -> Iterator[Problem]:
    batch_size, microbatch = config.train.batch_size, config.train.microbatch
    why = f"the {devices} devices of {hosts} host(s) take equal parts"
    yield from _unless_multiple(config, "train.batch_size", devices, why)
    local = batch_size // devices
    if microbatch and local % microbatch:
        yield (
            "train.microbatch",
            f"a divisor of {local}, the samples of one device, or 0 for all of them",
            f"set --config.train.microbatch to a divisor of {local}",
        )


def _of_mixture(data: ConfigDict) -> Iterator[Problem]:
    known = DATA["builder"].allowed()
    for given in data.also:
        name = parse_entry(given).builder
        if known and name not in known:
            yield (
                "data.also",
                f"NAME=DIR or NAME/SPLIT=DIR with a data set's name, one of {', '.join(known)}",
                f"mend {name!r}",
            )


def _of_losses(config: ConfigDict) -> Iterator[Problem]:
    terms = active_terms(config.loss)
    if not terms:
        name = f"loss.{next(iter(LOSS_TERMS.values())).weight_key}"
        yield name, "above 0, or else the weight of another loss", f"set --config.{name}=1.0"
    if len(terms) == 1 and compares_gradients(config.harmonize):
        yield (
            "harmonize.realign" if config.harmonize.realign else "harmonize.signal",
            f"{'False' if config.harmonize.realign else 'loss or random'}: the only loss is "
            f"{terms[0].name}, and its gradient has no other to be compared with",
            "give another loss a weight, or set --config.harmonize.realign=False "
            "--config.harmonize.signal=loss",
        )
    for term in terms:
        if config.model.head.kind != "joint" and term.anchor != "video":
            yield (
                f"loss.{term.weight_key}",
                "0 with model.head.kind = 'fac', which has no space for this pair",
                "set --config.model.head.kind=joint, or the weight to 0",
            )


def _of_harmonization(config: ConfigDict, local: int) -> Iterator[Problem]:
    harmonize, microbatch = config.harmonize, config.train.microbatch
    whole_share = max(harmonize.share_start, harmonize.share_end) >= 1
    if drops_per_loss(harmonize) and (harmonize.select != "share" or whole_share):
        yield (
            "harmonize.signal",
            f"cosine: {harmonize.signal} needs harmonize.select = 'share', and shares below 1",
            "set --config.harmonize.select=share --config.harmonize.share_end=0.25",
        )
    together = microbatch or local
    if together % harmonize.group:
        yield (
            "harmonize.group",
            f"a divisor of {together}, the samples that a device encodes at a time",
            f"set --config.harmonize.group to a divisor of {together}, or 1",
        )
    by_cosine = harmonize.curriculum and harmonize.signal == "cosine"
    if (
        by_cosine
        and harmonize.select == "share"
        and harmonize.cosine_over != "features"
        and microbatch not in (0, local)
    ):
        yield (
            "harmonize.select",
            "threshold, because train.microbatch is set: to drop a share, all cosines of the batch "
            "have to be known at once",
            "set --config.train.microbatch=0 or --config.harmonize.select=threshold",
        )


def _of_sketch(harmonize: ConfigDict) -> Iterator[Problem]:
    if harmonize.cosine_over == "features" and harmonize.sketch:
        yield (
            "harmonize.cosine_over",
            "shared or last_block, because harmonize.sketch is set: features are not sketched",
            "set --config.harmonize.sketch=0 or --config.harmonize.cosine_over=shared",
        )
    sketching = engines_with("sketch")
    if harmonize.sketch and harmonize.engine not in sketching:
        yield (
            "harmonize.sketch",
            f"0 with the engine {harmonize.engine}, which cannot sketch",
            f"set --config.harmonize.sketch=0 or --config.harmonize.engine={sketching[0]}",
        )
    if harmonize.sketch_check and not harmonize.sketch:
        yield (
            "harmonize.sketch_check",
            "False without a sketch: there is nothing to check",
            "set --config.harmonize.sketch=64, or leave the check out",
        )


def _of_corpus(demo: ConfigDict) -> Iterator[Problem]:
    if demo.audio_rate not in _AAC_RATES:
        yield (
            "demo.audio_rate",
            f"a rate of AAC, {', '.join(map(str, _AAC_RATES))}",
            "set --config.demo.audio_rate=8000",
        )
    if demo.max_seconds < demo.min_seconds:
        yield (
            "demo.max_seconds",
            f"at least demo.min_seconds = {demo.min_seconds}",
            "set --config.demo.min_seconds to at most that",
        )
    if demo.max_scene_seconds < 2 * demo.min_scene_seconds:
        yield (
            "demo.max_scene_seconds",
            f"at least twice demo.min_scene_seconds = {demo.min_scene_seconds}, so that scenes of "
            "drawn lengths fill any video",
            "set --config.demo.min_scene_seconds to at most half of that",
        )


def _of_mel(spectrogram: ConfigDict) -> Iterator[Problem]:
    if spectrogram.mel_high_hz <= spectrogram.mel_low_hz:
        yield (
            "model.audio.spectrogram.mel_high_hz",
            f"more than model.audio.spectrogram.mel_low_hz = {spectrogram.mel_low_hz}",
            "set --config.model.audio.spectrogram.mel_low_hz below it",
        )


def _of_study(config: ConfigDict) -> Iterator[Problem]:
    study, batch_size = config.study, config.train.batch_size
    enough = config.data.keep_windows and study.signal_windows >= batch_size
    if study.signal_windows and not enough:
        yield (
            "study.signal_windows",
            f"0, or at least a batch ({batch_size}) of kept windows",
            "set --config.data.keep_windows=True, or leave the signals out",
        )


def _of_schedule(config: ConfigDict) -> Iterator[Problem]:
    train = config.train
    if train.warmup_steps > train.steps:
        yield (
            "train.warmup_steps",
            f"a number of steps between 0 and train.steps = {train.steps}",
            "set --config.train.warmup_steps to at most train.steps",
        )
    if train.keep_best and config.mode in TRAINING_MODES and not config.eval.every:
        yield (
            "train.keep_best",
            "empty, because eval.every is 0: no checkpoint gets a score",
            "set --config.eval.every, or leave --config.train.keep_best out",
        )
    why = "scores are written to rows of metrics.jsonl, one every train.log_every steps"
    yield from _unless_multiple(config, "eval.every", train.log_every, why)


def _of_extract_and_search(config: ConfigDict) -> Iterator[Problem]:
    search = config.search
    if config.mode == "extract" and not config.extract.videos:
        yield (
            "extract.videos",
            "a folder with videos or sound files",
            "add --config.extract.videos=FOLDER",
        )
    if config.mode == "search" and bool(search.query) == bool(search.file):
        yield (
            "search.query",
            f"a sentence, or empty with a file in search.file, which is {search.file!r}",
            'add --config.search.query="...", or leave one of them out',
        )


def _of_finetuning(config: ConfigDict) -> Iterator[Problem]:
    for name in _NOT_FINETUNED:
        unused = value_of(default(), name)
        if value_of(config, name) != unused:
            yield name, f"{unused!r}: fine-tuning does not use it", f"leave --config.{name} out"


def _of_video_patches(config: ConfigDict) -> Iterator[Problem]:
    frames, rows, columns = patch = tuple(config.model.video.patch)
    for name, length in (("frames", frames), ("size", rows), ("size", columns)):
        if config.data[name] % length:
            yield (
                f"data.{name}",
                f"a multiple of model.video.patch = {patch}",
                f"set --config.data.{name} to a multiple of {length}",
            )
    grid = (config.data.frames // frames, config.data.size // rows, config.data.size // columns)
    yield from _of_table("model.video.buckets", config.model.video.buckets, grid)


def _of_audio_patches(config: ConfigDict) -> Iterator[Problem]:
    audio = config.model.audio
    if audio.input == "waveform" and config.data.audio_samples % audio.patch:
        yield (
            "data.audio_samples",
            f"a multiple of model.audio.patch = {audio.patch}",
            f"set --config.data.audio_samples to a multiple of {audio.patch}",
        )
    elif audio.input == "waveform":
        count = config.data.audio_samples // audio.patch
        yield from _of_table("model.audio.buckets", (audio.buckets,), (count,))
    else:
        mel = audio.spectrogram
        frames = -(-config.data.audio_samples // mel.hop)
        grid = (frames // mel.patch[0], mel.mel_bins // mel.patch[1])
        if not all(grid):
            yield (
                "model.audio.spectrogram.patch",
                f"at most {(frames, mel.mel_bins)}, the frames and mel bins of the spectrogram",
                "set a smaller --config.model.audio.spectrogram.patch",
            )
        yield from _of_table("model.audio.spectrogram.buckets", mel.buckets, grid)


def _of_words(config: ConfigDict) -> Iterator[Problem]:
    text, shared = config.model.text, config.model.kind == "shared"
    if shared or text.kind == "bert":
        yield from _of_table("model.text.buckets", (text.buckets,), (config.data.words,))
    if not shared and text.kind == "t5" and 4 * text.relative_max_distance <= text.relative_buckets:
        yield (
            "model.text.relative_max_distance",
            f"more than a quarter of model.text.relative_buckets = {text.relative_buckets}",
            f"set --config.model.text.relative_max_distance={2 * text.relative_buckets}",
        )


def _of_table(name: str, rows: Sequence[int], grid: Sequence[int]) -> Iterator[Problem]:
    """Refuses position tables of one row for several positions: there is nothing to stretch."""
    if any(count == 1 < length for count, length in zip(rows, grid, strict=True)):
        yield (
            name,
            f"2 rows or more for several positions; there are {tuple(grid)}",
            f"give --config.{name} more rows",
        )


def _unless_multiple(config: ConfigDict, name: str, parts: int, why: str) -> Iterator[Problem]:
    value = value_of(config, name)
    if value % parts:
        nearest = max(parts, value // parts * parts)
        yield name, f"a multiple of {parts}: {why}", f"set --config.{name}={nearest}"
