"""What the tests of the stores share."""

import os

import pytest


@pytest.fixture(scope="session")
def redis_url():
    """Answer the URL of a Redis server: the user's, or a private one for these tests."""
    from keyconform_reference import ConfigurationError
    from keyconform_reference.servers.redis import server_url

    try:
        import redis  # noqa: F401 - the store's library

        return server_url()
    except (ConfigurationError, ImportError) as error:
        if os.environ.get("CI"):
            pytest.fail(f"these tests have to run in CI: {error}")
        pytest.skip(f"{error}")
