"""How long the classifiers of frozen features take, which run on the CPU after all is embedded."""

import argparse
import time
from typing import Any

import numpy as np

from vatt_gh.evaluation.linear import CLASSIFIERS

_CLASS_SPREAD = 0.2  # standard deviation of the classes' means; within a class it is 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument(
        "--clips", type=int, default=1_600, help="number of clips to fit on; default: ESC-50's"
    )
    parser.add_argument(
        "--tests", type=int, default=400, help="number of clips to classify; default %(default)s"
    )
    parser.add_argument(
        "--classes", type=int, default=50, help="number of classes; default %(default)s"
    )
    parser.add_argument(
        "--width", type=int, default=768, help="width of a feature vector; default %(default)s"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fits every classifier on drawn features of one fold, and classifies others.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        The arguments; 'seconds', and 'accuracy' in [0, 1], by name of the classifier.
    """
    rng = np.random.default_rng(0)
    means = _CLASS_SPREAD * rng.normal(size=(arguments.classes, arguments.width))
    labels = np.arange(arguments.clips + arguments.tests) % arguments.classes
    features = means[labels] + rng.normal(size=(len(labels), arguments.width))
    fit, test = np.split(features, [arguments.clips])
    known, wanted = np.split(labels, [arguments.clips])
    seconds, accuracy = {}, {}
    for name, classify in CLASSIFIERS.items():
        began = time.perf_counter()
        answers = classify(fit, known, test)
        seconds[name] = time.perf_counter() - began
        accuracy[name] = float(np.mean(answers == wanted))
    return {**vars(arguments), "seconds": seconds, "accuracy": accuracy}


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [
        f"{numbers['clips']:,} clips of {numbers['classes']} classes, {numbers['width']} features "
        f"each; {numbers['tests']:,} classified"
    ]
    for name, seconds in numbers["seconds"].items():
        lines.append(f"  {name}: {seconds:.1f} s, {numbers['accuracy'][name]:.2f} right")
    return "\n".join(lines)
