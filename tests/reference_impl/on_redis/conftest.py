"""What the tests of the Redis store share: a server, the user's or a private one."""

import os

import pytest

from keyconform_reference import ConfigurationError
from keyconform_reference.servers import redis as servers


def _or_skip(start):
    """Answer what was started; where there is nothing to start, skip with what to install, and fail in CI."""
    try:
        servers.store_on("redis://localhost", "library")
        return start()
    except ConfigurationError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have what these tests need: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_url():
    """Answer the URL of a Redis server that other tests use too."""
    return _or_skip(servers.server_url)


@pytest.fixture
def redis_server():
    """Answer a private server of one test, which may kill it."""
    server = _or_skip(servers.PrivateServer)
    yield server
    server.close()
