"""What the demo prints: the live view while scans are on their way, and the table of proof at the end.

Here: rich tables. Not here: any fact; those come from ``follow`` and the record.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from als_assets.demo.follow import Follower, Progress
from als_assets.ledger import Dataset, Ledger, OutboxKind, Replica, ReplicaState
from als_assets.ledger.products import STAGED_RAW
from als_assets.words import size_words

_ASSET_OF = {
    ("raw", "data832_raw"): "raw_on_data832",
    ("raw", "nersc832_alsdev_raw"): "raw_on_nersc",
    ("raw", "spot832"): "raw_on_spot832",
}


def live_table(rows: Sequence[Progress]) -> Table:
    table = Table(title="Scans on their way", expand=True)
    for column, width in (("scan", 24), ("steps done", 12), ("last finished", 20), ("now", None)):
        table.add_column(column, width=width, overflow="fold")
    for row in rows:
        steps = f"{len(row.done)} of {len(row.wanted)}" if row.wanted else "-"
        mark = "[green]✔[/] " if row.complete else "[red]✘[/] " if row.failed else ""
        table.add_row(escape(row.name), steps, row.done[-1] if row.done else "-", mark + escape(row.words))
    return table


def proof_table(ledger: Ledger, follower: Follower, datasets: Sequence[Dataset], board_url: str) -> Table:
    """Scan, asset, where, size, how it was verified, seconds, link: one row for each copy and record."""
    table = Table(title="What is where, and how that is known", expand=True)
    for column in ("scan", "asset", "where", "size", "verified by", "s", "link"):
        table.add_column(column, overflow="fold", justify="right" if column in ("size", "s") else "left")
    for dataset in datasets:
        link = f"{board_url}/scan/{dataset.key}"
        for replica in sorted(ledger.replicas.of(dataset.key, state=ReplicaState.VERIFIED), key=lambda r: r.id):
            asset = asset_of(replica)
            seconds = follower.seconds_of(dataset.key, asset)
            took = f"{seconds:.1f}" if seconds is not None else ""
            table.add_row(dataset.key, asset, replica.location, size_words(replica.size_bytes), _proof(replica), took, link)
        for row in ledger.outbox.written(dataset.key):
            asset = "scicat_record" if row.kind is OutboxKind.RAW else "scicat_recon_record"
            table.add_row(dataset.key, asset, "scicat", "", "identifier confirmed by SciCat", "", str(row.outcome.get("url", "")))
        table.add_section()
    return table


def asset_of(replica: Replica) -> str:
    """The asset that stands for a copy, or which one it was made for."""
    known = _ASSET_OF.get((replica.product, replica.location))
    if known:
        return known
    if replica.product in ("raw", STAGED_RAW):
        return "raw for recon_tiff"
    return replica.product if "report" in replica.evidence else "recon_on_data832"


def _proof(replica: Replica) -> str:
    if replica.sha256:
        return f"SHA-256 {replica.sha256[:12]}…"
    if "report" in replica.evidence:
        return f"job {replica.evidence['report']['job_id']}: exit codes, result, {replica.files} files"
    if replica.evidence.get("files_compared"):
        return f"checksums by mover, {replica.evidence['files_compared']} files compared"
    return str(replica.evidence.get("how", ""))
