"""Runs a training as several processes on this machine, as a pod does on several hosts.

    python launch/local_pod.py --processes=2 --devices=2 -- --config=configs/demo.py [main's flags]

Every process sees its own CPU devices and finds the others through jax.distributed, so that
multi-host features (sharded input, collectives, checkpoints) can be tested on one machine.
"""

import argparse
import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_POLL_SECONDS = 0.1
_DRAIN_SECONDS = 2.0


class _Interrupted(Exception):
    """Raised when the launcher itself should stop, by Ctrl-C or SIGTERM."""

    def __init__(self, signum: int):
        super().__init__(signum)
        self.status = 128 + signum


def main(argv: Sequence[str]) -> int:
    """Starts the processes and waits for them.

    Args:
        argv: the launcher's options; after "--", the flags of the started program.

    Returns:
        0 if all processes succeed; the status of the first that fails (128 + the signal's number if
        a signal killed it); or 128 + the signal's number if the launcher was told to stop.
    """
    options, flags = _parse(argv)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    command = [sys.executable, "-m", options.module, "--distributed", *flags]
    ended: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    processes: list[subprocess.Popen[str]] = []
    printers: list[threading.Thread] = []
    try:
        port = _free_port()
        for index in range(options.processes):
            environment = _environment(index, options.processes, options.devices, port)
            processes.append(_start(command, environment))
            printers.append(_watch(index, processes[-1], ended))
        return _wait(processes, ended, options.grace)
    except _Interrupted as interruption:
        print("stopping all processes", file=sys.stderr, flush=True)
        with contextlib.suppress(_Interrupted):  # a second Ctrl-C: kill them at once
            _stop(processes, options.grace)
        return interruption.status
    finally:
        # After any other error too, no process started here outlives the launcher.
        _signal(processes, signal.SIGKILL)
        for printer in printers:
            printer.join(_DRAIN_SECONDS)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the launcher's options from the program's flags at "--"."""
    argv = list(argv)
    border = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        prog="local_pod.py",
        description="Runs a training as several processes on this machine.",
        usage="%(prog)s --processes=N --devices=M [--module=...] [--grace=...] -- FLAGS",
        epilog="FLAGS are handed to every process, after --distributed.",
        allow_abbrev=False,
    )
    parser.add_argument("--processes", type=_positive, required=True, help="how many processes")
    parser.add_argument("--devices", type=_positive, required=True, help="CPU devices in each")
    parser.add_argument("--module", default="vatt_gh.main", help="what to run (%(default)s)")
    parser.add_argument(
        "--grace",
        type=float,
        default=5.0,
        help="seconds between the request to stop and the kill (%(default)s)",
    )
    return parser.parse_args(argv[:border]), argv[border + 1 :]


def _positive(text: str) -> int:
    """Reads a number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {number}")
    return number


def _interrupt(signum: int, _frame: object) -> None:
    """Turns a signal to the launcher into an exception."""
    raise _Interrupted(signum)


def _free_port() -> int:
    """Returns a port of this machine that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _environment(index: int, processes: int, devices: int, port: int) -> dict[str, str]:
    """Returns the environment of one process of a pod.

    JAX itself reads the platform, the number of devices and the coordinator's address. Outside a
    known cluster it takes the number of processes and this one's index only as arguments:
    vatt_gh.main passes JAX_NUM_PROCESSES and JAX_PROCESS_ID to jax.distributed.initialize.
    """
    address = f"127.0.0.1:{port}"
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_COORDINATOR_BIND_ADDRESS": address,  # otherwise every network interface
        "JAX_NUM_PROCESSES": str(processes),
        "JAX_PROCESS_ID": str(index),
        "PYTHONUNBUFFERED": "1",
    }


def _start(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts one process in its own group, so that its children can be stopped with it."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )


def _watch(
    index: int, process: subprocess.Popen[str], ended: queue.SimpleQueue[tuple[int, int]]
) -> threading.Thread:
    """Prints the process's lines and reports its end; returns the printing thread."""

    def copy() -> None:
        with process.stdout as lines:
            for line in lines:
                # One write per line, so that the lines of several processes do not mix.
                sys.stdout.write(f"[{index}] {line.rstrip()}\n")
                sys.stdout.flush()

    def wait() -> None:
        ended.put((index, process.wait()))

    printer = threading.Thread(target=copy, daemon=True)
    printer.start()
    threading.Thread(target=wait, daemon=True).start()
    return printer


def _wait(
    processes: Sequence[subprocess.Popen[str]],
    ended: queue.SimpleQueue[tuple[int, int]],
    grace: float,
) -> int:
    """Waits for all processes; stops the others at the first failure."""
    for _ in processes:
        index, code = ended.get()
        if code != 0:
            status = code if code > 0 else 128 - code
            print(f"process {index} failed with status {status}", file=sys.stderr, flush=True)
            _stop(processes, grace)
            return status
    return 0


def _stop(processes: Sequence[subprocess.Popen[str]], grace: float) -> None:
    """Asks the processes to stop, and kills those still running after the grace period.

    jax.distributed takes SIGTERM as a notice of preemption and continues. A process whose peer is
    gone hangs in its next collective: without the kill, the others would stay for minutes.
    """
    _signal(processes, signal.SIGTERM)
    end = time.monotonic() + grace
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        time.sleep(_POLL_SECONDS)
    _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[subprocess.Popen[str]], signum: int) -> None:
    """Signals the groups of the processes still running."""
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signum)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
