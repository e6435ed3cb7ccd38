"""Scores of a classifier: the logits of a test clip are averaged over its views."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.clips import LENGTH, NUMBER
from vatt_gh.data.labelled import labelled_views
from vatt_gh.errors import UserError
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.features import filled_up
from vatt_gh.evaluation.hosts import of_all_hosts
from vatt_gh.evaluation.measures import Score, group_means, in_top_k
from vatt_gh.evaluation.multi_label import measured_with_intervals
from vatt_gh.evaluation.protocols import PROTOCOLS, WINDOWS
from vatt_gh.finetuning.step import as_input
from vatt_gh.finetuning.task import Task
from vatt_gh.models.classifier import Classifier, average_views
from vatt_gh.models.vatt import Params
from vatt_gh.report.results import PROTOCOL
from vatt_gh.training.parallel import spread

GROUP, COUNT = "finetune", "finetune_clips"  # in results.json


def score(
    model: Classifier, weights: Mapping[str, Params], task: Task, config: ConfigDict
) -> dict[str, Any]:
    """Scores a classifier with each of several weights on the test clips, read once.

    Args:
        model: the classifier.
        weights: its parameters by name; the first ones are scored, the others are references.
        task: the classification task.
        config: the whole configuration.

    Returns:
        COUNT, 'unlabelled' (records that are not there or have no class, which count for nothing),
        PROTOCOL (how it is scored, in words) and
        GROUP: {name: {'value', 'chance', 'low', 'high'}}, a reference under its own name, and
        'published' where the original's paper reports the same set, tower and views.

    Raises:
        UserError: there is no test clip with a class.
        FloatingPointError: the logits of a clip are not finite.
    """
    views = labelled_views(
        task.test,
        config.data,
        task.modality,
        windows=config.eval.windows,
        crops=3 if config.finetune.three_crops else 1,
        size=config.eval.batch_size,
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    with closing(views) as batches:
        logits, labels, without = _predicted(model, list(weights.values()), batches, task, config)
    measure = measured_with_intervals if task.multi_label else _of_one
    scores, *others = (measure(each, labels) for each in logits)
    for name, other in zip(list(weights)[1:], others, strict=True):
        for key, value in scores.items():
            value[name] = other[key]["value"]
    _add_published(scores, task, config)
    counts = {COUNT: len(labels), "unlabelled": without}
    return {**counts, GROUP: scores, PROTOCOL: _protocol(task, config)}


def _protocol(task: Task, config: ConfigDict) -> dict[str, str]:
    """Describes how a classifier is scored, in words."""
    squares = f", {3 if config.finetune.three_crops else 1} squares of each"
    return {
        "data set": config.data.builder,
        "splits": f"{task.test_split}, after learning {task.learnt}",
        "learnt": "the linear layer alone" if config.finetune.freeze else "the tower, too",
        "windows": f"{config.eval.windows} of a record, spread evenly"
        + squares * (task.modality == names.VIDEO),
    }


def _predicted(
    model: Classifier,
    weights: list[Params],
    batches: Iterable[dict[str, np.ndarray]],
    task: Task,
    config: ConfigDict,
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Returns mean logits [N, K] of all hosts' clips by weights, labels [N, K], records without."""
    parts = []
    for batch in batches:
        views = batch[task.modality]
        seen = [predict(model, each, views, config.eval.batch_size) for each in weights]
        known = batch[f"{task.modality}_mask"] & batch[names.LABEL].any(axis=1)
        kept = {name: batch[name] for name in (names.LABEL, names.VIDEO_ID, NUMBER, LENGTH)}
        parts.append({**kept, "known": known, "seen": seen})
    every = of_all_hosts(parts)
    if every is None or not every["known"].any():
        raise UserError(
            "There is no clip to test.",
            where=f"the split {task.test_split} of config.data.data_dir = {config.data.data_dir}",
            expected=f"clips with {task.modality} and a class",
            todo="build this split; skipped.jsonl of the build says what was left out",
        )
    known = every["known"]
    _check_finite(every["seen"], known, every[names.VIDEO_ID])
    # A clip that is longer than a record has several, all with as many views: each counts by its
    # length, for the last one may be short.
    _, first, clip = np.unique(every[names.VIDEO_ID][known], return_index=True, return_inverse=True)
    length = every[LENGTH][known]
    means = [group_means(x[known], clip, length, len(first)) for x in every["seen"]]
    return means, every[names.LABEL][known][first], int((~known).sum())


def _check_finite(seen: list[np.ndarray], known: np.ndarray, video_ids: np.ndarray) -> None:
    for logits in seen:
        wrong = known & ~np.isfinite(logits).all(axis=1)
        if wrong.any():
            name = video_ids[wrong][0].decode("utf-8", "replace")
            raise FloatingPointError(
                f"the logits of {wrong.sum()} test records are not finite, such as {name}"
            )


def _logits(model: Classifier, params: Params, clips: jax.Array) -> jax.Array:
    return jax.vmap(lambda clip: model.apply({"params": params}, as_input(clip), None, False))(
        clips
    )


_compiled = jax.jit(_logits, static_argnums=0)


def predict(model: Classifier, params: Params, views: np.ndarray, size: int) -> np.ndarray:
    """Computes mean logits [B, K] float32 over the views [B, V, ...] of records, on all devices.

    Args:
        model: the classifier.
        params: its parameters.
        views: views of at most `size` records, equally many of each.
        size: records of a whole batch; a smaller one is filled up, so that one program serves all.

    Returns:
        The means; all tokens are used, without dropout.
    """
    count, each = views.shape[:2]
    flat = views.reshape(-1, *views.shape[2:])
    devices = jax.local_device_count()
    whole = -(-size * each // devices) * devices
    logits = np.asarray(_compiled(model, params, spread(filled_up(flat, whole))))
    return np.asarray(average_views(logits[: count * each], each))


def _of_one(logits: np.ndarray, labels: np.ndarray) -> dict[str, Score]:
    """Scores clips of one class each; chance is to name the most frequent ones."""
    classes = labels.argmax(axis=1)
    frequent = np.sort(labels.mean(axis=0))[::-1]
    scores = {}
    for k in (1, 5):
        if k < labels.shape[1]:
            right = in_top_k(logits, classes, k).astype(np.float64)
            value = {"value": float(right.mean()), "chance": float(frequent[:k].sum())}
            scores[f"top_{k}"] = value | interval([right])
    return scores


def _add_published(scores: dict[str, Score], task: Task, config: ConfigDict) -> None:
    own_recipe = config.finetune.freeze or config.finetune.split
    own_views = config.eval.windows != WINDOWS or (
        task.modality == names.VIDEO and not config.finetune.three_crops
    )
    if own_recipe or own_views:
        return
    published = PROTOCOLS[config.data.builder].finetuned_references(config.model)
    for name in scores.keys() & published.keys():
        scores[name] |= published[name]
