"""Fixtures of several folders."""

from collections.abc import Iterator

import pytest

from support.weight_server import Server, weight_server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of weights on this machine."""
    with weight_server() as server:
        yield server
