"""What users add: an update rule, a delay law, a criterion, a shuffling, each by one function."""

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pushes import THETA, G, a_push, a_server
from toy import Toy, settings

from workbench.batches import check_entry, shufflings
from workbench.engine import Cost, load_machine
from workbench.engine.machines import delay_laws
from workbench.sequence.criteria import lattice_criteria, lattice_gradient
from workbench.sequence.occupancy import sum_by_key
from workbench.settings import SETTINGS, Alternatives, Settings, UserError, rng
from workbench.settings.alternatives import added_choices, passing_choices
from workbench.training.messages import PushStatus
from workbench.training.updates import update_rules

HUGE = np.float32(1e21)  # its square is infinite in float32


def test_a_rule_of_ones_own_trains() -> None:
    """An added update rule is a value of its setting, and the server applies it."""

    @update_rules.add("halved")
    def halved(updates, gradient, memory):
        return np.float32(0.5) * gradient, None

    assert "halved" in SETTINGS["optimizer"].choices
    slow, _, _, _ = Toy().run(settings(optimizer="halved", learning_rate=0.2))
    plain, _, _, _ = Toy().run(settings(learning_rate=0.1))
    assert np.allclose(slow, plain, atol=1e-6)


def test_the_memory_of_a_rule_may_have_any_shape() -> None:
    """Two averages in one array of float64. A gradient with infinite squares, of parameters that
    run away, is refused as for the rules of the package.
    """

    @update_rules.add("two-averages")
    def two_averages(updates, gradient, memory):
        before = np.zeros((2, len(gradient))) if memory is None else memory
        with np.errstate(over="ignore"):
            after = 0.5 * before + np.stack([gradient, 1e300 * gradient.astype(float) ** 6])
        return after[0].astype(np.float32), after

    server = a_server(optimizer="two-averages")
    assert server.push(a_push(0)).status is PushStatus.APPLIED
    assert server.memory.shape == (2, len(G))
    assert server.push(a_push(1, HUGE * G, version=1)).status is PushStatus.REJECTED
    assert np.isfinite(server.memory).all()
    assert server.push(a_push(2, version=1)).status is PushStatus.APPLIED
    np.testing.assert_allclose(server.fetch().value, THETA + 0.1 * 2.5 * G, rtol=1e-6)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda gradient: gradient, "must return a direction and a memory"),
        (lambda gradient: (gradient[:3], None), r"of the gradient's shape .* not \(3,\)"),
        (lambda gradient: (0.5, None), r"of the gradient's shape .* not \(\)"),
        (lambda gradient: (gradient * 1j, None), "a direction of real numbers, not complex"),
        (lambda gradient: (gradient, {"m": gradient}), "numbers or None as memory, not dict"),
        (lambda gradient: (gradient, np.array(["m"])), "or None as memory, not array of <U1"),
        (lambda gradient: (gradient * np.nan, None), "a direction that is not finite for a finite"),
        (lambda gradient: (gradient * 1e300, None), "a direction that is not finite for a finite"),
        (lambda gradient: (gradient, gradient / 0), "a memory that is not finite for a finite"),
    ],
)
def test_a_rule_that_returns_something_else_is_named(result, message: str) -> None:
    """A rule without memory, with a direction of another length, or with numbers that are none
    though its gradient is finite, is refused at its first push.
    """

    @update_rules.add("mistaken")
    def mistaken(updates, gradient, memory):
        with np.errstate(divide="ignore", invalid="ignore"):
            return result(gradient.astype(float))

    with pytest.raises(UserError, match=f"optimizer=mistaken: .*{message}"):
        Toy().run(settings(optimizer="mistaken"))


def test_a_rule_cannot_write_to_what_others_hold() -> None:
    """Gradient and memory of an added rule are read-only, so the mistake is seen at once."""

    @update_rules.add("writing")
    def writing(updates, gradient, memory):
        gradient *= 2
        return gradient, None

    with pytest.raises(UserError, match=r"optimizer=writing: .*read-only, so change a copy"):
        Toy().run(settings(optimizer="writing"))


def test_a_shuffling_of_ones_own_trains() -> None:
    """All frames are trained on, and a run that resumes asks for a later first batch."""

    @shufflings.add("backwards")
    def backwards(order, first):
        return order.cut_batches((frames[::-1] for frames in order.utterance_frames()), first)

    toy = Toy()
    order = toy.frame_order(settings(shuffling="backwards"))
    whole = list(order.batches())
    assert np.array_equal(np.concatenate(list(order.batches(3))), np.concatenate(whole[3:]))
    run = toy.run(settings(shuffling="backwards", replicas=2))
    assert run.services["server 0"].frames == 2 * toy.offsets[-1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "must yield batches"),
        ([], "yields no batch"),
        (
            [np.arange(3), np.arange(3.0)],
            r"batch 1 must be an array of whole .* not float64 \(3,\)",
        ),
        ([[1, 2]], "batch 0 must be an array of whole numbers"),
        ([np.arange(4).reshape(2, 2)], r"not int64 \(2, 2\)"),
        ([np.arange(0)], "batch 0 has no frames"),
        ([np.array([0, 10**6])], "batch 0 has frame 0 to 1000000, but there are 0 to"),
        ([np.array([-1])], "batch 0 has frame -1 to -1"),
    ],
)
def test_a_shuffling_that_yields_something_else_is_named(made, message: str) -> None:
    """The message has its name and the number of the batch."""

    @shufflings.add("mistaken")
    def mistaken(order, first):
        return made

    with pytest.raises(UserError, match=f"shuffling=mistaken: .*{message}"):
        Toy().run(settings(shuffling="mistaken"))


@pytest.mark.parametrize("frames", [3, 0])
def test_arrays_that_are_cut_into_batches_have_one_dimension(frames: int) -> None:
    """An array of another shape is refused by `cut_batches`, whatever its size."""

    @shufflings.add("mistaken")
    def mistaken(order, first):
        return order.cut_batches(iter([np.zeros((frames, 2), int)]), first)

    with pytest.raises(UserError, match=r"shuffling=mistaken: cut_batches takes arrays \[frames\]"):
        list(Toy().frame_order(settings(shuffling="mistaken")).batches())


@pytest.mark.parametrize(
    ("frames_of", "message"),
    [
        (lambda order, first: order.cut_batches(order.utterance_frames(), 0), "ignores `first`"),
        (
            lambda order, first: order.cut_batches(order.utterance_frames(), 2 * first),
            "yields another than it does after batch 0",
        ),
        (
            lambda order, first: itertools.islice(
                order.cut_batches(order.utterance_frames(), 0), 2 if first == 0 else 0
            ),
            "yields another than it does after batch 0",
        ),
    ],
)
def test_a_shuffling_that_cannot_be_entered_later_is_refused(frames_of, message: str) -> None:
    """Each checkpoint would begin again, and the run would last many times too long."""
    shufflings.add("mistaken")(frames_of)
    with pytest.raises(UserError, match=f"shuffling=mistaken: .*{message}"):
        check_entry(Toy().frame_order(settings(shuffling="mistaken")))


@pytest.mark.parametrize("batch", [2, 65536])
def test_a_shuffling_that_can_be_entered_later_is_taken(batch: int) -> None:
    """Those of the package, a random one, and one of a single batch."""

    @shufflings.add("random")
    def random(order, first):
        frames = (
            rng(order.seed, "random", order.stream, n).permutation(frames)
            for n, frames in enumerate(order.utterance_frames())
        )
        return order.cut_batches(frames, first)

    for name in ("none", "on-the-fly", "full", "random"):
        check_entry(Toy().frame_order(settings(shuffling=name, batch=batch)))


def test_an_unknown_name_says_how_a_module_is_named() -> None:
    """Settings to which users can add values say so; others do not."""
    for name in ("criterion", "optimizer", "shuffling"):
        with pytest.raises(UserError, match="name the module in WORKBENCH_EXTENSIONS"):
            Settings.of(**{name: "mine-alone"})
    with pytest.raises(UserError) as refused:
        Settings.of(clock="mine-alone")
    assert "WORKBENCH_EXTENSIONS" not in str(refused.value)


def test_a_delay_law_of_ones_own_delays() -> None:
    """An added delay law decides how fast processes are; with a slow one the same work takes
    longer.
    """

    @delay_laws.add("halting")
    def halting(uniform, spread):
        return 0.25

    def duration(speed: str) -> float:
        clock = Cost(replace(load_machine("paper"), speed=speed), seed=1)
        return Toy().run(settings(replicas=2), clock)[2].ticks

    assert duration("halting") > 3 * duration("equal")


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf, "fast", None])
def test_a_delay_law_that_returns_no_speed_is_named(speed) -> None:
    """A speed is a number above 0."""
    delay_laws.add("mistaken")(lambda uniform, spread: speed)
    clock = Cost(replace(load_machine("paper"), speed="mistaken", spread=0.5), seed=1)
    with pytest.raises(UserError, match=r"speed=mistaken: the delay law returned .* above 0"):
        Toy().run(settings(), clock)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "must return a value and its gradient"),
        (("1", None), "a number as value, not str"),
        ((1.0, np.zeros(3)), "a gradient of kind Occupancies.* not ndarray"),
        ((1.0, sum_by_key(np.arange(1), np.ones(1), 1)), "a row for each of 2 frames, not 1"),
    ],
)
def test_a_criterion_that_returns_something_else_is_named(made, message: str) -> None:
    """Value and gradient are checked before anything is made of them."""
    lattice_criteria.add("mistaken")(lambda numerator, denominator, criterion: made)
    lattice = SimpleNamespace(frames=2)
    chosen = Settings.of(criterion="mistaken").criterion
    with pytest.raises(UserError, match=f"criterion=mistaken: .*{message}"):
        lattice_gradient(lattice, lattice, chosen)


def test_a_cell_can_be_run_again_and_the_package_is_kept() -> None:
    """A second function of a name replaces the first; a name of the package is refused."""
    rules: Alternatives = Alternatives("optimizer", sgd=min)
    rules.add("again")(min)
    rules.add("again")(max)
    assert rules["again"](1, 2) == 2
    with pytest.raises(UserError, match=r"sgd exists already; choose another name in .* line"):
        rules.add("sgd")(test_a_delay_law_of_ones_own_delays)
    with pytest.raises(UserError, match="choose one of sgd, again"):
        rules["nothing"]


def test_another_process_knows_what_its_module_adds(tmp_path: Path) -> None:
    """With WORKBENCH_EXTENSIONS a new process takes the added name; without, it says what is
    missing.
    """
    (tmp_path / "my_rules.py").write_text(
        "from workbench.training.updates import update_rules\n\n\n"
        "@update_rules.add('mine')\n"
        "def mine(updates, gradient, memory):\n"
        "    return gradient, None\n"
    )
    program = (
        "from workbench.settings import Settings; print(Settings.of(optimizer='mine').updates)"
    )
    path = [str(tmp_path), *sys.path]
    environment = {"PYTHONPATH": ":".join(path), "WORKBENCH_EXTENSIONS": "my_rules"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "optimizer='mine'" in done.stdout
    with pytest.raises(UserError, match="optimizer='mine': choose one of sgd"):
        Settings.of(optimizer="mine")


def test_names_can_be_taken_back() -> None:
    """After the block they are unknown again, and what was known before is as it was."""
    known = list(update_rules)
    with passing_choices():
        update_rules.add("for-a-while")(lambda *_: None)
        assert "for-a-while" in added_choices("optimizer")

    assert "for-a-while" not in added_choices("optimizer")
    assert list(update_rules) == known
    with pytest.raises(UserError, match="choose one of"):
        _ = update_rules["for-a-while"]
