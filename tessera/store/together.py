"""Several short transactions in one, so that the disk is waited for once and not once for each.

Who comes while another one commits is done with all others who did, in the next transaction. That is
for stores with a single writer; PostgreSQL does the same on its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")
MOST = 32  # in one transaction: whoever is first waits for the last


def _held() -> Lock:
    """A lock to wait for: an Event is made of two, in Python."""
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Job(Generic[T]):
    """A piece of work, and what came of it once it is committed."""

    work: Callable[[Any], T]
    value: T | None = None
    error: BaseException | None = None
    is_done: bool = False
    call: Lock = field(default_factory=_held)  # let go when it is done, or its thread is to lead


@dataclass
class Together:
    """The line that work waits in. Who is first does what all want, calls them, and hands the rest to the
    first of those who came meanwhile: nobody whose work is done stands in anyone's way."""

    line: deque[Job[Any]] = field(default_factory=deque)
    turn: Lock = field(default_factory=Lock)  # for a look at the line
    is_busy: bool = False

    def do(self, write: Callable[[], AbstractContextManager[Any]], work: Callable[[Any], T]) -> T:
        """What `work` answers, when it is on disk."""
        job = Job(work)
        with self.turn:
            self.line.append(job)
            is_first, self.is_busy = not self.is_busy, True
        if not is_first:
            job.call.acquire()
        if not job.is_done:
            self._lead(write, job)
        if job.error is not None:
            raise job.error
        return job.value  # type: ignore[return-value]

    def _lead(self, write: Callable[[], AbstractContextManager[Any]], job: Job[T]) -> None:
        try:
            while not job.is_done:
                self._commit(write)
        finally:
            with self.turn:
                if not job.is_done:
                    self.line.remove(job)
                self.is_busy = bool(self.line)
                if self.line:
                    self.line[0].call.release()

    def _commit(self, write: Callable[[], AbstractContextManager[Any]]) -> None:
        """Do the first that wait. When one fails, each is done alone, so that it fails alone; when we
        are interrupted, the others wait on."""
        jobs = list(islice(self.line, MOST))
        try:
            with write() as connection:
                for job in jobs:
                    job.value = job.work(connection)
        except Exception:
            for job in jobs:
                _alone(write, job)
        for job in jobs:
            self.line.popleft()
            job.is_done = True
            job.call.release()


def _alone(write: Callable[[], AbstractContextManager[Any]], job: Job[Any]) -> None:
    try:
        with write() as connection:
            job.value = job.work(connection)
    except Exception as error:
        job.error = error
