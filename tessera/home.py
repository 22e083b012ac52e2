"""The folders of one project home; deleting the home starts afresh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """Paths only; whoever writes a folder makes it."""

    root: Path

    @property
    def landing(self) -> Path:
        """Immutable landed files: landing/<feed>/file_id=N/rows.parquet."""
        return self.root / "landing"

    @property
    def validated(self) -> Path:
        """The good rows of accepted files: validated/<feed>/file_id=N/rows.parquet."""
        return self.root / "validated"

    @property
    def quarantine(self) -> Path:
        """The bad rows with their reasons: quarantine/<feed>/file_id=N/rows.parquet."""
        return self.root / "quarantine"

    @property
    def data_docs(self) -> Path:
        return self.root / "data_docs"

    @property
    def warehouse(self) -> Path:
        """dbt's DuckDB file; nothing but dbt opens it."""
        return self.root / "warehouse.duckdb"

    @property
    def dbt(self) -> Path:
        """dbt's own output: target/ and logs/."""
        return self.root / "dbt"

    @property
    def built(self) -> Path:
        """The marts as dbt last made them, a Parquet file each; part of the warehouse."""
        return self.dbt / "marts"

    @property
    def packs(self) -> Path:
        """The receipt lines of small files, put together; made anew where they are not there."""
        return self.dbt / "packs"

    @property
    def marts(self) -> Path:
        """Published snapshots: marts/<snapshot>/<mart>/…parquet and marts/current.json."""
        return self.root / "marts"

    @property
    def store(self) -> Path:
        return self.root / "store.sqlite"

    @property
    def know(self) -> Path:
        """What was learned of each customer: know/scores.parquet, know/recommendations.parquet."""
        return self.root / "know"

    @property
    def results(self) -> Path:
        """What campaigns were worth, in figures that name nobody: results/results.json."""
        return self.root / "results"

    @property
    def duplicates(self) -> Path:
        """Pairs of customers who may be one person."""
        return self.know / "duplicates.parquet"

    @property
    def decisions(self) -> Path:
        """Append-only decisions: decisions/date=YYYY-MM-DD/<campaign>.parquet."""
        return self.root / "decisions"

    @property
    def decision_index(self) -> Path:
        """The decisions of closed days in buckets by customer; may be deleted at any time."""
        return self.root / "decision_index"

    @property
    def mail(self) -> Path:
        """What the file messenger sent: mail/YYYY-MM-DD/<send_key>.eml."""
        return self.root / "mail"

    @property
    def senders(self) -> Path:
        """A locked file for each sender that is alive."""
        return self.root / "senders"

    @property
    def last_request(self) -> Path:
        """The number of the last request that left, by which an older copy of the store is told."""
        return self.root / "last_request"

    @property
    def engine(self) -> Path:
        """The store's rows exported for landing: engine/<feed>/YYYY-MM-DD.parquet."""
        return self.root / "engine"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"
