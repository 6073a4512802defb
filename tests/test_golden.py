"""The digests of the toy's runs are those that were kept (see `golden.py`)."""

import json

import pytest
from golden import GOLDEN, TOYS, toys


@pytest.fixture(scope="module")
def digests() -> dict[str, list[str]]:
    """The digests of now."""
    return toys()


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_computes_what_it_did(digests: dict[str, list[str]], name: str) -> None:
    """Parameters and rows of a run on the virtual clock have the digests that were kept."""
    assert digests[name] == json.loads(GOLDEN.read_text())["toys"][name]
