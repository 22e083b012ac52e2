"""Simulate: the stages of the day, day after day over real history, in a scratch home."""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flows.model import build
from flows.responses import Assumed, Rates, Recorded, Responses
from flows.scratch import REACHABLE, Rules, admit_engine, open_scratch, write_reachable
from flows.validate import judge, raise_if_refused
from tessera import clock
from tessera.caps import Cap
from tessera.decide import DecideReport, decide, policy, rules
from tessera.errors import BadInput
from tessera.hear import export
from tessera.land import land
from tessera.reward import post
from tessera.send import SendReport, send
from tessera.send.messengers.base import Answer, Fate, Message, alike
from tessera.send.outbox import channels
from tessera.store import queries
from tessera.workspace import Workspace

SQL = queries("flows", "simulate.sql")
Progress = Callable[[date, int, int], None]  # the day, its number, how many
MESSAGE = pa.schema(
    [
        (name, pa.string())
        for name in [
            "customer_id",
            "household_id",
            "campaign",
            "channel",
            "purpose",
            "tags",
            "business_date",
            "send_at",
        ]
    ]
)


@dataclass(frozen=True)
class Question:
    """What would have happened from `first` to `last`, both included, if …"""

    first: date
    last: date
    rules: Rules = field(default_factory=Rules)
    rates: Rates | None = None  # of assumed responses; None: recorded ones
    assume_reachable: bool = False

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise BadInput(f"The span {self.first} to {self.last} ends before it begins.")

    @property
    def days(self) -> list[date]:
        span = (self.last - self.first).days
        return [self.first + timedelta(number) for number in range(span + 1)]


@dataclass(frozen=True)
class DayReport:
    """One day: messages sent by campaign, what was heard, points."""

    date: str
    candidates: int
    planned: int
    sent: dict[str, int]
    not_sent: int  # cancelled by the last look, or refused
    heard: int
    points_earned: int
    points_clawed_back: int
    seconds: float


@dataclass(frozen=True)
class CapReport:
    """A cap, and the most messages that any span of its length held, counted anew at the end."""

    cap: str
    max: int
    found: int
    held: bool


@dataclass(frozen=True)
class SimulationReport:
    """A span of days; `reasons` are of all its decisions, by campaign."""

    first: str
    last: str
    responses: str
    made_reachable: int | None  # people given an address or consent by assumption
    points_before: int  # earned before the first day
    days: list[DayReport]
    reasons: dict[str, dict[str, int]]  # campaign -> reason -> decisions
    responses_heard: dict[str, int]  # event -> how many
    caps: list[CapReport]
    seconds: float
    home: str | None  # the scratch home, if it was kept


def simulate(
    ws: Workspace,
    asked: Question,
    *,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> SimulationReport:
    """Go through the days as the home's own history has them; the home itself is only read.

    The scratch home goes to `keep`, which must not exist yet, or is thrown away.
    """
    started = time.monotonic()
    rules.Rules.load(ws.project, asked.rules.policy, asked.rules.campaigns)  # before all the work
    _refuse_empty(ws)
    with _folder(keep) as root:
        at = clock.parse_as_of(asked.first.isoformat(), ws.settings.timezone)
        scratch = open_scratch(replace(ws, as_of=at), root, asked.rules)
        try:
            run = Run(scratch, asked, _responses(ws, asked, scratch))
            run.prepare()
            for number, day in enumerate(asked.days, start=1):
                if progress:
                    progress(day, number, len(asked.days))
                run.day(day)
            seconds = round(time.monotonic() - started, 1)
            return run.report(seconds=seconds, home=str(scratch.home.root) if keep else None)
        finally:
            scratch.store.close()


def _refuse_empty(ws: Workspace) -> None:
    with ws.store.read() as store:
        if not store.scalar(SQL["landed"]):
            raise BadInput(
                f"Nothing was landed in {ws.home.root} yet, so there are no days to go through; say "
                "'tessera land SOURCE PATH' first."
            )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tessera-simulate-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"{keep} is there already; a simulation needs a new folder.") from None
    yield keep.resolve()


def _responses(ws: Workspace, asked: Question, scratch: Workspace) -> Responses:
    if asked.rates:
        return Assumed(asked.rates, scratch.home.root.parent / "responses")
    return Recorded.after(ws, scratch)


@dataclass
class Run:
    """A simulation under way."""

    ws: Workspace
    asked: Question
    responses: Responses
    days: list[DayReport] = field(default_factory=list)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    made_reachable: int | None = None
    points_before: int = 0

    def prepare(self) -> None:
        """The state on the morning of the first day, before anything is decided."""
        self.rules = policy.load(self.ws.project)
        raise_if_refused(judge(self.ws))
        if self.asked.assume_reachable:
            build(self.ws)
            folder = self.ws.home.root / "tmp" / REACHABLE
            self.made_reachable = write_reachable(self.ws, folder)
            land(self.ws, REACHABLE, folder)
            raise_if_refused(judge(self.ws))
        build(self.ws)
        gc.freeze()  # dbt's project stays; each build would look through all of it for garbage
        self.points_before = post(self.ws).points_earned

    def day(self, day: date) -> None:
        """One day, in the order of the daily flow."""
        started = time.monotonic()
        at = clock.parse_as_of(day.isoformat(), self.ws.settings.timezone)
        ws = self._at(at)
        heard = self.responses.arrive(ws)
        export(ws)
        admit_engine(ws)
        build(ws, tested=False)
        points = post(ws)
        decided = decide(ws)
        self._approve()
        takers = [Taker(self.responses, channel) for channel in channels(ws)]
        sent = [self._send(ws, taker) for taker in takers]
        self._count(decided)
        self.days.append(
            DayReport(
                date=day.isoformat(),
                candidates=decided.candidates,
                planned=decided.planned,
                sent=dict(sorted(sum((one.taken for one in takers), Counter()).items())),
                not_sent=sum(one.cancelled + one.rejected for one in sent),
                heard=heard,
                points_earned=points.points_earned,
                points_clawed_back=points.points_clawed_back,
                seconds=round(time.monotonic() - started, 2),
            )
        )

    def _approve(self) -> None:
        """A word that is waited for is given."""
        with self.ws.store.write() as store:
            store.run(SQL["approve"])

    def _send(self, ws: Workspace, taker: Taker) -> SendReport:
        """Everything, at once: a throttle's minutes would be those of the clock on the wall."""
        return send(ws, messenger=taker, sleep=lambda _seconds: None)

    def report(self, *, seconds: float, home: str | None) -> SimulationReport:
        with self.ws.store.read() as store:
            events = {row["event"]: row["events"] for row in store.all(SQL["heard"])}
        return SimulationReport(
            first=self.asked.first.isoformat(),
            last=self.asked.last.isoformat(),
            responses=str(self.responses),
            made_reachable=self.made_reachable,
            points_before=self.points_before,
            days=self.days,
            reasons={name: dict(counts) for name, counts in sorted(self.reasons.items())},
            responses_heard=events,
            caps=list(self._caps()),
            seconds=seconds,
            home=home,
        )

    def _at(self, at: Any) -> Workspace:
        """The scratch workspace at another instant, with the store that is open already."""
        ws = replace(self.ws, as_of=at)
        ws.__dict__["store"] = self.ws.store
        return ws

    def _count(self, decided: DecideReport) -> None:
        for plan in decided.campaigns:
            self.reasons.setdefault(plan.campaign, Counter()).update(plan.reasons)

    def _caps(self) -> Iterator[CapReport]:
        """Each cap against the messages in the store, by a rule of its own: nothing of the pass
        that kept the caps is used to see whether they were kept."""
        with self.ws.store.read() as store:
            messages = store.scan(SQL["messages"], MESSAGE)
        with duckdb.connect() as duck:
            duck.register("outbox", messages)
            for cap in self.rules.limits:
                found = duck.execute(SQL["most"], _asked(cap, self.asked.first)).fetchall()[0][0]
                most = cap.max or 0
                yield CapReport(cap=str(cap), max=most, found=found, held=found <= most)


def _asked(cap: Cap, first: date) -> dict[str, object]:
    return {
        "purpose": cap.purpose,
        "channel": cap.channel,
        "tag": cap.tag,
        "per": cap.per,
        "hours": cap.span // timedelta(hours=1),
        "first": first,
    }


@dataclass
class Taker:
    """Takes every message and writes no mail; who answers is told of it."""

    responses: Responses
    channel: str
    name: str = "simulation"
    capacity: int = 1000
    repeatable: bool = True
    schedules: bool = True
    taken: Counter[str] = field(default_factory=Counter)  # messages by campaign

    def together(self, _message: Message) -> None:
        """All of them."""

    def deliver(self, messages: Sequence[Message]) -> Answer:
        self.responses.sent(messages, self.channel)
        self.taken.update(message.campaign for message in messages)
        return alike(messages, Fate.ACCEPTED)

    def close(self) -> None:
        pass
