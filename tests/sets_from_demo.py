"""Scores tiny media of every downstream set with a finished demo's checkpoint; fine-tunes from it.

    python tests/sets_from_demo.py work/demo

Media are made in each set's own layout, built, and scored as by `--config.mode=evaluate`; what the
files of results must have is checked. Then both configurations of fine-tuning take two steps. The
media are far too few for a score to mean anything.
"""

import sys
import tempfile
from pathlib import Path

from dummy_data import make_measurable
from evaluation.set_scores import link_run, score_set
from finetuning.recipe import FILES, finetune_by_file
from shuffled_in_demo import config_of

from vatt_gh.evaluation.evaluators import EVALUATORS
from vatt_gh.evaluation.loading import stored_config
from vatt_gh.evaluation.protocols import PROTOCOLS


def main(run: Path) -> None:
    """Prints a row for each set."""
    print("| set | clips | step | scores |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        workdir = link_run(run, folder / "run")
        for name, protocol in PROTOCOLS.items():
            make_measurable(name, folder / name)
            results = score_set(config_of(run, folder, name), workdir, name)
            clips = results[EVALUATORS[protocol.evaluator].count_key]
            print(f"| {name} | {clips} | {results['step']} | {len(results[protocol.evaluator])} |")
        data = stored_config(run).data
        sizes = {key: data[key] for key in ("frames", "size", "audio_samples")}
        for name in FILES:
            results = finetune_by_file(
                name, run.absolute(), folder, folder / f"run_{name}", **sizes
            )
            clips, scores = results["finetune_clips"], results["finetune"]
            print(f"| {name}, fine-tuned | {clips} | {results['step']} | {len(scores)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
