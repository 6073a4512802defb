"""Clocks, and the models of machines."""

import math
from dataclasses import replace

import numpy as np
import pytest

from workbench.engine import (
    Ask,
    Call,
    Cost,
    Machine,
    Work,
    WorkPrice,
    free,
    load_machine,
    measured,
)
from workbench.engine.clocks import TICKS, Journey, chance, key, normal, pauses
from workbench.engine.machines import PRESETS, read_machine, write_machine
from workbench.settings import UserError

STEP = Work(int, (), 100, "gradient")


def a_machine(**changes):
    """A machine with one price and nothing else, with some fields changed."""
    prices = {"gradient": WorkPrice(0.5, 0.01, 1e-4)}
    return replace(Machine("m", "test", prices, parameters=10), **changes)


def step_seconds(machine, process="p", now=0, seed=0):
    """Time of a gradient of 100 frames on this machine."""
    return Cost(machine, seed).work(process, STEP, 0.0, now)


PLAIN_SECONDS = step_seconds(a_machine())


def test_on_the_free_clock_nothing_takes_time():
    """Work, messages and calls are free."""
    assert free.work("p", STEP, 9.0, 0) == 0
    assert free.travel("p", "s", 10**9, 0) == Journey(0, 0)
    assert free.serve(Ask("s", Call()), 9.0) == 0


def test_the_measured_clock_charges_the_real_time():
    """Work and calls cost what they really took."""
    assert measured.work("p", STEP, 9.0, 0) == 9.0
    assert measured.serve(Ask("s", Call()), 2.0) == 2.0


def test_the_price_of_work():
    """Work takes call + frames (frame + frame_parameter parameters), whatever it really took."""
    expected = 0.5 + 100 * (0.01 + 1e-4 * 10)
    assert Cost(a_machine()).work("p", STEP, 9.0, 0) == pytest.approx(expected)


def test_messages_and_calls():
    """A message costs latency and bytes; a shard is busy per call and per byte."""
    clock = Cost(a_machine(latency=0.1, byte=0.001, serve_call=0.2, serve_byte=0.01))
    assert clock.travel("p", "s", 50, 0) == Journey(transfer=50_000, latency=100_000)
    assert clock.serve(Ask("s", Call(), 20, 10), 9.0) == pytest.approx(0.5)


def test_unknown_work_has_no_price():
    """A kind of work that the machine does not know is an error that names both."""
    with pytest.raises(UserError, match="machine m has no price for work of kind 'cooking'"):
        Cost(a_machine()).work("p", Work(int, (), 1, "cooking"), 0, 0)


def test_chances_are_pure_functions_of_names():
    """The same names and number give the same chance; others give an independent one."""
    assert chance(1, key("a", 2)) == chance(1, key("a", 2))
    assert chance(1, key("a", 2)) != chance(1, key("a", 3))
    assert chance(1, key("a")) != chance(2, key("a"))


def test_chances_have_their_distribution():
    """``chance`` is uniform, ``normal`` is standard normal."""
    uniform = np.array([chance(i, key("u")) for i in range(4000)])
    assert abs(uniform.mean() - 0.5) < 0.02
    assert abs(uniform.std() - math.sqrt(1 / 12)) < 0.01

    gaussian = np.array([normal(i, key("n")) for i in range(4000)])
    assert abs(gaussian.mean()) < 0.06
    assert abs(gaussian.std() - 1) < 0.04
    assert abs((gaussian > 1.96).mean() - 0.025) < 0.01


@pytest.mark.parametrize(
    "distribution, spread, mean, std",
    [("uniform", 0.3, 1.0, 0.173), ("lognormal", 0.2, 1.02, 0.206)],
)
def test_speeds_follow_their_distribution(distribution, spread, mean, std):
    """The speeds of many processes have the mean and the spread that were asked for."""
    uneven = a_machine(speed=distribution, spread=spread)
    seconds = np.array([step_seconds(uneven, f"replica {i}") for i in range(3000)])
    speeds = PLAIN_SECONDS / seconds
    assert speeds.mean() == pytest.approx(mean, abs=0.02)
    assert speeds.std() == pytest.approx(std, abs=0.02)


def test_another_replica_changes_no_other():
    """The speed of a process depends on its name and the seed only."""
    uneven = a_machine(speed="uniform", spread=0.5)
    here = step_seconds(uneven, "replica 3", now=0, seed=1)
    assert here == step_seconds(uneven, "replica 3", now=77, seed=1)
    assert here != step_seconds(uneven, "replica 3", now=0, seed=2)


def test_stragglers():
    """The given share of processes is slower by the factor, for the whole run."""
    some_slow = a_machine(straggler_share=0.1, straggler_factor=4.0)
    seconds = np.array([step_seconds(some_slow, f"p{i}") for i in range(2000)])
    slower = seconds / PLAIN_SECONDS
    assert set(np.round(slower, 9)) == {1.0, 4.0}
    assert (slower > 2).mean() == pytest.approx(0.1, abs=0.02)


def test_jitter_is_drawn_anew_for_each_work():
    """The logarithm of each duration varies by sigma, as a pure function of time."""
    jittery = a_machine(jitter=0.1)
    seconds = np.array([step_seconds(jittery, now=now) for now in range(3000)])
    logs = np.log(seconds / PLAIN_SECONDS)
    assert abs(logs.mean()) < 0.01
    assert logs.std() == pytest.approx(0.1, abs=0.01)
    assert step_seconds(jittery, now=5) == seconds[5]


def test_messages_jitter():
    """The logarithm of each message's time varies by sigma, also within one fetch."""
    clock = Cost(a_machine(latency=1.0, network_jitter=0.3))
    ways = [clock.travel("p", f"server {s}", 0, now) for now in range(1000) for s in range(3)]
    logs = np.log([way.latency / TICKS for way in ways])
    assert abs(logs.mean()) < 0.02
    assert logs.std() == pytest.approx(0.3, abs=0.02)


def test_pauses_come_once_in_every_stretch():
    """In a long time there is one pause per stretch, however the work is cut up."""
    pausing = a_machine(pause_every=10.0, pause=2.0)
    whole = pauses(pausing, 0, "p", 0, 1000.0)
    pieces = sum(pauses(pausing, 0, "p", round(i * 0.25e6), 0.25) for i in range(4000))
    assert whole == pieces == 200.0
    assert Cost(pausing).work("p", Work(int, (), 0, "gradient"), 0, 0) in (0.5, 2.5)


def test_machines_are_saved_as_json(tmp_path):
    """A machine that was written is read again; presets are machines like others."""
    path = tmp_path / "m.json"
    for machine in (*PRESETS.values(), a_machine()):
        write_machine(machine, path)
        assert read_machine(path) == machine
    assert load_machine(str(path), parameters=7) == replace(a_machine(), parameters=7)


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "choose one of paper, laptop"),
        ("{", "damaged"),
        ('{"name": "x"}', "about is missing"),
        (
            '{"name": "x", "about": "", "prices": {}, "colour": 1}',
            "no such field: colour",
        ),
        (
            '{"name": "x", "about": "", "prices": {"a": {"colour": 1}}}',
            "no such field: prices.a",
        ),
        ('{"name": "x", "about": "", "prices": {}, "speed": "fast"}', "choose one of equal"),
        ('{"name": "x", "about": "", "prices": {}, "latency": -1}', "latency=-1: between 0 and"),
    ],
)
def test_wrong_machines_are_named(tmp_path, text, message):
    """A machine that is missing or wrong is a user's error that names the file and the fault."""
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_machine(str(path))
