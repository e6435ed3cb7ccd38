"""TFDS's own test case, for every builder, on real media in each set's real layout."""

import tempfile
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds
from dummy_data import make

from tfds_builders.builders import BUILDERS
from tfds_builders.sets import DATA_SETS, to_markdown
from vatt_gh.evaluation.protocols import PROTOCOLS

ALIKE = ("kinetics400", "msrvtt", "ucf101")  # files like others: not worth decoding

# One record per clip: none is longer than a segment.
EXPECTED = {
    "howto100m": {"train": 2},
    "youtube8m": {"train": 3},
    "ucf101": {
        "test1_and_train2_and_train3": 2,
        "test2_and_train1_and_train3": 2,
        "test3_and_train1_and_train2": 2,
    },
    "hmdb51": {"test1_and_train3": 2, "test2_and_train1": 2, "test3_and_train2": 2},
    "kinetics400": {"train": 2, "validate": 1, "test": 1},
    "esc50": {f"fold{n}": 2 for n in range(1, 6)},
    "msrvtt": {"train": 2, "validate": 1, "test": 2},
    "msrvtt_1ka": {"train": 3, "test": 2},
    "youcook2": {"training": 2, "validation": 4, "testing": 2},
    "audioset": {"unbalanced_train": 2, "balanced_train": 2, "eval": 2},
}


def case_of(name):
    """The test case of a builder; pytest finds it by name."""

    class Case(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = BUILDERS[name]
        SPLITS = EXPECTED[name]
        BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["index" if name in ALIKE else "jpeg"]

        @classmethod
        def setUpClass(cls):
            cls.dummy = tempfile.TemporaryDirectory()
            cls.EXAMPLE_DIR = make(name, Path(cls.dummy.name) / name)
            super().setUpClass()

        @classmethod
        def tearDownClass(cls):
            super().tearDownClass()
            cls.dummy.cleanup()

    return Case


globals().update({f"Test_{name}": case_of(name) for name in BUILDERS})


def test_no_builder_is_left_out():
    assert EXPECTED.keys() == BUILDERS.keys() == DATA_SETS.keys()


def test_the_splits_that_are_scored_are_the_set_s():
    for name, protocol in PROTOCOLS.items():
        scored = {split for fit, test in protocol.folds for split in (*fit, test)}
        scored |= {*protocol.finetuned, protocol.test} - {""}
        assert scored and scored <= {*DATA_SETS[name].splits}, name


def test_readme_has_the_table_of_the_data_sets():
    assert to_markdown() in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
