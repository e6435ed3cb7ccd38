"""Checkpoints with Orbax: the whole state, the input's position, and the configuration."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from vatt_gh.config import FREE_KEYS, PAPER, default, flatten
from vatt_gh.errors import UserError
from vatt_gh.files import write_whole
from vatt_gh.training.parallel import to_global, to_local
from vatt_gh.training.step import TrainState


class Checkpoints:
    """The checkpoints of one work directory; use as a context manager.

    Args:
        workdir: the work directory; its folder `checkpoints` is used.
        train: section of the configuration.
        records: number of records of each data set, which determine the meaning of an input
            position; (): the position is ignored.
        audio_rate: of the sound, in Hz; None: it is not compared.
        selection: digest of the lists data.only and data.without, "" without them; None: it is
            not compared.
    """

    def __init__(
        self,
        workdir: Path,
        train: ConfigDict,
        records: Sequence[int] = (),
        audio_rate: int | None = None,
        selection: str | None = None,
    ):
        # Orbax takes only absolute paths, and reports others only from a background thread.
        self._directory = (Path(workdir) / "checkpoints").absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=train.keep_checkpoints, create=True)
        # Registered first, so that a checkpoint's metadata can be read without its arrays.
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(
            self._directory, options=options, item_handlers=handlers
        )
        self._records, self._audio_rate, self._selection = list(records), audio_rate, selection
        self._vocabulary = Path(workdir) / "vocabulary.txt"

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def latest(self) -> int | None:
        """The step of the newest checkpoint, or None."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """The steps of all kept checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def steps_on_disk(self) -> list[int]:
        """The steps as they are now: another process may save and delete checkpoints."""
        self._manager.reload()
        return self.steps()

    def save(self, state: TrainState, position: int) -> None:
        """Saves in the background; does not overwrite a checkpoint of the same step.

        Args:
            state: replicated state.
            position: samples that the input pipeline has yielded, on all hosts together.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(to_global(state)),
                meta=ocp.args.JsonSave(
                    {
                        "position": position,
                        "records": self._records,
                        "vocabulary": self._digest(),
                        "audio_rate": self._audio_rate,
                        "selection": self._selection,
                    }
                ),
            ),
        )

    def restore(self, like: TrainState, step: int | None = None) -> tuple[TrainState, int]:
        """Restores a checkpoint.

        Args:
            like: a replicated state with the wanted shapes, dtypes and placement.
            step: step of the checkpoint; None: the newest.

        Returns:
            The state and the input position.

        Raises:
            UserError: there is no checkpoint, it does not match the model, the records, their sound
                or the vocabulary, or it is damaged.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise UserError(
                "There is no checkpoint to read.",
                where=self._directory,
                expected="a checkpoint written by pre-training",
                todo="run pre-training with this --workdir first",
            )
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, to_global(like))
        self._manager.wait_until_finished()  # a checkpoint of this step may still be in progress
        try:
            self._check(step, target)
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()
                ),
            )
        except (ValueError, KeyError, OSError) as error:
            raise UserError(
                f"The checkpoint of step {step} cannot be read: {error}",
                where=self._directory,
                expected="a checkpoint as it was written",
                todo=f"remove {self._directory / str(step)}: an older one, or the start, is next",
            ) from error
        self._check_records(step, restored["meta"].get("records"))
        self._check_vocabulary(step, restored["meta"].get("vocabulary"))
        self._check_audio_rate(step, restored["meta"].get("audio_rate"))
        self._check_selection(step, restored["meta"].get("selection"))
        return to_local(restored["state"]), restored["meta"]["position"]

    def audio_rate(self, step: int | None) -> int | None:
        """Rate of the sound that a checkpoint was trained with, in Hz; None: it does not say."""
        if step is None:
            return None
        wanted = ocp.args.Composite(meta=ocp.args.JsonRestore())
        try:
            return self._manager.restore(step, args=wanted)["meta"].get("audio_rate")
        except (ValueError, KeyError, OSError):
            return None  # `restore` says what is wrong with it

    def _check_records(self, step: int, saved: list[int] | None) -> None:
        if self._records and saved != self._records:
            raise UserError(
                f"The data sets have {self._records} records; they had {saved} at step {step}.",
                where=self._directory,
                expected="the same records: the input's position means nothing among others",
                todo="give the records of that run, or start another --workdir with "
                "--config.init_from=orbax:WORKDIR",
            )

    def _digest(self) -> str | None:
        """Digest that identifies the vocabulary; None: there is no vocabulary."""
        if not self._vocabulary.is_file():
            return None
        return hashlib.sha256(self._vocabulary.read_bytes()).hexdigest()

    def _check_vocabulary(self, step: int, saved: str | None) -> None:
        # Older checkpoints have no digest.
        if saved is not None and self._digest() not in (None, saved):
            raise UserError(
                f"The vocabulary is not the one that step {step} was trained with.",
                where=self._vocabulary,
                expected="the file as it was: the number of a word is its line",
                todo="put it back, or start another --workdir",
            )

    def _check_audio_rate(self, step: int, saved: int | None) -> None:
        # Older checkpoints have none. At another rate a model hears other sounds, and says nothing.
        if None not in (saved, self._audio_rate) and saved != self._audio_rate:
            raise UserError(
                f"The sound has {self._audio_rate} samples a second; step {step} was trained with "
                f"{saved}.",
                where=self._directory,
                expected="records with the same rate",
                todo=f"build them with --audio_rate={saved} into another directory",
            )

    def _check_selection(self, step: int, saved: str | None) -> None:
        # Older checkpoints have none.
        if None not in (saved, self._selection) and saved != self._selection:
            raise UserError(
                f"The lists of data.only and data.without are not those that step {step} was "
                "trained with.",
                where=self._directory,
                expected="the same lists: an audit writes its own anew",
                todo="put them back, or start another --workdir",
            )

    def _check(self, step: int, target: TrainState) -> None:
        """Compares names and shapes before reading anything large."""
        saved, wanted = _shapes(self._manager.item_metadata(step)["state"].tree), _shapes(target)
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


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by path; a class's attribute and a key of that name have the same path."""

    def name(key: Any) -> str:
        return str(next(getattr(key, a) for a in ("key", "name", "idx") if hasattr(key, a)))

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(map(name, path)): tuple(leaf.shape) for path, leaf in leaves}


def claim_workdir(workdir: Path, config: ConfigDict) -> None:
    """Stores the configuration in a new work directory, or compares it with the stored one.

    Args:
        workdir: created if it does not exist.
        config: the whole configuration.

    Raises:
        UserError: the directory belongs to a run whose configuration differs in relevant keys;
            names these keys.
    """
    path = Path(workdir) / "config.json"
    mine = flatten(config)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UserError(
                f"The work directory cannot be made: {error.strerror}.",
                where=workdir,
                expected="a directory that can be written to, or a place for a new one",
                todo="use another --workdir",
            ) from error
        write_whole(path, json.dumps(mine, indent=1))
        return
    # For keys added since the run, the default is the old behaviour, except where that was always
    # the paper's method. Removed keys had no effect.
    paper = {f"harmonize.{key}": value for key, value in PAPER.items()}
    theirs = flatten(default()) | paper | read_config(path)
    changed = sorted(key for key in mine.keys() - FREE_KEYS if mine.get(key) != theirs.get(key))
    if changed:
        lines = [f"{key}: there {theirs.get(key)!r}, now {mine.get(key)!r}" for key in changed]
        raise UserError(
            "The work directory belongs to a run with another configuration.",
            where=path,
            expected="the same values, to continue that run; they differ in\n    "
            + "\n    ".join(lines),
            todo="use another --workdir, or the values of that run",
        )


def read_config(path: Path) -> dict[str, Any]:
    """Reads the configuration that `claim_workdir` has stored.

    Args:
        path: of config.json in a work directory.

    Returns:
        {"a.b": value}, tuples as lists.

    Raises:
        UserError: it cannot be read.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        problem = f"it holds {type(stored).__name__}, not an object"
    except ValueError as error:  # neither JSON nor text
        stored, problem = None, str(error)
    if not isinstance(stored, dict):
        raise UserError(
            f"The configuration of the work directory cannot be read: {problem}",
            where=path,
            expected="the JSON that an earlier run wrote",
            todo="use another --workdir",
        )
    return stored
