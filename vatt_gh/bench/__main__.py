"""Runs one measurement, prints the result and, with --json=FILE, writes it.

A measurement is a module with `add_arguments(parser)`, `run(arguments) -> numbers` and
`show(numbers) -> text`.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from vatt_gh.errors import UserError
from vatt_gh.files import write_whole

# Name: module, and one line for --help.
MEASUREMENTS = {
    "attention": ("vatt_gh.bench.attention", "a GPU's fused attention beside the formula"),
    "bfloat16": ("vatt_gh.bench.bfloat16", "retrieval in bfloat16 beside float32"),
    "build": ("vatt_gh.bench.build", "what building records costs beside decoding alone"),
    "checkpoint": ("vatt_gh.bench.checkpoint", "how long a checkpoint keeps the training waiting"),
    "classifiers": ("vatt_gh.bench.classifiers", "what classifying frozen features takes"),
    "harmonize": ("vatt_gh.bench.harmonize", "what harmonization costs beside the plain step"),
    "memory": ("vatt_gh.bench.memory", "how memory grows with the batch and the tower's width"),
    "pipeline": ("vatt_gh.bench.pipeline", "windows a second beside decoding the same alone"),
    "search": ("vatt_gh.bench.search", "a query among a million extracted windows"),
    "sketch": ("vatt_gh.bench.sketch", "how far a sketch moves the cosines of samples"),
}


def main(argv: list[str]) -> None:
    """Runs the measurement named on the command line.

    Args:
        argv: the command line without the program's name.
    """
    listing = "\n".join(f"  {name:12} {line}" for name, (_, line) in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m vatt_gh.bench",
        description=f"measurements:\n{listing}\n\nNAME --help lists a measurement's arguments.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=MEASUREMENTS, metavar="NAME")
    name = parser.parse_args(argv[:1]).name
    path, line = MEASUREMENTS[name]
    measurement = importlib.import_module(path)
    options = argparse.ArgumentParser(prog=f"python -m vatt_gh.bench {name}", description=line)
    options.add_argument("--json", type=Path, metavar="FILE", help="file for the numbers")
    measurement.add_arguments(options)
    arguments = options.parse_args(argv[1:])
    file = arguments.json
    del arguments.json  # not for the measurement, which may return its arguments
    try:
        numbers = measurement.run(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    print(measurement.show(numbers))
    if file:
        write_whole(file, json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
