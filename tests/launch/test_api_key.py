"""The key that `berth up` keeps."""

from pathlib import Path

import pytest

from berth.errors import StartError
from cli.client import key_for
from cli.up.var_folder import api_key_file, kept_api_key


def test_it_is_made_once(tmp_path: Path) -> None:
    first = kept_api_key(tmp_path / "var")
    assert len(first) >= 32
    assert kept_api_key(tmp_path / "var") == first


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    kept_api_key(tmp_path)
    assert api_key_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_the_commands_use_it_unless_they_are_given_another(tmp_path: Path) -> None:
    key = kept_api_key(tmp_path)
    assert key_for(None, tmp_path) == key
    assert key_for("another", tmp_path) == "another"


def test_without_any_key_a_sentence_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^BERTH_API_KEY: not set"):
        key_for(None, tmp_path)


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(StartError, match=r"^BERTH_VAR: cannot use .* as a folder"):
        kept_api_key(tmp_path / "var")
