"""Checkpoints with Orbax: the whole state, the input's position, and digests of it all."""

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.media.rates import check_rate
from vatt_gh.report.jsonl import METRICS
from vatt_gh.training.digests import (
    ARRAYS,
    Damaged,
    PendingMetadata,
    check_arrays,
    checked,
    names_of,
)
from vatt_gh.training.metadata import MetadataHandler, RestoreMetadata, SaveMetadata
from vatt_gh.training.parallel import (
    all_hosts,
    first_host_first,
    from_first_host,
    to_global,
    to_local,
)
from vatt_gh.training.reading import damage_named, newest_whole, print_on_first_host
from vatt_gh.training.retention import BestStep, KeptCheckpoints
from vatt_gh.training.step import TrainState


class Checkpoints:
    """The checkpoints of one work directory; use as a context manager.

    Args:
        workdir: the work directory; its folder `checkpoints` is used.
        train: section of the configuration.
        records: number of records of each data set, which determine the meaning of an input
            position; (): the position is ignored.
        audio_rate: sample rate of the sound, in Hz; None: it is not compared.
        selection: digest of the lists data.only and data.without, "" without them; None: it is
            not compared.
        owned: this process, or its pod, owns the work directory: partial saves of a killed
            process are removed. Others may read it beside a training that is saving.
    """

    def __init__(
        self,
        workdir: Path,
        train: ConfigDict,
        records: Sequence[int] = (),
        audio_rate: int | None = None,
        selection: str | None = None,
        *,
        owned: bool = False,
    ):
        # Orbax takes only absolute paths, and reports others only from a background thread.
        self._directory = (Path(workdir) / "checkpoints").absolute()
        self._best = BestStep(train.keep_best, Path(workdir) / METRICS)
        self._kept = KeptCheckpoints(train.keep_checkpoints, train.checkpoint_every, self._best.of)
        self._owned = owned
        self._manager = self._open(clean=owned)
        self._records, self._audio_rate, self._selection = list(records), audio_rate, selection
        self._vocabulary = Path(workdir) / "vocabulary.txt"

    def _open(self, *, clean: bool) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._kept, create=True, cleanup_tmp_directories=clean
        )
        # Registered first, so that a checkpoint's metadata can be read without its arrays.
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": MetadataHandler()}
        return ocp.CheckpointManager(self._directory, options=options, item_handlers=handlers)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def latest(self) -> int | None:
        """Returns the step of the newest checkpoint, or None; every host has to ask."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """Lists the steps of all kept checkpoints, in order, as the first host sees them.

        Every host has to ask: a shared disk may show them different folders.
        """
        return from_first_host(sorted(self._manager.all_steps()))

    def steps_on_disk(self) -> list[int]:
        """Lists the steps as they are now: another process may save and delete checkpoints."""
        self._manager.reload()
        return self.steps()

    def best(self) -> int | None:
        """Finds the step of the checkpoint with the best train.keep_best; None: none has the score.

        Every host has to ask.
        """
        return self._best.of(self.steps())

    def is_better(self, step: int, scores: Mapping[str, float]) -> bool:
        """Tells whether a step beats all kept checkpoints by train.keep_best; notes its score.

        Every host has to ask, and hears what the first one's scores say.

        Args:
            step: the scored step.
            scores: scores by their names in metrics.jsonl; {}: it has none.
        """
        return self._best.note(step, scores, self.steps()) if scores else False

    def check_named(self, scores: Mapping[str, float]) -> None:
        """Refuses a train.keep_best that is no score.

        Args:
            scores: scores by their names in metrics.jsonl; {}: there are none yet.

        Raises:
            UserError: it is none of them.
        """
        if scores:
            self._best.check_named(scores)

    def save(self, state: TrainState, position: int) -> None:
        """Saves in the background; does not overwrite a checkpoint of the same step.

        Every host has to call this.

        Args:
            state: replicated state.
            position: samples that the input pipeline has yielded, on all hosts together.
        """
        step = int(state.step)
        if step in self.steps():
            return
        meta = {
            "position": position,
            "records": self._records,
            "vocabulary": self._digest(),
            "audio_rate": self._audio_rate,
            "selection": self._selection,
        }
        described = PendingMetadata(meta, names_of(state))
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(to_global(state)),
                    meta=SaveMetadata(described.finish),
                ),
            )
        finally:  # Orbax's part of the wait is shorter while the devices are idle
            if jax.process_index() == 0:
                described.start()

    def settle(self) -> None:
        """Waits for earlier saves; reports one that has failed, and does not raise it.

        Every host has to call this.
        """
        failure = ""
        try:
            self.wait()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
        failures = [told for told in all_hosts(failure) if told]
        if failures:
            print_on_first_host(f"A checkpoint could not be saved: {failures[0]}")
            # Orbax tells a failure several times, each time in place of what is asked for.
            with suppress(Exception):
                self._manager.close()
            # Writes of the failed save may still go on. Orbax fails where it cannot remove them.
            self._manager = self._open(clean=False)
            if self._owned and jax.process_index() == 0:
                for path in self._directory.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"):
                    shutil.rmtree(path, ignore_errors=True)

    def check_saved(self) -> None:
        """Raises the error of a failed save in the background, before more steps are taken."""
        self._manager.check_for_errors()

    def wait(self) -> None:
        """Waits until the checkpoints that were saved are on disk."""
        self._manager.wait_until_finished()

    def restore(
        self, like: TrainState, step: int | None = None, *, set_aside: bool = False
    ) -> tuple[TrainState, int]:
        """Restores a checkpoint; a damaged newest one is not used, with a message.

        Args:
            like: a replicated state with the wanted shapes, dtypes and placement.
            step: step of the checkpoint; None: the newest that is whole.
            set_aside: moves damaged ones to the work directory's folder `damaged`, so that the run
                can save these steps again.

        Returns:
            The state and the input position.

        Raises:
            UserError: there is no checkpoint, it does not match the model, the records, their sound
                or the vocabulary, or none is whole.
        """
        self.wait()  # a checkpoint may still be in progress
        steps = self.steps()[::-1] if step is None else [step]
        if not steps:
            raise UserError(
                "There is no checkpoint to read.",
                where=self._directory,
                expected="a checkpoint written by pre-training",
                todo="run pre-training with this --workdir first",
            )
        found, damaged = newest_whole(
            steps,
            lambda step: self._read(step, like),
            where=self._directory,
            todo="put a copy of it back, or start another --workdir",
        )
        if set_aside and damaged:
            self._set_aside(damaged)
        return found

    def audio_rate(self) -> int | None:
        """Returns the rate of the sound used in training, in Hz; None: no checkpoint says it."""
        for step in self.steps()[::-1]:
            try:
                return self._meta(step).get("audio_rate")
            except Damaged:
                continue  # `restore` says what is wrong with it
        return None

    def _read(self, step: int, like: TrainState) -> tuple[TrainState, int]:
        """Reads a checkpoint's state and position.

        Raises:
            Damaged: it is not as it was written.
        """
        meta = self._meta(step)
        self._check_run(step, meta)
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, to_global(like))
        self._check_shapes(step, meta, {n: x.shape for n, x in names_of(target).items()})
        wanted = ocp.args.Composite(state=ocp.args.StandardRestore(target))
        with damage_named():
            state = to_local(self._manager.restore(step, args=wanted)["state"])
        check_arrays(meta, names_of(state))
        return state, meta["position"]

    def _meta(self, step: int) -> dict[str, Any]:
        with damage_named():
            wanted = ocp.args.Composite(meta=RestoreMetadata())
            meta = self._manager.restore(step, args=wanted)["meta"]
        return checked(meta)

    def _set_aside(self, steps: list[int]) -> None:
        def move() -> None:
            if jax.process_index() != 0:  # all share the disk
                return
            folder = self._directory.with_name("damaged")
            folder.mkdir(exist_ok=True)
            for step in steps:
                place = self._directory / str(step)
                if place.exists():  # else it is gone altogether
                    place.rename(folder / f"{step}-{time.strftime('%Y%m%d-%H%M%S')}")
                    print_on_first_host(f"It is kept in {folder}.")

        first_host_first(move)
        self._manager.reload()

    def _digest(self) -> str | None:
        """Computes the digest that identifies the vocabulary; None: there is no vocabulary."""
        if not self._vocabulary.is_file():
            return None
        return hashlib.sha256(self._vocabulary.read_bytes()).hexdigest()

    def _check_run(self, step: int, meta: dict[str, Any]) -> None:
        """Refuses the checkpoint of a run on other data; older ones lack some of the entries."""
        if self._records and meta.get("records") != self._records:
            raise UserError(
                f"The data sets have {self._records} records; they had {meta.get('records')} at "
                f"step {step}.",
                where=self._directory,
                expected="the same records: the run goes on from a position among them",
                todo="give the records of that run, or start another --workdir with "
                "--config.init_from=orbax:WORKDIR",
            )
        words = meta.get("vocabulary")
        if words is not None and self._digest() not in (None, words):
            raise UserError(
                f"The vocabulary is not the one that step {step} was trained with.",
                where=self._vocabulary,
                expected="the file as it was: the number of a word is its line",
                todo="put it back, or start another --workdir",
            )
        rate = meta.get("audio_rate")
        if None not in (rate, self._audio_rate):
            check_rate(self._audio_rate, rate, f"step {step} was trained with", self._directory)
        selection = meta.get("selection")
        if None not in (selection, self._selection) and selection != self._selection:
            raise UserError(
                f"The lists of data.only and data.without are not those that step {step} was "
                "trained with.",
                where=self._directory,
                expected="the same lists; a second audit overwrites the list of the first",
                todo="put them back, or start another --workdir",
            )

    def _check_shapes(
        self, step: int, meta: dict[str, Any], wanted: dict[str, tuple[int, ...]]
    ) -> None:
        """Compares names and shapes before reading anything large."""
        with damage_named():
            tree = self._manager.item_metadata(step)["state"].tree
            stored = {name: tuple(x.shape) for name, x in names_of(tree).items()}
        saved = {n: tuple(shape) for n, (shape, _) in meta.get(ARRAYS, {}).items()} or stored
        if saved != stored:
            raise Damaged("its list of arrays is not what was written")
        problems = [
            f"{name} is {saved[name]} there, {wanted[name]} here"
            for name in wanted.keys() & saved.keys()
            if saved[name] != wanted[name]
        ]
        problems += [f"{name} is missing there" for name in wanted.keys() - saved.keys()]
        problems += [f"{name} has no place here" for name in saved.keys() - wanted.keys()]
        if problems:
            raise UserError(
                f"The checkpoint of step {step} does not fit this model: {len(problems)} arrays "
                f"differ, among them {min(problems)}.",
                where=self._directory,
                expected="parameters with the names and shapes of the configured model",
                todo="use the configuration that the work directory was made with",
            )
