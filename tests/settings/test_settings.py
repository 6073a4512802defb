"""Settings: parsing, ranges, digests, presets and random streams."""

import numpy as np
import pytest

from workbench.settings import (
    PRESETS,
    SETTINGS,
    Settings,
    UserError,
    identity_of,
    parse_fields,
    preset,
    rng,
)
from workbench.settings.groups import BatchSettings


def test_every_field_explains_itself():
    """Each field carries a group, an explanation, and a range that holds its default."""
    for f in SETTINGS.values():
        assert f.doc, f.name
        assert f.group, f.name
        assert f.parse(f.default) == f.default


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 0},
        {"batch": 2.5},
        {"learning_rate": float("nan")},
        {"criterion": "xent"},
        {"replicas": "many"},
    ]
    + [{"staleness_step": "perhaps"}, {"momentum": 1.0}],
)
def test_bad_values_are_named(changes):
    """A value outside its range, choices or type is a UserError that names the field."""
    with pytest.raises(UserError, match=next(iter(changes))):
        Settings().replace(**changes)


def test_unknown_names_are_refused():
    """A misspelt setting is an error, not ignored."""
    with pytest.raises(UserError, match="learning_rat"):
        Settings().replace(learning_rat=0.1)


def test_fields_of_a_group_are_parsed_and_checked():
    """Text becomes what the field wants; unknown names and wrong values are UserErrors."""
    assert parse_fields(BatchSettings, {"batch": "7"}) == BatchSettings(size=7)
    with pytest.raises(UserError, match="bach: no such setting; did you mean batch"):
        parse_fields(BatchSettings, {"bach": 7})
    for wrong in (0, "many", None, [7]):
        with pytest.raises(UserError, match="batch"):
            parse_fields(BatchSettings, {"batch": wrong})


def test_text_is_parsed_as_the_field_wants_it():
    """What comes from a command line equals what Python code would give."""
    assert Settings().replace(
        batch="32", staleness_step="true", learning_rate="1e-3"
    ) == Settings().replace(batch=32, staleness_step=True, learning_rate=1e-3)


def test_full_shuffling_needs_fixed_targets():
    """Full shuffling of a sequence criterion is a clear error (method.md section 2)."""
    with pytest.raises(UserError, match="shuffling=full"):
        Settings.of(criterion="mmi", shuffling="full")


def test_settings_keep_the_names_that_they_had():
    """Digests name runs and searches; a setting that is added belongs to LATER, or all are lost."""
    assert Settings().digest() == "d614f64272"
    assert Settings.of(criterion="mmi", replicas=50, clock="cost").digest() == "efbd5ccfe9"
    for name, value in (("drift_every", 50), ("one_silence_class", False)):
        changed = Settings().replace(**{name: value})
        assert changed.digest() != Settings().digest()
        assert identity_of(changed.to_dict())[name] == value
        assert name not in identity_of(Settings().to_dict())


def test_digest_names_settings():
    """Equal settings have equal digests, and any change of a field changes it."""
    base = Settings()
    assert base.digest() == Settings().digest()
    assert len({base.digest(), *(base.replace(seed=n).digest() for n in range(1, 5))}) == 5


def test_presets_hold_their_promises():
    """The paper's sizes, and the batch of 32 frames for sequence training."""
    assert (preset("icelandic").model.hidden_layers, preset("icelandic").model.hidden_units) == (
        4,
        1024,
    )
    assert preset("english").model.hidden_layers == 8
    assert preset("laptop").batches.size == 200
    assert preset("laptop", criterion="mmi").batches.size == 32
    assert all(preset(name) for name in PRESETS)
    with pytest.raises(UserError, match="no such preset"):
        preset("huge")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("criterion", ["ce", "mmi"])
def test_no_preset_gives_up_at_a_rate_that_is_too_large(name, criterion):
    """On a corpus that nobody has tuned it for it goes back, several times, with a smaller one."""
    assert preset(name, criterion=criterion).updates.divergence_retries >= 3


def test_random_streams_are_independent_and_repeatable():
    """A stream depends on seed and names alone; other names give other numbers."""
    assert np.array_equal(rng(3, "model").random(4), rng(3, "model").random(4))
    draws = {
        float(rng(*key).random())
        for key in ((0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", "1"))
    }
    assert len(draws) == 5
