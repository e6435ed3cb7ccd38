"""A run, and vectors that were extracted with it."""

from pathlib import Path

from small import WORDS, small_config

from vatt_gh.evaluation.extract import extract
from vatt_gh.evaluation.vectors import Vectors
from vatt_gh.files import write_whole
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import claim_workdir
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import create_state

RATE = 16_000
DATA = {
    "data.build_fps": 10.0,
    "data.build_short_side": 32,
    "data.build_audio_rate": RATE,
    "data.build_segment_seconds": 4.0,
    "data.build_workers": 1,
    "eval.batch_size": 6,
}


def make_run(workdir, seed=0):
    """A work directory with a drawn checkpoint."""
    config = small_config(**DATA, seed=seed)
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"word{n}" for n in range(WORDS - 4))]
    claim_workdir(workdir, config, lambda: None)
    write_whole(workdir / "vocabulary.txt", "\n".join(words) + "\n")
    model = model_of(config, words=WORDS, audio_rate=RATE)
    state = create_state(model, optimizer_of(config.train), zero_sample(config.data), seed)
    with Checkpoints(workdir, config.train, audio_rate=RATE) as checkpoints:
        checkpoints.save(replicate(state), 0)
    return config


def rows(folder, modality, column):
    """{(video id, start): vector}."""
    return {
        (str(video), round(float(start), 3)): vector
        for block in Vectors(Path(folder)).blocks(modality, column)
        for video, start, vector in zip(block.video_ids, block.start, block.vectors, strict=True)
    }


def extracted(run, films, to, **changes):
    config = run[0].copy_and_resolve_references()
    config.extract.update(videos=str(films), to=str(to), **changes)
    return extract(config, run[1])
