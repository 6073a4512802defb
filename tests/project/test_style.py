"""The limits of style, counted over the package (see `measures.py`)."""

import pytest
from measures import Measures, measure
from sources import package, suite


@pytest.fixture(scope="module")
def counted() -> Measures:
    """Counts over the package."""
    return measure(package())


@pytest.fixture(scope="module")
def counted_in_tests() -> Measures:
    """Counts over the tests of the package."""
    return measure(suite())


@pytest.mark.slow
def test_statements_are_not_packed(counted: Measures, counted_in_tests: Measures) -> None:
    """Fewer than one parallel assignment in 1,000 lines of the package, and of its tests."""
    for part in (counted, counted_in_tests):
        assert part.parallel_per_thousand < 1, "\n".join(part.parallel)


def test_functions_have_paragraphs(counted: Measures) -> None:
    """More than 5 % of the lines inside functions are blank."""
    assert counted.blank_share > 0.05


def test_lines_are_short(counted: Measures, counted_in_tests: Measures) -> None:
    """No line of the package or the tests is longer than 100 columns."""
    assert counted.wide + counted_in_tests.wide == ()


def test_the_formatter_is_everywhere(counted: Measures, counted_in_tests: Measures) -> None:
    """Nothing is kept from the formatter."""
    assert counted.skips + counted_in_tests.skips == 0


def test_types_are_named(counted: Measures) -> None:
    """The type Any is rare: where JSON is read, at Dask, and in what a generator is sent."""
    assert counted.any_uses <= 84


def test_signatures_are_short(counted: Measures) -> None:
    """No function outside compiled code has more than 8 parameters."""
    assert counted.long_signatures == ()


def test_tests_use_what_users_use(counted_in_tests: Measures) -> None:
    """No test reads, imports or replaces what another module or object keeps to itself."""
    assert counted_in_tests.private_uses == ()


def test_a_name_is_one_thing(counted: Measures, counted_in_tests: Measures) -> None:
    """No class name is defined in two modules of the package, or in two of its tests."""
    assert counted.names_twice == ()
    assert counted_in_tests.names_twice == ()
