"""VATT pre-training on noisy video, with cross-modality gradient harmonization.

Try it first, on a small corpus that is rendered for you (minutes on two cores):
  python -m vatt_gh.main --config=configs/demo.py --workdir=work/demo
then open work/demo/index.html.

On your own videos and captions in HowTo100M's layout:
  python -m vatt_gh.main --config=configs/howto100m.py --workdir=work/run1 \\
      --config.data.manual_dir=/path/to/howto100m --config.data.data_dir=/path/to/records

Every key of a configuration can be changed on the command line, e.g.
--config.train.batch_size=256; vatt_gh/config.py lists them all with their meaning. The same
command continues a run that was interrupted. --config.mode chooses what is done:
  pretrain   train from records (built from manual_dir where there are none yet)
  evaluate   score the newest checkpoint of --workdir on the records of eval.data_dir
  demo       render a corpus, build records, pre-train, evaluate, draw pictures
"""

import contextlib
import errno
import os
import sys
from pathlib import Path

# TensorFlow reads this when it is imported; its start-up notes are of no use to the reader.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from vatt_gh.config import apply_short, validate
from vatt_gh.errors import UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment: a file of configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints, numbers and pictures go. Default: work/<name of config>."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "This is one process of several (a TPU pod, several GPU hosts, launch/local_pod.py).",
)


def run(config: ConfigDict, workdir: Path) -> None:
    """Does what `config.mode` says.

    Args:
        config: the whole configuration, its short form already applied.
        workdir: of the run.

    Raises:
        UserError: the user can mend it.
    """
    import jax
    import tensorflow as tf

    # TensorFlow feeds the input only; it must not take the accelerator's memory.
    tf.config.set_visible_devices([], "GPU")
    validate(config, devices=jax.device_count(), hosts=jax.process_count())
    if config.mode == "demo":
        from vatt_gh.demo.run import run_demo

        run_demo(config, workdir)
    elif config.mode == "evaluate":
        from vatt_gh.training.scoring import evaluate_workdir

        evaluate_workdir(config, workdir)
    else:
        from vatt_gh.report.run import write_report
        from vatt_gh.training.loop import pretrain

        pretrain(config, workdir)
        if jax.process_index() == 0:
            print(f"Report: {write_report(workdir)}")


def main(argv: list[str]) -> None:
    """Reads the flags, runs, and turns what a user can mend into a message and exit status 2."""
    try:
        if len(argv) > 1:
            raise UserError(
                f"What is {' '.join(argv[1:])!r}?",
                where="the command line",
                expected="flags only, such as --config=configs/demo.py",
                todo="python -m vatt_gh.main --help",
            )
        _start_processes()
        config = apply_short(_CONFIG.value, _overrides())
        run(config, Path(_WORKDIR.value or f"work/{_config_name()}"))
    except UserError as error:
        _fail(f"error: {error}", 2)
    except FloatingPointError as error:
        _fail(f"error: training diverged. {error}", 3)
    except KeyboardInterrupt:
        _fail("\nInterrupted. The same command continues from the newest checkpoint.", 130)
    except Exception as error:
        if not is_disk_full(error):
            raise
        _fail(f"error: {_disk_full(error)}", 2)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk is full.

    TensorFlow and TensorStore have errors of their own, which carry the system's text.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if os.strerror(errno.ENOSPC).lower() in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def _disk_full(error: BaseException) -> UserError:
    return UserError(
        "The disk is full; what was written before is still there.",
        where=getattr(error, "filename", None) or str(error).splitlines()[0],
        expected="room for records, checkpoints and metrics",
        todo="free some space; the same command continues from the newest checkpoint",
    )


def _fail(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(status)


def _start_processes() -> None:
    if not _DISTRIBUTED.value:
        return
    import jax

    # JAX finds these by itself on TPU pods, Slurm and Kubernetes, but takes no numbers from the
    # environment elsewhere.
    jax.distributed.initialize(
        num_processes=_number("JAX_NUM_PROCESSES"), process_id=_number("JAX_PROCESS_ID")
    )


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    return int(value) if value else None


def _config_name() -> str:
    return Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem


def _overrides() -> dict[str, object]:
    return dict(flags.FLAGS["config"].override_values)


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; an unknown key or a bad value gets one message, not a trace."""
    flag = "--config" if any(a.startswith("--config.") for a in argv) else argv[0]
    asks_for_help = any(a.lstrip("-") in ("help", "helpfull", "helpshort", "h") for a in argv[1:])
    try:
        rest = app.parse_flags_with_usage(argv) if asks_for_help else flags.FLAGS(argv)
        if _CONFIG.value is None:
            raise UserError(
                "No experiment is given.",
                where="--config",
                expected="a file of configs/, for example configs/demo.py",
                todo="python -m vatt_gh.main --config=configs/demo.py (--help tells more)",
            )
        return rest
    except UserError as error:
        _fail(f"error: {error}", 2)
    except (flags.Error, KeyError, AttributeError, ValueError, TypeError, OSError) as error:
        lines = str(error.args[0] if error.args else error).strip().splitlines()
        problem = UserError(
            lines[-1] if lines else repr(error),
            where=flag,
            expected="flags that --help lists, and keys of vatt_gh/config.py with values of "
            "their type",
            todo="look the key up in vatt_gh/config.py; python -m vatt_gh.main --help",
        )
        _fail(f"error: {problem}", 2)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        app.run(main, flags_parser=_parse_flags)
