"""Fine-tuning on every set's tiny media, from the original's checkpoints and from a run of ours."""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from dummy_data import make, make_measurable
from finetuning.recipe import FILES, finetune_by_file
from golden.golden_set import from_original, golden
from interop.by_name import extract
from media_files import write_media
from small import small_config
from tiny_run import prepared, session_folder

from tfds_builders.build import build_for
from vatt_gh.data.labelled import labelled_batches, labelled_views
from vatt_gh.errors import UserError
from vatt_gh.finetuning.run import finetune
from vatt_gh.finetuning.task import CLASSIFIED, open_task
from vatt_gh.interop.names import grid_tower_names
from vatt_gh.media.pictures import from_jpeg
from vatt_gh.report.jsonl import read_jsonl
from vatt_gh.training.initial import read_run
from vatt_gh.training.loop import pretrain

KINDS = ("tx_fac", "ut_fac")
SHORT = {"train.steps": 2, "train.warmup_steps": 1, "train.checkpoint_every": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return prepared(session_folder(tmp_path_factory))


def set_config(name, folder, **changes):
    manual = folder / name
    if not manual.exists():
        make_measurable(name, manual)
    return small_config(
        **{
            "mode": "finetune",
            "data.builder": name,
            "data.manual_dir": str(manual),
            "data.data_dir": str(folder / f"{name}_records"),
            "data.build_short_side": 32,
            "data.build_audio_rate": 16_000,
            "data.build_workers": 1,
            "train.log_every": 1,
            "eval.batch_size": 3,
            "eval.windows": 2,
            "data.colour_jitter": 0.5,
            **SHORT,
            **changes,
        }
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLASSIFIED)
def test_every_set_is_learnt_from_the_originals_checkpoint(name, kind, folder):
    config = from_original(set_config(name, folder), kind)
    workdir = folder / f"{name}_{kind}"
    results = finetune(config, workdir, build=build_for)
    task = open_task(config.data, config.finetune)
    assert results["step"] == 2
    assert results["finetune_clips"] + results["unlabelled"] == task.test.count > 0
    assert all({"value", "untrained"} <= s.keys() for s in results["finetune"].values())
    report = json.loads((workdir / "init_from.json").read_text())
    tower = "unified" if kind == "ut_fac" else {"video": "vid", "audio": "aud"}[task.modality]
    assert not report["missing"] and all(tower in used for used in report["used"])
    assert np.isfinite([row["loss"] for row in read_jsonl(workdir / "metrics.jsonl")]).all()


def test_the_tower_is_the_checkpoints(folder):
    """Frozen for two steps, it has the golden weights still."""
    config = from_original(set_config("esc50", folder, **{"finetune.freeze": True}), "tx_fac")
    finetune(config, folder / "frozen", build=build_for)
    ours = {
        tuple(name.split("/")[2:]): x
        for name, x in read_run(folder / "frozen").items()
        if name.startswith("params/backbone/")
    }
    tree = {}
    for path, x in ours.items():
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = x
    expected = golden("model_tx_fac").part("w")
    prefix = "model/layer_with_weights-0/_base_layer/aud_backbone/"
    found = extract(tree, grid_tower_names(tree))
    assert len(found) == len(ours) > 10
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[prefix + name], err_msg=name)


def run_of_ours(kind, tiny, folder):
    start = folder / f"run_{kind}"
    if not start.exists():
        pretrain(
            tiny.config(**{"model.kind": kind, "harmonize.realign": False}), start, stop_after=2
        )
    return start


@pytest.mark.parametrize("name", FILES)
def test_the_configuration_of_a_set_runs_from_a_run_of_ours(name, tiny, folder, tmp_path):
    run = run_of_ours("three_tower", tiny, folder)
    finetune_by_file(name, run, folder, tmp_path, frames=8, size=16, audio_samples=6_400)


@pytest.mark.parametrize(("kind", "name"), [("three_tower", "esc50"), ("shared", "ucf101")])
def test_a_run_of_ours_gives_its_tower(kind, name, tiny, folder, tmp_path):
    start = run_of_ours(kind, tiny, folder)
    changes = {"data.frames": 8, "data.audio_samples": 6_400, "finetune.freeze": True}
    config = set_config(name, folder, init_from=f"orbax:{start}", **changes)
    finetune(config, tmp_path / "work", build=build_for)
    theirs, ours = read_run(start), read_run(tmp_path / "work")
    modality = "video" if name == "ucf101" else "audio"
    prefix = "params/backbone/"
    tower = {n.removeprefix(prefix): x for n, x in ours.items() if n.startswith(prefix)}
    assert any(n.startswith("tokens/") for n in tower) and any("encoder/" in n for n in tower)
    for path, value in tower.items():
        part, _, rest = path.partition("/")
        names = {"tokens": f"{modality}/{rest}", "post_proj": f"{modality}_post_proj/{rest}"}
        other = names.get(part, path) if kind == "shared" else f"{modality}/{path}"
        np.testing.assert_array_equal(value, theirs[f"params/towers/{other}"], err_msg=path)


def test_views_are_three_squares_of_windows_spread_in_time(folder):
    """Against whole frames, resized and cut by plain code."""
    manual = make("ucf101", folder / "ramps")
    ramp = np.arange(64 * 48 * 3).reshape(48, 64, 3) // [9, 5, 3] % 256
    images = [np.uint8(np.roll(ramp, 3 * n, axis=1)) for n in range(10)]
    for path in manual.rglob("*.avi"):
        write_media(path, images, [n / 10 for n in range(10)], codec="mpeg4")
    places = {"data.manual_dir": str(manual), "data.data_dir": str(folder / "ramp_records")}
    config = set_config("ucf101", folder, **places)
    task = open_task(config.data, config.finetune, build_for)
    options = {"windows": 3, "size": 2}
    [*batches] = labelled_views(task.test, config.data, "video", crops=3, **options)
    [*central] = labelled_views(task.test, config.data, "video", crops=1, **options)
    found = {b["video_id"][n]: b["video"][n] for b in batches for n in range(len(b["video"]))}
    middle = {b["video_id"][n]: b["video"][n] for b in central for n in range(len(b["video"]))}
    assert len(found) == task.test.count
    size, frames = config.data.size, config.data.frames
    for record in range(task.test.count):
        example = task.test.read(tf.constant(record, tf.int64))
        count, name = int(example["frame_count"]), example["video_id"].numpy()
        height, width = int(example["height"]), int(example["width"])
        whole = pictures_of(task.test, record)
        assert (height, width) == whole.shape[1:3] and width > height
        long = width * size // height
        expected = []
        for left in (0, round(long / 2 - size // 2), long - size):
            for first in np.linspace(0, max(count - frames, 0), 3).astype(int):
                for k in range(first, first + frames):
                    frame = cv2.resize(
                        whole[k % count], (long, size), interpolation=cv2.INTER_LINEAR
                    )
                    expected.append(frame[:, left : left + size])
        expected = np.array(expected).reshape(9, frames, size, size, 3)
        np.testing.assert_array_equal(found[name], expected)
        np.testing.assert_array_equal(middle[name], expected[3:6])


def pictures_of(source, record):
    """All frames of a record [T, h, w, 3] uint8."""
    stored = {"frames": tfds.decode.SkipDecoding()}
    example = source.features.deserialize_example(source.shards.read(record), decoders=stored)
    return np.stack([from_jpeg(image) for image in example["frames"].numpy()])


@pytest.mark.parametrize("name", ["ucf101", "esc50"])
def test_the_input_does_not_depend_on_hosts_or_on_where_it_begins(name, folder):
    config = set_config(name, folder)
    task = open_task(config.data, config.finetune, build_for)

    def first(count, **options):
        batches = labelled_batches(task.train, config, task.modality, **options)
        return [next(batches) for _ in range(count)]

    whole = first(3, position=0, host=0, hosts=1)
    [later] = first(1, position=16, host=0, hosts=1)
    halves = [first(2, position=0, host=h, hosts=2) for h in (0, 1)]
    for key, value in whole[2][0].items():
        np.testing.assert_array_equal(later[0][key], value)
    for step in range(2):
        for part in (0, 1):
            for key, value in whole[step][part].items():
                both = np.concatenate([half[step][part][key] for half in halves])
                np.testing.assert_array_equal(both, value)
    labels = np.concatenate([arrays["label"] for arrays, _ in whole])
    assert labels.shape[1] == len(task.classes) and (labels.sum(axis=1) == 1).all()


def test_classes_that_cannot_be_scored_are_named(folder):
    manual = make("audioset", folder / "alike")
    places = {"data.manual_dir": str(manual), "data.data_dir": str(folder / "alike_records")}
    with pytest.raises(UserError, match="No class can be scored"):
        finetune(set_config("audioset", folder, **places), folder / "none", build=build_for)
