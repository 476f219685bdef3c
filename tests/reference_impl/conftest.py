"""What the tests of the stores share."""

import os

import pytest


@pytest.fixture(scope="session")
def postgres_server():
    """A private PostgreSQL server for these tests, which may kill it and start it again."""
    from keyconform_reference import ConfigurationError
    from keyconform_reference.servers.postgres import PrivateServer

    try:
        server = PrivateServer()
    except ConfigurationError as error:
        if os.environ.get("CI"):
            pytest.fail(f"these tests have to run in CI: {error}")
        pytest.skip(f"{error}")
    yield server
    server.close()
