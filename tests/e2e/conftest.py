"""The running Relais that all end-to-end tests share, and numbers for their messages."""

import itertools
from collections.abc import Iterator

import pytest
from support.road import road

__all__ = ["french", "road"]

_numbers = itertools.count(12_000_000)


@pytest.fixture
def french() -> Iterator[str]:
    """Valid French mobile numbers, each once in a session, none ending in 7777."""
    return (f"+336{n}" for n in _numbers if n % 10_000 != 7777)
