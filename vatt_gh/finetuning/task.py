"""The classification task: a fold of a downstream set, as records to train on and to test on."""

import dataclasses

from ml_collections import ConfigDict

from vatt_gh.data.records import Source, open_source
from vatt_gh.data.selection import read_selection
from vatt_gh.data.sources import Build, find_or_build
from vatt_gh.errors import UserError
from vatt_gh.evaluation.multi_label import MultiLabel
from vatt_gh.evaluation.protocols import PROTOCOLS, is_scored_by
from vatt_gh.media.rates import check_rate

CLASSIFIED = tuple(name for name, protocol in PROTOCOLS.items() if protocol.folds)


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set's fold.

    Attributes:
        train: records to train on.
        test: records to test on.
        test_split: name of their split.
        learnt: names of the splits to train on, joined by +.
        modality: 'video' or 'audio'.
        multi_label: whether a clip may have several classes.
    """

    train: Source
    test: Source
    test_split: str
    learnt: str
    modality: str
    multi_label: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order of their numbers."""
        return self.train.class_names


def modality_of(data: ConfigDict) -> str:
    """Returns the modality, 'video' or 'audio', that a data set is classified by.

    Args:
        data: section `data` of the configuration.

    Raises:
        UserError: the data set has no classes.
    """
    if data.builder not in CLASSIFIED:
        raise UserError(
            f"{data.builder} has no classes to learn.",
            where=f"config.data.builder = {data.builder}",
            expected=f"one of {', '.join(CLASSIFIED)}",
            todo="give one of them as --config.data.builder",
        )
    return PROTOCOLS[data.builder].modality


def open_task(data: ConfigDict, finetune: ConfigDict, build: Build | None = None) -> Task:
    """Opens the records of the fold that the configuration names.

    Args:
        data, finetune: sections of the configuration.
        build: see `find_or_build`.

    Returns:
        The task; the lists data.only and data.without select the training data.

    Raises:
        UserError: the data set has no classes or no such fold, or its records are not there.
    """
    modality = modality_of(data)
    protocol, fold = PROTOCOLS[data.builder], finetune.fold
    if fold > len(protocol.folds):
        raise UserError(
            f"{data.builder} has no fold {fold}.",
            where=f"config.finetune.fold = {fold}",
            expected=f"a number from 1 to {len(protocol.folds)}",
            todo="set --config.finetune.fold=1",
        )
    fit, test = protocol.folds[fold - 1]
    wanted = finetune.split or "+".join(protocol.finetuned or fit)
    directories = find_or_build(data, build)
    train, tested = (
        open_source(directories, data.manual_dir, split, data.unreadable_share)
        for split in (wanted, test)
    )
    _check_records(train, tested, wanted, test, data)
    return Task(
        train=dataclasses.replace(train, selection=read_selection(data.only, data.without)),
        test=tested,
        test_split=test,
        learnt=wanted,
        modality=modality,
        multi_label=is_scored_by(data.builder, MultiLabel.name),
    )


def _check_records(train: Source, test: Source, wanted: str, tested: str, data: ConfigDict) -> None:
    """Refuses to train on test records, and sound of another rate than the recipe's."""
    both = len(_places(train) & _places(test))
    if both:
        raise UserError(
            f"{both} records of the test split {tested} would be trained on.",
            where=f"config.finetune.split = {wanted}",
            expected=f"splits that have no clip in common with {tested}",
            todo="leave --config.finetune.split out, for the splits of the data set's protocol",
        )
    if modality_of(data) == "audio":
        whose = "config.data.build_audio_rate, for which windows are cut, is"
        check_rate(train.audio_rate, data.build_audio_rate, whose, train.directories[0])


def _places(source: Source) -> set[tuple[str, int]]:
    shards = source.shards
    return {(shards.files[n], int(at)) for n, at in zip(shards.shard, shards.offset, strict=True)}
