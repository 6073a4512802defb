"""What users add: an update rule, a delay law, a criterion, a shuffling, each by one function."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pushes import THETA, G, a_push, a_server
from toy import Toy, settings

from workbench.batches import shufflings
from workbench.engine import Cost, load_machine
from workbench.engine.machines import delay_laws
from workbench.settings import SETTINGS, Alternatives, Settings, UserError
from workbench.training.messages import PushStatus
from workbench.training.updates import update_rules


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
    """Two averages in one array of float64, and sums that end as infinite: that push is refused."""

    @update_rules.add("two-averages")
    def two_averages(updates, gradient, memory):
        before = np.zeros((2, len(gradient))) if memory is None else memory
        with np.errstate(over="ignore"):
            after = 0.5 * before + np.stack([gradient, 1e300 * gradient.astype(float) ** 6])
        return after[0].astype(np.float32), after

    server = a_server(optimizer="two-averages")
    assert server.push(a_push(0)).status is PushStatus.APPLIED
    assert server.memory.shape == (2, len(G))
    assert server.push(a_push(1, 100 * G, version=1)).status is PushStatus.REJECTED
    assert np.isfinite(server.memory).all()
    assert server.push(a_push(2, version=1)).status is PushStatus.APPLIED
    np.testing.assert_allclose(server.fetch().value, THETA + 0.1 * 2.5 * G, rtol=1e-6)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda gradient: gradient, "must return a direction and a memory"),
        (lambda gradient: (gradient[:3], None), r"of the gradient's shape .* not \(3,\)"),
        (lambda gradient: (0.5, None), r"of the gradient's shape .* not \(\)"),
    ],
)
def test_a_rule_that_returns_something_else_is_named(result, message: str) -> None:
    """A rule without memory or with a direction of another length is refused, and never added."""

    @update_rules.add("mistaken")
    def mistaken(updates, gradient, memory):
        return result(gradient)

    with pytest.raises(UserError, match=f"optimizer=mistaken: .*{message}"):
        Toy().run(settings(optimizer="mistaken"))


def test_a_rule_cannot_write_to_what_others_hold() -> None:
    """Gradient and memory of an added rule are read-only, so the mistake is seen at once."""

    @update_rules.add("writing")
    def writing(updates, gradient, memory):
        gradient *= 2
        return gradient, None

    with pytest.raises(ValueError, match="read-only"):
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
        from dataclasses import replace

        clock = Cost(replace(load_machine("paper"), speed=speed), seed=1)
        return Toy().run(settings(replicas=2), clock)[2].ticks

    assert duration("halting") > 3 * duration("equal")


def test_a_cell_can_be_run_again_and_the_package_is_kept() -> None:
    """A second function of a name replaces the first; a name of the package is refused."""
    rules: Alternatives = Alternatives("optimizer", sgd=min)
    rules.add("again")(min)
    rules.add("again")(max)
    assert rules["again"] is max
    with pytest.raises(UserError, match="exists already"):
        rules.add("sgd")
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
