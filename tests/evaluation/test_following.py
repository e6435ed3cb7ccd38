"""Checkpoints are scored as training writes them."""

import json
import shutil

import jax
import pytest
from small import small_config

from vatt_gh.data.records import open_source
from vatt_gh.data.sources import word_counts
from vatt_gh.data.text import build_vocabulary
from vatt_gh.errors import UserError
from vatt_gh.evaluation import following as module
from vatt_gh.evaluation.following import follow
from vatt_gh.evaluation.scoring import as_row, evaluate_workdir
from vatt_gh.files import write_whole
from vatt_gh.report.run import write_report
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import create_state


@pytest.fixture(scope="module")
def run(small_records, tmp_path_factory):
    """(configuration, work directory, a function that saves the checkpoint of a step)."""
    workdir = tmp_path_factory.mktemp("followed")
    config = small_config(
        **{"data.data_dir": str(small_records.parents[2]), "train.steps": 6, "eval.batch_size": 8}
    )
    words = build_vocabulary(word_counts([open_source([small_records])]), 100)
    write_whole(workdir / "vocabulary.txt", "\n".join(words) + "\n")
    model = model_of(config, words=len(words), audio_rate=16_000)
    first = create_state(model, optimizer_of(config.train), zero_sample(config.data), 0)

    def save(step):
        params = jax.tree.map(lambda x: x * (1 + step), first.params)
        with Checkpoints(workdir, config.train, audio_rate=16_000) as checkpoints:
            checkpoints.save(replicate(first.replace(step=step, params=params)), 0)

    return config, workdir, save


def test_every_checkpoint_is_scored_once(run, monkeypatch):
    config, workdir, save = run
    to_come = [6]
    monkeypatch.setattr(module.time, "sleep", lambda seconds: save(to_come.pop()))
    save(2)
    save(4)
    rows = follow(config, workdir)
    assert [row["step"] for row in rows] == [2, 4, 6] and not to_come
    written = (workdir / "evaluations.jsonl").read_text()
    assert [json.loads(line) for line in written.splitlines()] == rows
    newest = as_row(evaluate_workdir(config, workdir))
    assert {"step": 6, **newest} == rows[-1] and "eval.retrieval.r1" in newest
    monkeypatch.setattr(module, "evaluate", None)  # nothing is left to score
    assert follow(config, workdir) == rows
    assert "Scores during training" not in (workdir / "index.html").read_text()  # never trained
    (workdir / "metrics.jsonl").write_text(
        '{"step": 6, "loss": 1.0, "samples_per_second": 2.0, "data_wait_share": 0.1}\n'
    )
    assert "Scores during training" in write_report(workdir).read_text()


def test_every_set_has_a_file_of_its_own(run, small_records, monkeypatch):
    """What one set has been scored at says nothing of another."""
    config, workdir, save = run
    save(6)
    (workdir / "evaluations.jsonl").unlink(missing_ok=True)
    monkeypatch.setattr(module, "held_out_source", lambda *_: open_source([small_records]))
    seen = []

    def evaluate(held_out):
        seen.append(held_out.builder)
        return {"retrieval": {"r1": {"value": float(len(seen))}}}

    monkeypatch.setattr(module, "evaluate", evaluate)
    found = {}
    own = config.data.builder
    for builder, split in (
        ("ucf101", ""),
        ("msrvtt", ""),
        ("msrvtt", "full"),
        ("msrvtt", ""),
        (own, ""),
        ("", "eval"),
    ):
        other = config.copy_and_resolve_references()
        other.eval.builder, other.eval.split = builder, split
        found[builder, split] = follow(other, workdir)
    assert seen.count("ucf101") == len(found["ucf101", ""]) >= 1
    assert seen.count("msrvtt") == 2 * seen.count("ucf101")
    for name, rows in (
        ("_ucf101", ("ucf101", "")),
        ("_msrvtt_full", ("msrvtt", "full")),
        ("", (own, "")),
        ("_eval", ("", "eval")),
    ):
        written = (workdir / f"evaluations{name}.jsonl").read_text()
        assert [json.loads(line) for line in written.splitlines()] == found[rows]
    values = [row["eval.retrieval.r1"] for rows in found.values() for row in rows]
    assert len(set(values)) == len(values) == len(seen)


def test_a_checkpoint_that_training_deletes_is_left_out_and_a_broken_one_named(run, monkeypatch):
    config, workdir, save = run
    (workdir / "evaluations.jsonl").unlink(missing_ok=True)
    save(6)
    restore = Checkpoints.restore

    def deleted(self, like, step=None):
        if step == 4:
            shutil.rmtree(workdir / "checkpoints" / "4", ignore_errors=True)
            raise UserError("gone", where="4", expected="it", todo="nothing")
        return restore(self, like, step)

    monkeypatch.setattr(Checkpoints, "restore", deleted)
    assert [row["step"] for row in follow(config, workdir)] == [2, 6]

    def broken(self, like, step=None):
        if step is not None:
            raise UserError("broken", where=str(step), expected="it", todo="nothing")
        return restore(self, like)

    (workdir / "evaluations.jsonl").unlink()
    monkeypatch.setattr(Checkpoints, "restore", broken)
    with pytest.raises(UserError, match="broken"):
        follow(config, workdir)
