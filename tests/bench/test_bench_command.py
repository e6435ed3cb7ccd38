"""The command that runs measurements by name."""

import importlib
import json

import pytest

from vatt_gh.bench.__main__ import MEASUREMENTS, main


def test_a_measurement_is_printed_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS, "counting", ("bench.counting", "counts"))
    main(["counting", "--upto=5", f"--json={tmp_path / 'found.json'}"])
    assert capsys.readouterr().out == "counted 5\n"
    assert json.loads((tmp_path / "found.json").read_text()) == {"counted": [0, 1, 2, 3, 4]}


def test_a_measurement_may_return_its_arguments(tmp_path, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS, "counting", ("bench.counting", "counts"))
    monkeypatch.setattr("bench.counting.run", lambda arguments: {"counted": [], **vars(arguments)})
    main(["counting", "--upto=5", f"--json={tmp_path / 'found.json'}"])
    assert json.loads((tmp_path / "found.json").read_text()) == {"counted": [], "upto": 5}


def test_help_lists_every_measurement(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text and line in text for name, (_, line) in MEASUREMENTS.items())


@pytest.mark.parametrize("argv", [["nothing"], [], ["bfloat16", "--nothing"]])
def test_what_is_not_there_ends_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert "usage: python -m vatt_gh.bench" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_every_measurement_has_its_parts(name):
    module = importlib.import_module(MEASUREMENTS[name][0])
    assert all(callable(getattr(module, part)) for part in ("add_arguments", "run", "show"))


def test_classifiers_of_frozen_features_are_timed(capsys):
    main(["classifiers", "--clips=60", "--tests=20", "--classes=2", "--width=256"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "60 clips of 2 classes, 256 features each; 20 classified"
    assert [line.split()[0] for line in lines[1:]] == ["accuracy:", "low_rank_accuracy:"]
    assert all(float(line.split()[3]) > 0.7 for line in lines[1:])
