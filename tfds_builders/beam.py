"""Runs a function for many tasks with Apache Beam, on this machine or on a cluster."""

from collections.abc import Callable, Sequence
from typing import Any

from vatt_gh.errors import UserError


def run(function: Callable[[Any], None], tasks: Sequence[Any], options: str) -> None:
    """Runs a pipeline to its end.

    Args:
        function: a module-level function; it and the tasks are pickled.
        tasks: its arguments, one call each.
        options: pipeline options as in TFDS, "runner=DirectRunner,direct_num_workers=2".

    Raises:
        UserError: Beam is not installed, does not know an option, or a call failed.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(
            f"Apache Beam cannot be imported: {error}",
            where="--beam_pipeline_options",
            expected="Beam on this machine and on all workers",
            todo="pip install 'vatt_gh[beam]', or leave the option out",
        ) from error
    flags = [f"--{option.strip()}" for option in options.split(",")]
    try:
        chosen = PipelineOptions(flags)
        given = {flag[2:].partition("=")[0] for flag in flags}
        if unknown := given - chosen.get_all_options().keys():
            raise ValueError(f"there is no option {', '.join(sorted(unknown))}")
        with apache_beam.Pipeline(options=chosen) as pipeline:
            _ = pipeline | apache_beam.Create(tasks) | apache_beam.Map(function)
    except (RuntimeError, ValueError, SystemExit) as error:  # SystemExit: argparse, for an option
        raise UserError(
            f"The Beam pipeline failed: {error}",
            where=f"--beam_pipeline_options={options}",
            expected="options that the runner knows, and workers that can reach manual_dir and "
            "data_dir under the same paths",
            todo="mend the cause; the same command goes on with the parts that are missing",
        ) from error
