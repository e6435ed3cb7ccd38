"""Paths from users."""

import pytest

from vatt_gh.config import default
from vatt_gh.errors import UserError, printable
from vatt_gh.paths import local_path, with_local_paths


def test_a_tilde_is_the_home_directory_in_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/run", "--workdir") == f"{tmp_path}/run"
    assert local_path("", "--workdir") == ""
    assert local_path("a/~/b", "--workdir") == "a/~/b"
    config = default()
    config.init_from = "tf:~/vatt"
    config.data.data_dir = config.data.manual_dir = config.eval.truth = "~/a"
    config.data.also = ("howto100m=~/b", "youtube8m/train=/c")
    changed = with_local_paths(config)
    assert changed.init_from == f"tf:{tmp_path}/vatt"
    assert changed.data.data_dir == changed.data.manual_dir == f"{tmp_path}/a"
    assert changed.eval.truth == f"{tmp_path}/a"
    assert changed.data.also == (f"howto100m={tmp_path}/b", "youtube8m/train=/c")
    assert config.data.data_dir == "~/a"


@pytest.mark.parametrize("given", ["gs://bucket/rec", "gs:/bucket/rec", "s3://a", "http://a/b"])
def test_what_is_no_path_of_this_machine_is_refused_by_name(given):
    for key in ("data.data_dir", "data.manual_dir", "data.vocabulary", "eval.data_dir"):
        config = default()
        group, name = key.split(".")
        config[group][name] = given
        with pytest.raises(UserError) as caught:
            with_local_paths(config)
        assert caught.value.where == key
        assert repr(given) in str(caught.value)
    for changed in ({"init_from": f"orbax:{given}"}, {"data.also": (f"howto100m={given}",)}):
        config = default()
        config.update_from_flattened_dict(changed)
        with pytest.raises(UserError, match="not of this machine"):
            with_local_paths(config)


def test_a_home_of_nobody_is_refused():
    with pytest.raises(UserError, match="of a user that does not exist"):
        local_path("~nobody-of-this-name/a", "--workdir")


def test_names_of_files_are_shown_without_what_moves_a_terminal():
    name = "a\x1b[2J\x07\r\tb\udce9 caf\u00e9 \u6c34"
    shown = printable(name)
    assert shown == "a\\x1b[2J\\x07\\r\\tb\\udce9 caf\u00e9 \u6c34"
    error = UserError("gone", where=f"/x/{name}", expected="a file", todo="look")
    assert str(error).count("\n") == 3
    assert "\x1b" not in str(error)
    assert error.where == f"/x/{name}"
