"""The runs of a study."""

import pytest
from small import small_config

from vatt_gh.config import flatten
from vatt_gh.config.checks import validate
from vatt_gh.errors import UserError
from vatt_gh.study.plan import METHODS, Corpus, in_order, run_of, runs_of
from vatt_gh.training.harmonization import schedule_of


def names(**study):
    return [
        run.name
        for run in runs_of(small_config(**{f"study.{k}": v for k, v in study.items()}).study)
    ]


def test_every_model_corpus_method_and_seed_once_and_seed_by_seed():
    runs = runs_of(small_config().study)
    assert len(runs) == len({run.name for run in runs}) == 5 * 2 * 7 * 4
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    # Captions and sounds are wrong in separate runs; the corpus without noise occurs once.
    assert all(0 in (run.corpus.caption_noise, run.corpus.sound_noise) for run in runs)
    assert sum(run.corpus == Corpus(0.0, 0.0) for run in runs) == 5 * 2 * 4


def test_a_part_is_picked_by_names():
    assert names(only="shared-captions25-both-seed3") == ["shared-captions25-both-seed3"]
    found = names(only="*-sounds50-plain-seed0, *-clean-plain-seed1")
    assert sorted(found) == [
        "shared-clean-plain-seed1",
        "shared-sounds50-plain-seed0",
        "three_tower-clean-plain-seed1",
        "three_tower-sounds50-plain-seed0",
    ]
    with pytest.raises(UserError, match="No run of the study has such a name"):
        names(only="shared-captions26-*")


def test_corpora_have_names_of_their_own():
    names = [Corpus(share, 0.0).name for share in (0.25, 0.125, 0.12, 0.07, 0.004)]
    assert names == ["captions25", "captions12.5", "captions12", "captions7", "captions0.4"]
    assert Corpus(0.5, 0.25).name == "captions50-sounds25" and Corpus(0.0, 0.0).name == "clean"


def test_a_run_changes_what_its_name_says():
    config = small_config(**{"study.only": "shared-sounds75-curriculum-seed4"})
    (run,) = runs_of(config.study)
    config.update_from_flattened_dict(run.changes(8))
    assert (config.seed, config.model.kind) == (4, "shared")
    assert not config.harmonize.realign and config.harmonize.curriculum
    assert (config.demo.caption_noise, config.demo.sound_noise) == (0.0, 0.75)


def test_every_method_is_one_that_can_be_run():
    for method, settings in METHODS.items():
        config = small_config(**{"study.methods": (method,)})
        before = config.harmonize.to_dict()
        config.update_from_flattened_dict(runs_of(config.study)[0].changes(8))
        validate(config, devices=1, hosts=1)
        changed = {k: v for k, v in config.harmonize.items() if v != before[k]}
        assert (
            changed.items() <= {k: v(8) if callable(v) else v for k, v in settings.items()}.items()
        )


def test_a_late_curriculum_begins_at_a_quarter_and_ends_with_the_training():
    config = small_config(**{"study.methods": ("share_late",)})
    config.update_from_flattened_dict(runs_of(config.study)[0].changes(800))
    shares = [float(schedule_of(config.harmonize, step)) for step in (199, 200, 500, 800)]
    end = config.harmonize.share_end
    assert shares == pytest.approx([0, config.harmonize.share_start, end / 2, end])


def test_a_run_is_known_by_its_directory_and_the_order_is_that_of_the_tables():
    runs = runs_of(small_config(**{"study.methods": tuple(METHODS), "study.seeds": (0, 1)}).study)
    for run in runs:
        config = small_config()
        config.update_from_flattened_dict(run.changes(8))
        assert run_of(run.name, flatten(config)) == run
    names = [run.name for run in sorted(runs, key=in_order)]
    assert names[:2] == ["three_tower-clean-plain-seed0", "three_tower-clean-plain-seed1"]
    assert names[-1] == f"shared-sounds75-{list(METHODS)[-1]}-seed1"
