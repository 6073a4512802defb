"""Rows as tables, in memory that does not grow with the text of their files.

Rows are JSON objects whose columns depend on their kind. A table has the columns of all; a row that
lacks one has nothing there. Rows are read in blocks, so at no time are there more objects than
those of one block besides the numbers of the table.
"""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.storage.files import FileWriter, Json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from typing_extensions import Buffer

ROWS_TOGETHER = 20_000  # of one block

Columns = Mapping[str, Json]
Item = TypeVar("Item")


def blocks_of(items: Iterable[Item], size: int = ROWS_TOGETHER) -> Iterator[list[Item]]:
    """Yield items in lists of so many; the last may be shorter."""
    left = iter(items)
    while block := list(itertools.islice(left, size)):
        yield block


def table_of(rows: Iterable[Columns]) -> "pd.DataFrame":
    """Return rows as a table that equals ``pandas.DataFrame(list(rows))``."""
    import pandas as pd

    parts = [pd.DataFrame(block) for block in blocks_of(rows)]
    if len(parts) <= 1:
        return parts[0] if parts else pd.DataFrame()
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    return pd.DataFrame({name: _join_column(name, parts) for name in names})


def _join_column(name: str, parts: "list[pd.DataFrame]") -> "np.ndarray | pd.Series":
    """Return a column of all parts, with nothing where a part lacks it."""
    import pandas as pd

    pieces = [
        part[name] if name in part else pd.Series(np.full(len(part), np.nan)) for part in parts
    ]
    if len({piece.dtype for piece in pieces}) == 1:
        return np.concatenate([piece.to_numpy() for piece in pieces])
    # Blocks of which some lack the column, or have another type of number in it.
    return pd.Series([value for piece in pieces for value in piece.tolist()])


# --- Parquet


def write_table(path: Path, read: Callable[[], Iterable[Columns]]) -> None:
    """Write rows as a Parquet file, in blocks; lists become text. No rows give no file.

    ``read`` begins to read the rows, and is called twice: the types of all columns must be known
    before the first row is written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[str, set[str]] = {}
    for row in read():
        for name, value in row.items():
            types.setdefault(name, set()).add(type(value).__name__)
    if not types:
        return

    schema = pa.schema([(name, _arrow_type(found)) for name, found in types.items()])
    with FileWriter(path) as out, pq.ParquetWriter(_Sink(out), schema) as writer:
        for block in blocks_of(read()):
            writer.write_table(_arrow_table(block, schema))


class _Sink(io.RawIOBase):
    """A `FileWriter` as the file that pyarrow writes to, and closes by itself."""

    def __init__(self, out: FileWriter):
        self._out = out
        self._written = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: "Buffer") -> int:
        """Append bytes."""
        view = memoryview(data)
        self._out.write(view)
        self._written += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the number of bytes that were written."""
        return self._written


def _arrow_type(found: set[str]) -> "pa.DataType":
    """Return the type of a column in which values of these Python types were found."""
    import pyarrow as pa

    known = found - {"NoneType"}
    if known == {"bool"}:
        return pa.bool_()
    if known == {"int"}:
        return pa.int64()
    if known and known <= {"int", "float"}:
        return pa.float64()
    return pa.string()


def _arrow_table(rows: list[Columns], schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_string(field.type):
            values = [_text(value) for value in values]
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _text(value: Json) -> str | None:
    """Return a value of a column of text; anything but text is written as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
