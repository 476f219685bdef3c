"""The reference's source of limits: what is read, what is kept, and what is done where it fails."""

import asyncio
import json
import logging
import types

import httpx
import pytest
import respx

from keyconform_reference import Limits, make_manager
from keyconform_reference.source import CACHE, LimitsSource, number, read

URL = "https://limits.test/page.json"
GOOD = {"Free Tier": {"m1": {"RPM": 2, "TPM": "250K", "RPD": None}}}
DEFAULTS = {"m1": Limits(rpm=9), "m2": Limits(rpm=8)}
READ = {"m1": Limits(rpm=2, tpm=250_000), "m2": Limits(rpm=8)}
BAD = [httpx.Response(500), httpx.Response(200), httpx.Response(200, text='{"Free Ti'), httpx.Response(200, json=[])]
BAD += [httpx.Response(200, json={"Paid": {}}), httpx.Response(200, json={"Free Tier": {"m1": None}})]


def asked(source):
    """Ask for the limits over the default ones."""
    return asyncio.run(source.limits(DEFAULTS))


@pytest.mark.parametrize(
    "written, expected",
    [(15, 15), ("1,500", 1500), ("250K", 250_000), ("1M", 1_000_000), ("1.5k", 1500), (None, None), (2.0, 2), (0, 0)],
)
def test_numbers_are_read_as_the_page_writes_them(written, expected):
    """Commas, thousands and millions, and no limit."""
    assert number(written) == expected


@pytest.mark.parametrize("written", ["", "many", True, [1], -1, "-1K", "KM"])
def test_what_is_no_number_is_refused(written):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"."):
        number(written)


def test_a_row_that_cannot_be_read_leaves_the_others(caplog):
    """One bad row costs that row, and a warning; a number that is lacking costs nothing."""
    page = json.dumps({"Free Tier": {"m1": {"RPM": "x"}, "m2": {"RPM": 5}, " ": {"RPM": 1}}})
    assert read(page) == {"m2": Limits(rpm=5)}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


@respx.mock
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_answer_leaves_the_defaults_or_the_cached_limits(bad, tmp_path, caplog):
    """The first time there are the defaults; after a good answer its limits stay, also in another process."""
    route = respx.get(URL).mock(return_value=bad)
    assert asked(LimitsSource(URL, storage=tmp_path)) == DEFAULTS
    assert "the source of limits is of no use" in caplog.text
    route.mock(return_value=httpx.Response(200, json=GOOD))
    assert asked(LimitsSource(URL, storage=tmp_path)) == READ
    route.mock(return_value=bad)
    assert asked(LimitsSource(URL, storage=tmp_path)) == READ
    assert asked(LimitsSource(URL, storage=tmp_path)) == READ


@respx.mock
def test_without_a_storage_the_last_good_page_is_kept_in_memory():
    """A manager that is opened again without a network keeps its limits."""
    route = respx.get(URL).mock(return_value=httpx.Response(200, json=GOOD))
    source = LimitsSource(URL)
    assert asked(source) == READ
    route.mock(side_effect=httpx.ConnectError("down"))
    assert asked(source) == READ


@respx.mock
def test_a_cache_that_is_torn_or_cannot_be_written_is_warned_of(tmp_path, caplog):
    """The disk decides nothing: the source's limits are served, else the default ones."""
    respx.get(URL).mock(side_effect=[httpx.ConnectError("down"), httpx.Response(200, json=GOOD)])
    (tmp_path / CACHE).write_text('{"Free')
    assert asked(LimitsSource(URL, storage=tmp_path)) == DEFAULTS
    assert "the cached limits are of no use" in caplog.text
    assert asked(LimitsSource(URL, storage=tmp_path / "nowhere")) == READ
    assert "the limits cannot be cached" in caplog.text


def test_an_opened_manager_serves_by_the_published_limits():
    """The factory passes the source on, and opening twice asks once."""
    pool = types.SimpleNamespace(
        api_keys=("source-key-a",),
        vertex_api_keys=(),
        limits=DEFAULTS,
        default_model="m1",
        max_failures=3,
        max_retries=3,
        paid_key="",
        storage=None,
        limits_source=URL,
    )

    async def run():
        manager = make_manager(pool)
        with respx.mock:
            route = respx.get(URL).mock(return_value=httpx.Response(200, json=GOOD))
            await asyncio.gather(manager.init(), manager.init())
            assert route.call_count == 1
        for _ in range(2):
            assert await manager.update_usage("m1", await manager.get_key("m1"), tokens_used=1)
        assert await manager.get_key("m1") == ""

    asyncio.run(run())
