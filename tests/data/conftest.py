"""Records in which every frame, sound sample and caption encodes its time."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from media_files import write_media
from small import small_config

from vatt_gh.media.form import Form

FPS, RATE, SECONDS, SIDE = 10, 16_000, 12.5, 64
FORM = Form(float(FPS), SIDE, RATE, segment_seconds=4.0, jpeg_quality=95)
WORDS = [f"second{k}" for k in range(13)]
# No window of whole frames has two captions equally near.
CAPTIONS = [(word, k + 0.22, k + 0.75) for k, word in enumerate(WORDS)]


def dial(number):
    """A picture that shows a number from 0 to 255 as 4 x 2 black or white fields."""
    bits = np.array([number >> k & 1 for k in range(8)]).reshape(2, 4)
    grey = np.kron(bits, np.ones((SIDE // 2, SIDE // 4))) * 200 + 25
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def numbers_of(video):
    """Converts dials [..., H, W, 3], white where brighter than grey, to their numbers [...]."""
    *lead, height, width, _ = video.shape
    fields = video.mean(-1).reshape(*lead, 2, height // 2, 4, width // 4).mean((-3, -1)) > 127.5
    return (fields.reshape(*lead, 8) << np.arange(8)).sum(-1)


def sound_at(time):
    """The sound at times in seconds: it rises, so that no two stretches are alike."""
    return 0.5 * np.sin(2 * np.pi * (200 * time + 40 * time**2))


@pytest.fixture(scope="session")
def clock(tmp_path_factory):
    """Nine records of three such videos, one without sound and one without captions."""
    from tfds_builders.build import build
    from vatt_gh.data.records import open_source
    from vatt_gh.data.text import Tokenizer, build_vocabulary

    folder = tmp_path_factory.mktemp("clock")
    (folder / "corpus" / "videos").mkdir(parents=True)
    count = round(SECONDS * FPS)
    pictures = [dial(k) for k in range(count)], [k / FPS for k in range(count)]
    sound = [(0.0, sound_at(np.arange(round(SECONDS * RATE)) / RATE))]
    for name in ("whole", "silent", "wordless"):
        heard = [] if name == "silent" else sound
        path = folder / "corpus" / "videos" / f"{name}.mkv"
        write_media(path, *pictures, sound=heard, rate=RATE)
    columns = {k: [row[n] for row in CAPTIONS] for n, k in enumerate(("text", "start", "end"))}
    captions = {"whole": columns, "silent": columns}
    (folder / "corpus" / "caption.json").write_text(json.dumps(captions))
    arguments = {"manual_dir": folder / "corpus", "data_dir": folder / "records"}
    parts = build("howto100m", **arguments, form=FORM)
    (folder / "other" / "videos").mkdir(parents=True)
    shutil.copy(folder / "corpus" / "videos" / "wordless.mkv", folder / "other" / "videos")
    wordless = open_source(
        build("howto100m", manual_dir=folder / "other", data_dir=folder / "few", form=FORM)
    )
    others = {}
    for storage in ("mp4", "index"):
        arguments["data_dir"] = folder / storage
        other = build("howto100m", **arguments, form=dataclasses.replace(FORM, storage=storage))
        others[storage] = open_source(other)
    vocabulary = build_vocabulary(dict.fromkeys(WORDS, 1), 100)
    return SimpleNamespace(
        source=open_source(parts),
        others=others,
        wordless=wordless,
        manual_dir=folder / "corpus",
        tokenizer=Tokenizer(vocabulary, 3),
        vocabulary=vocabulary,
        captions=CAPTIONS,
        dial=dial,
        numbers_of=numbers_of,
        sound_at=sound_at,
        fps=FPS,
        rate=RATE,
    )


@pytest.fixture
def clock_config():
    """Windows of 0.4 s; unchanged pictures and sound, which encode their time."""
    config = small_config()
    data = config.data
    data.frames, data.size, data.audio_samples = 4, 16, RATE * 4 // FPS
    data.candidates, data.words, data.caption_reach = 2, 3, 1.0
    data.augmentation = "none"
    data.windows_per_segment = 2
    config.train.batch_size = 6
    return config
