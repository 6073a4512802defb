"""Sizes of networks and lengths of training that suit a corpus or a machine."""

from collections.abc import Container

from workbench.settings.description import Value
from workbench.settings.errors import no_such
from workbench.settings.experiment import Settings

PRESETS: dict[str, dict[str, Value]] = {
    "tiny": dict(
        hidden_layers=1,
        hidden_units=32,
        epochs=2.0,
        batch=64,
        learning_rate=0.1,
        evaluate_every=1.0,
        checkpoint_every=1.0,
    ),
    "laptop": dict(hidden_layers=3, hidden_units=512, epochs=12.0, learning_rate=0.1),
    "icelandic": dict(hidden_layers=4, hidden_units=1024),
    "english": dict(hidden_layers=8, hidden_units=1024),
}
# What a preset changes for sequence training.
SEQUENCE: dict[str, Value] = dict(batch=32, learning_rate=0.002, epochs=4.0)


def preset(name: str, **changes: Value) -> Settings:
    """The named preset (``tiny``, ``laptop``, ``icelandic``, ``english``), with fields changed."""
    if name not in PRESETS:
        raise no_such("preset", name, PRESETS)
    sequence = changes.get("criterion", "ce") != "ce"
    return Settings().replace(**{**PRESETS[name], **(SEQUENCE if sequence else {}), **changes})


def changes_from_laptop(settings: Settings, implied: Container[str] = ()) -> list[str]:
    """Return ``name=value`` of each setting that differs from the preset ``laptop``.

    With the criterion, on which the preset depends, these words of the command line make the
    settings again. What is ``implied`` by other words is left out.
    """
    usual = preset("laptop", criterion=settings.criterion.name).to_dict()
    return [
        f"{name}={value}"
        for name, value in settings.to_dict().items()
        if value != usual[name] and name not in implied
    ]
