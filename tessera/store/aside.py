"""Reading a SQLite store column by column, in a process of its own.

The driver that does it brings its own SQLite. Two of them in one process take each other's locks away
(POSIX gives up all of a process's locks on a file when any of its descriptors is closed), so it runs
beside, where it also leaves this interpreter free. This file is what runs there: it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import Any, BinaryIO, cast

import pyarrow as pa

PARAMETER = re.compile(r"(?<![:\w]):(\w+)(?!:)")  # `::` is a cast
BATCH = 65_536  # rows
REPEATED = pa.dictionary(pa.int32(), pa.string())  # a text of which many rows have the same


@dataclass(frozen=True)
class Aside:
    """One reading transaction on a store, from its first question on."""

    _questions: BinaryIO
    _answers: BinaryIO

    @classmethod
    @contextmanager
    def start(cls, path: str) -> Iterator[Aside]:
        """A reader of the store at `path`; it ends with its questions."""
        command = [sys.executable, "-I", __file__, path]
        with Popen(command, stdin=PIPE, stdout=PIPE) as process:  # noqa: S603 - it is this file
            yield cls(cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout))

    def read(self, query: str, schema: pa.Schema, params: Mapping[str, object]) -> pa.Table:
        """The rows of `query`, whose columns come in `schema`'s order; OSError when it fails."""
        self._questions.write(_question(query, schema, params))
        self._questions.flush()
        said = self._answers.readline().decode().strip()
        if said != "rows":
            raise OSError(f"The store could not be read: {said or 'its reader ended'}.")
        with pa.ipc.open_stream(self._answers) as rows:
            found = rows.read_all()
        return found.rename_columns(schema.names).cast(schema)


def _question(query: str, schema: pa.Schema, params: Mapping[str, object]) -> bytes:
    """A line of JSON. SQLite's columns have no types, and the driver goes by the first rows: so one
    comes first that is of `schema`."""
    given = [params[name] for name in dict.fromkeys(PARAMETER.findall(query))]
    values = [int(value) if isinstance(value, bool) else value for value in given]
    repeated = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    texts = [field.name in repeated or pa.types.is_string(field.type) for field in schema]
    typed = ", ".join("''" if is_text else "0" for is_text in texts)
    first = f"select {typed} union all select * from ({query}\n)"
    return json.dumps([first, values, [schema.names.index(n) for n in repeated]]).encode() + b"\n"


def _answer(
    store: Any, answers: BinaryIO, query: str, values: list[object], repeated: Sequence[int]
) -> None:
    with store.cursor() as cursor:
        try:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": BATCH})
            cursor.execute(query, values or None)
            rows = cursor.fetch_record_batch()
        except Exception as error:
            answers.write(f"{type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
            return
        answers.write(b"rows\n")
        schema = rows.schema
        for place in repeated:
            schema = schema.set(place, schema.field(place).with_type(REPEATED))
        with rows, pa.ipc.new_stream(answers, schema) as stream:
            typed = 1
            for batch in rows:
                stream.write_batch(_shortened(batch.slice(typed), repeated, schema))
                typed = 0


def _shortened(batch: pa.RecordBatch, repeated: Sequence[int], schema: pa.Schema) -> pa.RecordBatch:
    """Texts of which a batch has few, as their numbers: it is their width that takes the time."""
    found = [
        column.dictionary_encode() if place in repeated else column
        for place, column in enumerate(batch.columns)
    ]
    return pa.record_batch(found, schema)


def main(path: str) -> None:
    """Answer the questions of standard input, a line of JSON each, with a word and an Arrow stream."""
    import adbc_driver_sqlite.dbapi as driver

    answers = sys.stdout.buffer
    with driver.connect(path) as store:
        for line in sys.stdin:
            _answer(store, answers, *json.loads(line))
            answers.flush()
    os._exit(0)  # whoever asked waits for our end, and to tidy up would take a fifth of a second


if __name__ == "__main__":
    main(sys.argv[1])
