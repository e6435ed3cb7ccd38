"""Records of sets with labels, splits, pieces or only sound, read as in training."""

import itertools

import numpy as np
import pytest
from dummy_data import YOUTUBE, make, tone
from small import small_config

from vatt_gh import batch as names
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import open_source
from vatt_gh.data.text import Tokenizer, build_vocabulary
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form

FORM = Form(fps=10.0, short_side=32, audio_rate=16_000, segment_seconds=4.0)
TOKENIZER = Tokenizer(build_vocabulary({"step": 1, "of": 1, "caption": 1}, 10), 4)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds the dummy set of a name once; returns its parts."""
    from tfds_builders.build import build

    done = {}

    def give(name, storage="jpeg"):
        if (name, storage) not in done:
            folder = tmp_path_factory.mktemp(name)
            form = Form(**{**vars(FORM), "storage": storage})
            manual_dir = make(name, folder / "given")
            done[name, storage] = build(
                name, manual_dir=manual_dir, data_dir=folder / "records", form=form
            )
        return done[name, storage]

    return give


def records_of(source):
    """{id: record}, with TensorFlow's arrays as NumPy arrays."""
    records = (source.read(n) for n in range(source.count))
    found = {}
    for row in records:
        captions = [text.decode() for text in row.pop("captions")["text"].numpy()]
        values = {name: np.array(value) for name, value in row.items()}
        found[row["video_id"].numpy().decode()] = {**values, "captions": captions}
    return found


def config_of(size):
    config = small_config()
    data = config.data
    data.frames, data.size, data.audio_samples = 4, 16, 6_400
    data.candidates, data.words, data.augmentation = 1, 4, "inception"
    config.train.batch_size = size
    return config


def batch_of(source, size):
    stream = training_batches([source], TOKENIZER, config_of(size), position=0, host=0, hosts=1)
    ((device, host),) = itertools.islice(stream, 1)
    return device, host


@pytest.mark.parametrize("storage", ["jpeg", "mp4", "index"])
def test_sound_alone_is_heard_and_has_no_loss(built, storage):
    source = open_source(built("esc50", storage), split="fold2")
    assert source.class_names == ("dog", "rooster")
    rows = records_of(source)
    assert {name: row["labels"].tolist() for name, row in rows.items()} == {
        "2-102-A-0": [b"dog"],
        "2-102-A-1": [b"rooster"],
    }
    for row in rows.values():
        assert (row["frame_count"], row["height"], row["width"]) == (10, 0, 0)
        assert row["has_audio"]
    device, _ = batch_of(source, 4)
    assert not device[names.VIDEO_MASK].any()
    assert device[names.AUDIO_MASK].all()
    assert np.ptp(device[names.VIDEO], axis=(1, 2, 3)).max() == 0  # one colour per sample
    expected = tone(1, 16_000)
    for heard in device[names.AUDIO]:
        assert np.abs(heard).max() == pytest.approx(np.abs(expected).max(), abs=0.02)
        assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.02)


def test_a_clip_of_several_splits_is_stored_once_and_found_in_each(built):
    parts = built("ucf101")
    sources = {s: open_source(parts, split=s) for s in ("train1", "test1", "train3", "test3")}
    rows = {split: records_of(source) for split, source in sources.items()}
    assert sorted(rows["test1"]) == ["v_ApplyEyeMakeup_g01_c01", "v_HandstandPushups_g01_c01"]
    assert sorted(rows["train1"]) == sorted(
        f"v_{name}_g0{g}_c01" for name in ("ApplyEyeMakeup", "HandstandPushups") for g in (2, 3)
    )
    assert rows["train3"].keys().isdisjoint(rows["test3"])
    assert sources["test1"].class_names == ("ApplyEyeMakeup", "HandstandPushups")
    for name, row in rows["train1"].items():
        assert row["labels"].tolist() == [name.split("_")[1].encode()]
        assert row["has_audio"] == ("g02" not in name)
    with pytest.raises(UserError, match="There is no split 'train'") as caught:
        open_source(parts)
    assert "one of test1, test2, test3, train1, train2, train3" in str(caught.value)


def test_pieces_of_a_video_have_its_times_and_their_captions(built):
    source = open_source(built("youcook2"), split="validation")
    rows = records_of(source)
    assert sorted(rows) == sorted(f"{name}_{n}" for name in YOUTUBE[1:3] for n in range(2))
    for name, row in rows.items():
        number = int(name[-1])
        assert (row["start"], row["end"]) == (number, number + 1)
        assert row["captions"] == [f"step {number} of {name[:-2]}"]
        assert row["labels"].size == 0
    clips = list(captioned_clips(source, TOKENIZER, config_of(4).data, size=8))
    shown = {b.decode() for batch in clips for b in batch["caption"]}
    assert shown == {row["captions"][0] for row in rows.values()}


def test_every_caption_of_a_clip_is_kept(built):
    rows = records_of(open_source(built("msrvtt"), split="test"))
    assert rows["video3"]["captions"] == ["caption 0 of 3, naïve", "caption 1 of 3, naïve"]
    rows = records_of(open_source(built("msrvtt_1ka"), split="test"))
    assert rows["video3"]["captions"] == ["caption 1 of 3, naïve"]


def test_videos_of_youtube8m_have_its_labels(built):
    source = open_source(built("youtube8m"))
    rows = records_of(source)
    assert {name: row["labels"].tolist() for name, row in rows.items()} == {
        YOUTUBE[0]: [b"Class 0, the", b"Class 2, the"],
        YOUTUBE[1]: [b"Class 300, the"],
        YOUTUBE[2]: [],
    }
    assert source.class_names[300] == "Class 300, the"
    assert source.class_names[1] == ""
    device, _ = batch_of(source, 2)
    assert device[names.VIDEO_MASK].all()
    assert not device[names.TEXT_MASK].any()
