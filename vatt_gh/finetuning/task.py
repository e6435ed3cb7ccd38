"""What is classified: a fold of a downstream set, as records to train on and to test on."""

import dataclasses

from ml_collections import ConfigDict

from vatt_gh.data.records import Source, open_source
from vatt_gh.data.selection import read_selection
from vatt_gh.data.sources import Build, find_or_build
from vatt_gh.errors import UserError
from vatt_gh.evaluation.protocols import PROTOCOLS

MULTI_LABEL = "multi_label"
CLASSIFIED = tuple(n for n, p in PROTOCOLS.items() if p.evaluator in ("linear", MULTI_LABEL))


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set's fold.

    Attributes:
        train: records to train on.
        test: records to test on.
        test_split: name of their split.
        modality: 'video' or 'audio'.
        multi_label: whether a clip may have several classes.
    """

    train: Source
    test: Source
    test_split: str
    modality: str
    multi_label: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order of their numbers."""
        return self.train.class_names


def modality_of(data: ConfigDict) -> str:
    """The modality, 'video' or 'audio', that a data set is classified by.

    Args:
        data: section of the configuration.

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


def open_task(config: ConfigDict, build: Build | None = None) -> Task:
    """Opens the records of the fold that the configuration names.

    Args:
        config: the whole configuration.
        build: see `find_or_build`.

    Returns:
        The task; the lists data.only and data.without select what is trained on.

    Raises:
        UserError: the data set has no classes or no such fold, or its records are not there.
    """
    data, modality = config.data, modality_of(config.data)
    protocol, fold = PROTOCOLS[data.builder], config.finetune.fold
    if fold > len(protocol.folds):
        raise UserError(
            f"{data.builder} has no fold {fold}.",
            where=f"config.finetune.fold = {fold}",
            expected=f"a number from 1 to {len(protocol.folds)}",
            todo="set --config.finetune.fold=1",
        )
    fit, test = protocol.folds[fold - 1]
    directories = find_or_build(data, build)
    train = open_source(
        directories,
        data.manual_dir,
        config.finetune.split or "+".join(fit),
        data.unreadable_share,
    )
    return Task(
        train=dataclasses.replace(train, selection=read_selection(data.only, data.without)),
        test=train.of_split(test),
        test_split=test,
        modality=modality,
        multi_label=protocol.evaluator == MULTI_LABEL,
    )
