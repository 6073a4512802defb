"""The one rule for the names of corpora, runs, sweeps and machines.

A name becomes a folder or a file, a word of the command line and a line of a report. So it has
nothing that a file system, a shell, a spreadsheet or a page would take for more than a name. What
was made under another name can still be read.
"""

import re

from workbench.settings.errors import UserError

LONGEST_NAME = 100  # characters; a run's folder has the digest of its record besides
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
SHOWN = 40  # characters of a wrong name that a message repeats


def check_name(kind: str, name: str, added: int = 0) -> str:
    """Return ``name`` if a new ``kind`` (corpus, run, ...) may have it; raise UserError if not.

    ``added``: the characters that are put beside it in other names, which must not be too long
    either.
    """
    longest = LONGEST_NAME - added
    if NAME.fullmatch(name) and len(name) <= longest:
        return name

    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
    raise UserError(
        f"{shown!a} cannot name a {kind}: at most {longest} letters a-z and A-Z, digits, dots, "
        "dashes and underscores, not a dot or a dash first"
    )
