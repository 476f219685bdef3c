"""What earlier runs found, as a file in pytest's cache folder."""

import pytest

from pytest_keyconform import earlier


def test_what_is_kept(tmp_path):
    """Tokens are read as they were written, by target and by id."""
    tokens = {"app:make": {"ACQ01": "ACQ01:t1:two/-/r1-1"}}
    earlier.write(tmp_path, tokens)
    assert earlier.read(tmp_path) == tokens
    assert (tmp_path / ".pytest_cache" / ".gitignore").read_text(encoding="utf-8") == "*\n"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"app:make": 1}', '{"app:make": {"ACQ01": 1}}'])
def test_what_a_cache_may_hold(tmp_path, text):
    """A cache that is lost, broken or of something else holds no token."""
    if text is not None:
        earlier.write(tmp_path, {})
        (tmp_path / ".pytest_cache" / "v" / earlier.KEY).write_text(text, encoding="utf-8")
    assert not any(earlier.read(tmp_path).values())


def test_a_folder_that_refuses(tmp_path):
    """Where nothing can be written, nothing is kept, and nothing fails."""
    (tmp_path / ".pytest_cache").write_text("a file", encoding="utf-8")
    earlier.write(tmp_path, {"app:make": {"ACQ01": "token"}})
    assert earlier.read(tmp_path) == {}
