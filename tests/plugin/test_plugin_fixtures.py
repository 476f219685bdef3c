"""The fixtures that users request in tests of their own."""

import pytest

KEYS = """
class Keys:
    def __init__(self, api_keys):
        self.keys, self.closed = list(api_keys), False
    def get_key(self, model_name=None, is_vertex_key=False):
        return self.keys[0]
    def update_usage(self, model_name, key_value):
        return True
    def shutdown(self):
        self.closed = True

class AsyncKeys(Keys):
    async def init(self):
        import asyncio
        await asyncio.sleep(0)
        self.ready = True

class Broken:
    def __init__(self, api_keys):
        raise RuntimeError("out of order")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Answer a function that runs a test file against a target, collecting the invariants last."""
    pytester.makepyfile(keys=KEYS)
    monkeypatch.delenv("KEYCONFORM_TARGET", raising=False)

    def run_with(source, *flags):
        pytester.makepyfile(test_own=source)
        plugin = () if _installed() else ("-p", "pytest_keyconform.plugin")
        return pytester.runpytest_subprocess(*plugin, "-m", "not keyconform", *flags, timeout=120)

    return run_with


def _installed():
    from importlib.metadata import entry_points  # nobody else needs it

    return any(point.name == "keyconform" for point in entry_points(group="pytest11"))


def test_pools_need_no_target(run):
    """key_pool makes pools of canary keys, also where no target is named."""
    run(
        """
        def test_pool(key_pool):
            pool = key_pool(regular=2, vertex=1, limits={"m1": {"rpm": 3}}, max_failures=1)
            assert len(set(pool.api_keys)) == 2 and len(pool.vertex_api_keys) == 1
            assert pool.limits["m1"].rpm == 3 and pool.max_failures == 1
            assert pool.api_keys[0] not in repr(pool)
        """
    ).assert_outcomes(passed=1)


def test_a_synchronous_manager(run):
    """key_manager opens the target's manager on a pool and closes it."""
    result = run(
        """
        def test_manager(key_manager, key_pool):
            pool = key_pool(regular=1)
            with key_manager(pool) as manager:
                assert manager.get_key() == pool.api_keys[0]
            assert manager.closed
        """,
        "--keyconform=keys:Keys",
    )
    assert result.parseoutcomes()["passed"] == 1


def test_an_asynchronous_manager(run):
    """An asynchronous manager is opened with ``async with``, under whatever runs the test."""
    result = run(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_manager(key_manager):
            async with key_manager() as manager:
                assert manager.ready and not manager.closed
            assert manager.closed
        """,
        "--keyconform=keys:AsyncKeys",
    )
    assert result.parseoutcomes()["passed"] == 1


def test_a_manager_that_awaits_is_no_plain_context(run):
    """A manager that awaits while it is opened says that it needs ``async with``."""
    result = run(
        """
        def test_manager(key_manager):
            with key_manager():
                pass
        """,
        "--keyconform=keys:AsyncKeys",
    )
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*this manager awaits while it is opened or closed; use `async with`*"])


@pytest.mark.parametrize(
    "flags, message",
    [
        ((), "key_manager: expected a target, found none; name one: *"),
        (("--keyconform=a=keys:Keys", "--keyconform=b=keys:Keys"), "*expected target= one of a, b, found None"),
    ],
)
def test_no_target_to_open(run, flags, message):
    """Without one target to open the fixture says what is expected, in one line."""
    result = run("def test_manager(key_manager): key_manager()", *flags)
    assert result.ret == 1
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*fixtures.py*")
