"""Writes a checkpoint's metadata in the background, as soon as its digests are computed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

_FILE = "metadata"


class MetadataHandler(ocp.JsonCheckpointHandler):
    """Orbax's handler for JSON, for JSON that takes time to compute."""

    def __init__(self) -> None:
        super().__init__(_FILE)

    async def async_save(
        self, directory: Path, item: None = None, args: "SaveMetadata | None" = None
    ) -> list[ocp.future.Future]:
        """Starts to write the metadata; see Orbax's AsyncCheckpointHandler."""

        async def write() -> None:
            if jax.process_index() == 0:
                (directory / _FILE).write_text(json.dumps(args.compute()))

        return [ocp.future.CommitFutureAwaitingContractedSignals(write(), name="metadata")]


@ocp.args.register_with_handler(MetadataHandler, for_save=True)
@dataclasses.dataclass
class SaveMetadata(ocp.args.CheckpointArgs):
    """What to save.

    Attributes:
        compute: gives the metadata, JSON; called on the first host, in a background thread.
    """

    compute: Callable[[], dict[str, Any]]


@ocp.args.register_with_handler(MetadataHandler, for_restore=True)
@dataclasses.dataclass
class RestoreMetadata(ocp.args.CheckpointArgs):
    """Asks for the metadata."""
