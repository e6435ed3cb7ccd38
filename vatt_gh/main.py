"""VATT pre-training on noisy video, with cross-modality gradient harmonization.

Try it first, on a small corpus that is rendered for you (minutes on two cores):
  python -m vatt_gh.main --config=configs/demo.py --workdir=work/demo
then open work/demo/index.html.

On your own videos and captions in HowTo100M's layout:
  python -m vatt_gh.main --config=configs/howto100m.py --workdir=work/run1 \\
      --config.data.manual_dir=/path/to/howto100m --config.data.data_dir=/path/to/records

Every key of a configuration can be changed on the command line, e.g.
--config.train.batch_size=256. The keys of a section, with their meaning: --help=SECTION, such as
--help=train; --help=all. The same command continues a run that was interrupted.
"""

import contextlib
import logging as std_logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

# TensorFlow reads this on import; its start-up notes are of no use to the reader.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging
from ml_collections import config_flags

from vatt_gh.config.document import sections, to_help
from vatt_gh.config.experiment import check_overrides, load_experiment
from vatt_gh.config.training import MODES, TRAINING_MODES
from vatt_gh.errors import UserError
from vatt_gh.files import system_problem
from vatt_gh.modes import run
from vatt_gh.training.stopping import Stopped

__doc__ = f"{__doc__}--config.mode chooses what is done:\n" + "\n".join(
    f"  {mode:10} {what}" for mode, what in MODES.items()
)
STOPPED = 75  # status of a training that was asked to stop: the same command continues it

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment: a file of configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints, numbers and pictures go. Default: work/<name of config>."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "This is one process of several (a TPU pod, several GPU hosts, launch/local_pod.py).",
)


def main(argv: list[str]) -> None:
    """Reads the flags, runs, and turns fixable errors into a message and exit status 2."""
    try:
        if len(argv) > 1:
            raise UserError(
                f"There is no argument {' '.join(argv[1:])!r}.",
                where="the command line",
                expected="flags only, such as --config=configs/demo.py",
                todo="python -m vatt_gh.main --help",
            )
        _start_processes()
        run(_CONFIG.value, Path(_WORKDIR.value or f"work/{_config_name()}"))
    except UserError as error:
        _fail(f"error: {error}", 2)
    except FloatingPointError as error:
        _fail(f"error: training diverged. {error}", 3)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("vatt_gh", "tfds_builders", "configs"):
            _raise(error)
        _fail(f"error: {error.name} is not installed: pip install '.[train]' brings it", 2)
    except _Terminated:
        _fail("Stopped by SIGTERM. The same command continues.", STOPPED)
    except Stopped as stopped:
        what = "Interrupted" if stopped.signal == signal.SIGINT else "Stopped by SIGTERM"
        status = 130 if stopped.signal == signal.SIGINT else STOPPED
        message = f"{what}. The same command continues from step {stopped.step}."
        _fail(message, status, together=True)
    except KeyboardInterrupt:
        _fail("\nInterrupted. The same command continues from the newest checkpoint.", 130)
    except Exception as error:
        problem = system_problem(error)
        if problem is None:
            _raise(error)
        _fail(f"error: {problem}", 2)


class _Terminated(Exception):
    """SIGTERM, while no step was being taken."""


def _terminated(*_: object) -> None:
    raise _Terminated


def _raise(error: Exception) -> NoReturn:
    """Raises an error that no message explains; one process of several ends with its trace."""
    if _is_distributed():
        _fail(traceback.format_exc(), 1)
    raise error


def _is_distributed() -> bool:
    return flags.FLAGS.is_parsed() and _DISTRIBUTED.value


def _fail(message: str, status: int, *, together: bool = False) -> None:
    """Ends this process; `together`: all hosts do so after the same step."""
    print(message, file=sys.stderr, flush=True)
    if _is_distributed() and not together:
        # Otherwise this host would wait for the others, and they for it, for days.
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def _start_processes() -> None:
    if _DISTRIBUTED.value:
        _join_others()
    # In several processes JAX notices it, and a training asks JAX after every step.
    if not (_DISTRIBUTED.value and _CONFIG.value.mode in TRAINING_MODES):
        signal.signal(signal.SIGTERM, _terminated)


def _join_others() -> None:
    import jax

    # JAX finds these by itself on TPU pods, Slurm and Kubernetes, but elsewhere it takes no
    # numbers from the environment.
    jax.distributed.initialize(
        num_processes=_number("JAX_NUM_PROCESSES"),
        process_id=_number("JAX_PROCESS_ID"),
        # The shares of extract end at different times; the heartbeat tells of hosts that died.
        shutdown_timeout_seconds=7 * 24 * 3600,
    )


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    return int(value) if value else None


def _config_name() -> str:
    return Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; an invalid one gives a single message, not a traceback."""
    try:
        _help_where_asked(argv)
        _check_keys(argv)
        rest = flags.FLAGS(argv)
        if flags.FLAGS["verbosity"].using_default_value:
            # absl defaults to INFO, at which Orbax logs twenty lines per checkpoint.
            logging.set_verbosity(logging.WARNING)
            for logger in (logging.get_absl_logger(), std_logging.getLogger("tensorflow")):
                logger.addFilter(_for_users)
        return rest
    except UserError as error:
        _fail(f"error: {error}", 2)
    except (flags.Error, ValueError, TypeError) as error:
        problem = UserError(
            f"The command line cannot be read: {str(error).strip().splitlines()[-1]}",
            where="the command line",
            expected="flags that --help lists, and values of the type that the key has in "
            "docs/configuration.md",
            todo="python -m vatt_gh.main --help",
        )
        _fail(f"error: {problem}", 2)
    raise AssertionError("unreachable")


def _for_users(record: std_logging.LogRecord) -> bool:
    """Returns False for messages of TFDS, TensorFlow and Orbax to programmers."""
    return record.filename not in (
        "feature.py",
        "deprecation.py",
        "dataset_builder.py",
        "composite_checkpoint_handler.py",
    )


_HELP = ("help", "helpshort", "h", "helpfull")


def _help_where_asked(argv: list[str]) -> None:
    asked = [a.lstrip("-").partition("=") for a in argv[1:]]
    asked = {name: section for name, _, section in asked if name in _HELP}
    if not asked:
        return
    section = next(iter(asked.values()))
    names = [*sections(), "all"]
    if section in names:
        print(to_help(section))
    elif section:
        raise UserError(
            f"There is no section {section!r} of the configuration.",
            where=f"--help={section}",
            expected=f"one of {', '.join(names)}",
            todo="python -m vatt_gh.main --help",
        )
    else:
        app.usage(shorthelp="helpfull" not in asked, writeto_stdout=True)
        print(f"\nSections of the configuration: {', '.join(names)}")
    sys.exit(0)  # absl itself would exit with a failure


def _check_keys(argv: list[str]) -> None:
    """Loads the experiment before the flags do: their errors name neither file nor key."""
    early = flags.FlagValues()
    experiment = flags.DEFINE_string("config", None, "", flag_values=early)
    arguments = early(argv, known_only=True)
    if not experiment.value:
        raise UserError(
            "No experiment is given.",
            where="--config",
            expected="a file of configs/, for example configs/demo.py",
            todo="python -m vatt_gh.main --config=configs/demo.py (--help tells more)",
        )
    check_overrides(arguments, load_experiment(experiment.value))


def command() -> None:
    """Runs the console command `vatt_gh`, which is the same as `python -m vatt_gh.main`."""
    if __name__ != "__main__":  # --help prints the text and the flags of the script that is run
        sys.modules["__main__"].__doc__ = __doc__
        for name in ("config", "workdir", "distributed"):
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    with contextlib.suppress(BrokenPipeError):
        app.run(main, flags_parser=_parse_flags)


if __name__ == "__main__":
    command()
