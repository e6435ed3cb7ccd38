"""mode=audit: the scores of all clips, the list of the worst, and a page to look at them."""

import json
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ml_collections import ConfigDict

from vatt_gh.audit.judged import JUDGED
from vatt_gh.audit.scores import Scored, clip_batches, score_clips
from vatt_gh.audit.videos import of_videos, write_videos
from vatt_gh.audit.worst import planted_shares, worst_clips, write_list
from vatt_gh.data.clips import NUMBER
from vatt_gh.data.records import Source, open_source
from vatt_gh.data.sources import find_or_build
from vatt_gh.data.windows import FULL_SCALE
from vatt_gh.evaluation.loading import Loaded, load_for_evaluation
from vatt_gh.files import replacing, write_whole
from vatt_gh.report.audit import Shown, write_audit_page
from vatt_gh.report.run import Aligned
from vatt_gh.report.strips import first_middle_last


def audit(config: ConfigDict, workdir: Path, aligned: Aligned | None = None) -> dict[str, Any]:
    """Scores the clip of each caption of data.data_dir with the newest checkpoint.

    Writes into WORKDIR/audit: scores.parquet (a row a clip), worst.csv (the worst share, for
    data.without), videos.csv (mean percentiles of each video), summary.json and index.html.

    Args:
        config: the whole configuration.
        workdir: work directory of the run.
        aligned: the truth about planted noise, if known.

    Returns:
        The summary: number of clips, settings and, with `aligned`, how many of the worst clips are
        planted ('value'), how many a random list has ('chance'), and how many the list of the
        model without training has ('untrained').

    Raises:
        UserError: there is no checkpoint, there are no records with captions, or the run has no
            loss to judge by.
    """
    folder = Path(workdir) / "audit"
    # Without data.only and data.without: clips that training leaves out are rated, too.
    data = config.data
    source = open_source(find_or_build(data), data.manual_dir, data.split, data.unreadable_share)
    if data.also:
        print("audit: reads data.data_dir only; audit each data set of data.also separately")
    loaded = load_for_evaluation(config, workdir, source.audio_rate)
    states = [loaded.state] if aligned is None else [loaded.state, loaded.drawn]
    scored, *of_drawn = score_clips(config, loaded, source, states)
    worst = worst_clips(scored, config.audit.by, config.audit.worst)
    summary: dict[str, Any] = {
        "clips": len(scored.number),
        "step": int(loaded.state.step),
        "visits": config.audit.visits,
        # Negatives come from it: several processes share train.batch_size.
        "batch": config.train.batch_size // jax.process_count(),
        "by": config.audit.by,
        "worst": {modality or "clip": len(rows) for modality, rows in worst.items()},
    }
    if aligned is not None:
        shares = planted_shares(scored, worst, config.audit.by, aligned)
        reference = worst_clips(of_drawn[0], config.audit.by, config.audit.worst)
        untrained = planted_shares(of_drawn[0], reference, config.audit.by, aligned)
        summary["planted"] = {
            modality: {**share, "untrained": untrained[modality]["value"]}
            for modality, share in shares.items()
        }
    if jax.process_index() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        _write_scores(scored, folder / "scores.parquet")
        write_list(scored, worst, folder / "worst.csv")
        write_whole(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
        videos = of_videos(scored, [JUDGED[config.audit.by][modality] for modality in worst])
        write_videos(videos, folder / "videos.csv")
        shown = _shown(config, loaded, source, scored, folder)
        page = write_audit_page(folder, scored.measures, shown, videos, summary)
        print(json.dumps(summary))
        print(f"Page: {page}")
    return summary


def _write_scores(scored: Scored, path: Path) -> None:
    def column(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=np.isnan(values))  # null: the clip has nothing to compare

    table = {
        "video_id": scored.video_ids.tolist(),
        "start": scored.start,
        "end": scored.end,
        "caption": scored.captions.tolist(),
        "caption_start": scored.caption_start,
        "caption_end": scored.caption_end,
        **{name: column(values) for name, values in scored.measures.items()},
        **{f"{name}_percentile": column(x) for name, x in scored.percentiles.items()},
    }
    with replacing(path) as partial:
        pq.write_table(pa.table(table), partial)


def _shown(
    config: ConfigDict, loaded: Loaded, source: Source, scored: Scored, folder: Path
) -> list[Shown]:
    """Writes picture and sound of each measure's worst and best clips; returns these clips."""
    rows = _interesting(scored, config.audit.shown)
    place = {int(scored.number[row]): row for row in rows}
    (folder / "clips").mkdir(exist_ok=True)
    shown = {}
    size = config.eval.batch_size
    batches = clip_batches(config, loaded, source, size=size, numbers=list(place))
    with closing(batches):
        for batch in batches:
            for k, number in enumerate(batch[NUMBER]):
                clip = {name: values[k] for name, values in batch.items()}
                row = place[int(number)]
                shown[row] = _one(clip, row, scored, folder, source.audio_rate)
    return [shown[row] for row in rows if row in shown]


def _interesting(scored: Scored, count: int) -> list[int]:
    """Picks about `count` rows: in turn the worst and the best remaining row of each measure."""
    orders = []
    for percentile in scored.percentiles.values():
        there = np.flatnonzero(np.isfinite(percentile))
        order = there[np.argsort(percentile[there], kind="stable")]
        orders += [order, order[::-1]]
    found: dict[int, None] = {}
    for rank in range(max(map(len, orders), default=0)):
        for order in orders:
            if rank < len(order) and len(found) < count:
                found.setdefault(int(order[rank]))
    return list(found)


def _one(clip: dict[str, Any], row: int, scored: Scored, folder: Path, rate: int) -> Shown:
    video, number = clip["video"], int(clip[NUMBER])
    strip = np.concatenate(video[first_middle_last(len(video))], axis=1)
    picture = Path("clips") / f"{number}.jpg"
    _, image = cv2.imencode(".jpg", cv2.cvtColor(strip, cv2.COLOR_RGB2BGR))
    with replacing(folder / picture) as partial:
        partial.write_bytes(image)
    sound = None
    if clip["audio_mask"]:
        sound = Path("clips") / f"{number}.wav"
        with replacing(folder / sound) as partial, wave.open(str(partial), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(np.rint(clip["audio"] * FULL_SCALE).astype("<i2").tobytes())
    return Shown(
        video_id=str(scored.video_ids[row]),
        start=float(scored.start[row]),
        end=float(scored.end[row]),
        caption=str(scored.captions[row]),
        picture=picture.as_posix(),
        sound=sound and sound.as_posix(),
        measures={name: float(x[row]) for name, x in scored.measures.items()},
        percentiles={name: float(x[row]) for name, x in scored.percentiles.items()},
    )
