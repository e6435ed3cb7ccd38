"""A data set's own description: damage is reported, and no foreign code is run."""

import json
import shutil
import sys

import pytest

from vatt_gh.data.built import open_built
from vatt_gh.data.record_index import INDEX_FILE, load_index
from vatt_gh.data.records import open_source
from vatt_gh.errors import UserError


@pytest.fixture
def copy(clock, tmp_path):
    folder = tmp_path / "3.0.0"
    shutil.copytree(clock.source.directories[0], folder)
    return folder


@pytest.mark.parametrize("name", ["pythonClassName", "python_class_name", "type"])
@pytest.mark.parametrize("place", [(), ("featuresDict", "features", "start")])
def test_a_class_of_somebody_else_is_refused_before_its_module_runs(
    copy, tmp_path, monkeypatch, place, name
):
    (tmp_path / "foreign.py").write_text("raise SystemExit('this was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = copy / "features.json"
    content = json.loads(path.read_text())
    part = content
    for key in place:
        part = part[key]
    del part["pythonClassName"]
    part[name] = "foreign.Feature"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a class that is not TFDS's own: 'foreign\.Feature'"):
        open_source([copy])
    assert "foreign" not in sys.modules


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "metadata.json"])
@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"a": ', b"\xff\xfe", b'"x"'])
def test_damaged_sidecars_are_named(copy, name, content):
    path = copy / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_source([copy])
    assert str(copy) in str(caught.value.where)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nothing"])
def test_a_damaged_index_is_named(copy, content):
    (copy / INDEX_FILE).write_bytes(content)
    with pytest.raises(UserError, match="index of the records cannot be read"):
        load_index(copy)
    assert open_built(copy).metadata["storage"] == "jpeg"
