"""Fine-tunes by the configuration file of a set, short and on tiny media."""

from pathlib import Path
from typing import Any

from dummy_data import make_measurable
from tiny_run import load_experiment

from tfds_builders.build import build_for
from vatt_gh.config import flatten
from vatt_gh.evaluation.loading import stored_config
from vatt_gh.finetuning.run import finetune

FILES = ("kinetics400", "audioset")  # those of configs/finetune_NAME.py


def finetune_by_file(
    name: str, run: Path, folder: Path, workdir: Path, **data: int
) -> dict[str, Any]:
    """Fine-tunes two steps with the file's keys, but for sizes.

    Args:
        name: of FILES.
        run: work directory with the checkpoint to start from.
        folder: gets the media and the records.
        workdir: of the fine-tuning.
        **data: keys of config.data, sizes of a window.

    Returns:
        The results.
    """
    config = load_experiment(f"finetune_{name}")
    recipe = flatten(config.finetune), config.data.build_audio_rate, config.model.dtype
    if not (folder / name).exists():
        make_measurable(name, folder / name)
    config.data.update(manual_dir=str(folder / name), data_dir=str(folder / f"{name}_by_file"))
    config.data.update(build_short_side=32, build_workers=1, **data)
    config.train.update(steps=2, warmup_steps=1, checkpoint_every=2, log_every=1, batch_size=8)
    config.eval.update(batch_size=3, windows=2)
    config.init_from = f"orbax:{run}"
    results = finetune(config, workdir, build=build_for)
    assert results["step"] == 2 and results["finetune_clips"] > 0
    assert all({"value", "untrained"} <= score.keys() for score in results["finetune"].values())
    stored = stored_config(workdir)
    assert (flatten(stored.finetune), stored.data.build_audio_rate, stored.model.dtype) == recipe
    return results
