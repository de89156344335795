"""The state of the simulator in one SQLite file, so that it can be killed at any moment and started again.

Here: documents by kind and key, append-only logs, counters, and the transactions around them. Not here: what the documents
mean; that belongs to the service that keeps them.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from als_assets.errors import ConfigError

Doc = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS doc (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, key));
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, parent TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_by_parent ON log (name, parent, number);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class Store:
    """Documents and logs below ``state_dir``. All methods may be called from any thread.

    Raises:
        ConfigError: another simulator works on the same directory.
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._claim = (state_dir / "lock").open("w")
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._claim.close()
            raise ConfigError(
                f"Another simulator works on {state_dir}.", next_step="Stop it, or give this one a state_dir of its own."
            ) from error
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(state_dir / "simulator.sqlite", isolation_level=None, check_same_thread=False, timeout=30)
        # WAL with NORMAL loses nothing when the process is killed; only a power cut could take the last transactions.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file and let another simulator have the directory."""
        with self._lock:
            self._db.close()
            self._claim.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody in between. May be nested: the outermost one commits."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    # --- documents -----------------------------------------------------------------------------------------------------

    def insert(self, kind: str, key: str, doc: Doc) -> bool:
        """Store a new document; False (and nothing stored) when the key exists."""
        with self._lock:
            cursor = self._db.execute("INSERT OR IGNORE INTO doc (kind, key, body) VALUES (?, ?, ?)", (kind, key, json.dumps(doc)))
            return cursor.rowcount == 1

    def put(self, kind: str, key: str, doc: Doc) -> None:
        """Store or replace a document; a replaced one keeps its place in the order of ``all``."""
        with self._lock:
            self._db.execute(
                "INSERT INTO doc (kind, key, body) VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key, json.dumps(doc)),
            )

    def get(self, kind: str, key: str) -> Doc | None:
        """The document, or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM doc WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return None if row is None else _decode(row[0])

    def all(self, kind: str) -> list[Doc]:
        """All documents of a kind, oldest first."""
        return [doc for _, doc in self.items(kind)]

    def items(self, kind: str) -> list[tuple[str, Doc]]:
        """All keys and documents of a kind, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT key, body FROM doc WHERE kind = ? ORDER BY number", (kind,)).fetchall()
        return [(key, _decode(body)) for key, body in rows]

    def keys(self, kind: str) -> list[str]:
        """All keys of a kind, oldest first."""
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT key FROM doc WHERE kind = ? ORDER BY number", (kind,))]

    def update(self, kind: str, key: str, **changes: Any) -> Doc:
        """Change some fields at once; the changed document. A KeyError when it does not exist."""
        with self.edit(kind, key) as doc:
            doc.update(changes)
        return doc

    @contextmanager
    def edit(self, kind: str, key: str) -> Iterator[Doc]:
        """The document, to be changed in place inside one transaction. A KeyError when it does not exist."""
        with self.transaction():
            doc = self.get(kind, key)
            if doc is None:
                raise KeyError(f"{kind} {key}")
            yield doc
            self.put(kind, key, doc)

    def drop(self, kind: str, key: str | None = None) -> int:
        """Remove one document, or all of a kind; how many went."""
        with self._lock:
            if key is None:
                return self._db.execute("DELETE FROM doc WHERE kind = ?", (kind,)).rowcount
            return self._db.execute("DELETE FROM doc WHERE kind = ? AND key = ?", (kind, key)).rowcount

    # --- logs and counters ---------------------------------------------------------------------------------------------

    def append(self, name: str, parent: str, entry: Doc) -> int:
        """Add an entry to the log ``name`` of ``parent``; its number (rising, unique in the file)."""
        with self._lock:
            cursor = self._db.execute("INSERT INTO log (name, parent, body) VALUES (?, ?, ?)", (name, parent, json.dumps(entry)))
            return int(cursor.lastrowid or 0)

    def entries(self, name: str, parent: str, *, newest_first: bool = False, after: int = 0, limit: int = -1) -> list[Doc]:
        """Entries of a log, each with its ``number``; ``after`` skips numbers up to and including it."""
        order = "DESC" if newest_first else "ASC"
        with self._lock:
            rows = self._db.execute(
                f"SELECT number, body FROM log WHERE name = ? AND parent = ? AND number > ? ORDER BY number {order} LIMIT ?",
                (name, parent, after, limit),
            ).fetchall()
        return [{**_decode(body), "number": number} for number, body in rows]

    def trim(self, name: str, parent: str, keep: int) -> None:
        """Forget the oldest entries of a log, so that about ``keep`` stay."""
        with self._lock:
            self._db.execute(
                "DELETE FROM log WHERE name = ? AND parent = ? AND number <= (SELECT number FROM log WHERE name = ? AND parent = ?"
                " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (name, parent, name, parent, keep),
            )

    def next_number(self, name: str, first: int) -> int:
        """``first`` at the first call, then one more at each, across restarts."""
        with self.transaction():
            row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
            value = first if row is None else int(row[0]) + 1
            self._db.execute("INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)", (name, value))
        return value


def _decode(body: str) -> Doc:
    doc: Doc = json.loads(body)
    return doc
