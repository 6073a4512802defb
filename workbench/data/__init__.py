"""Package data: the recipes of sweeps, the studies and the figures of the paper."""

from importlib import resources
from pathlib import Path

FOLDER = Path(str(resources.files("workbench.data")))
RECIPES = FOLDER / "recipes" / "sweeps"  # one JSON file for each ready-made sweep
STARTS = (
    FOLDER / "recipes" / "starts.json"
)  # by size: settings of the cross entropy from which sequence training starts
PAPER = FOLDER / "paper" / "heigold2014.json"
STUDIES = FOLDER / "studies"  # one JSON file for each study
STUDY_SIZES = FOLDER / "study-sizes.json"
