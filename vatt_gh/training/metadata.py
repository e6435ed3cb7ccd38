"""A checkpoint's metadata for Orbax: a JSON file that is finished in the background."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.future import CommitFutureAwaitingContractedSignals, Future

_FILE = "metadata"  # as Orbax's own handler calls it, which wrote those of earlier versions


class MetadataHandler(ocp.JsonCheckpointHandler):
    """Reads as Orbax's JSON handler; writes what a function returns, once that is known."""

    async def async_save(
        self,
        directory: epath.Path,
        item: None = None,
        args: "SaveMetadata | None" = None,
    ) -> list[Future]:
        """Begins to write, without waiting for the content.

        Args:
            directory: of the metadata.
            item: not used.
            args: what to write.

        Returns:
            What the checkpoint has to wait for.
        """
        written = self._write(directory, args.finish)
        return [CommitFutureAwaitingContractedSignals(written, name="metadata")]

    async def _write(self, directory: epath.Path, finish: Callable[[], dict[str, Any]]) -> None:
        if jax.process_index() == 0:
            (directory / _FILE).write_text(json.dumps(finish()))


@ocp.args.register_with_handler(MetadataHandler, for_save=True)
@dataclasses.dataclass
class SaveMetadata(ocp.args.CheckpointArgs):
    """What to write.

    Attributes:
        finish: returns it, as JSON; called in the background.
    """

    finish: Callable[[], dict[str, Any]]


@ocp.args.register_with_handler(MetadataHandler, for_restore=True)
@dataclasses.dataclass
class RestoreMetadata(ocp.args.CheckpointArgs):
    """Asks for the whole file."""
