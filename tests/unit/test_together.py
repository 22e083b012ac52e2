"""Work of several threads in one transaction: all of it is on disk, and what fails, fails alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tessera.store import Connection, Store, together


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    with found.write() as connection:
        connection.run("create table note (name integer primary key)")
    return found


def add(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.run("insert into note values (:number)", number=number)
        return number

    return work


def names(store: Store) -> list[int]:
    with store.read() as connection:
        return [row["name"] for row in connection.all("select name from note order by name")]


def at_once(store: Store, numbers: list[int]) -> list[Any]:
    """Everybody comes while another one is at work."""
    told: list[Any] = [None] * len(numbers)

    def ask(place: int) -> None:
        try:
            told[place] = store.together(add(numbers[place]))
        except Exception as error:
            told[place] = type(error).__name__

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(numbers))]
    go_on = threading.Event()
    threads.insert(0, threading.Thread(target=store.together, args=(lambda _: go_on.wait(),)))
    for thread in threads:
        thread.start()
        while not store._line.is_busy:
            pass
    while len(store._line.line) < len(threads):
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    return told


def test_all_that_come_at_once_are_done_however_many(store: Store) -> None:
    many = list(range(together.MOST * 2 + 5))
    assert at_once(store, many) == many
    assert names(store) == many


def test_what_fails_fails_alone(store: Store) -> None:
    told = at_once(store, [1, 2, 2, 3])
    assert sorted(map(str, told)) == ["1", "2", "3", "IntegrityError"]
    assert names(store) == [1, 2, 3]


def test_who_is_interrupted_leaves_the_others_in_line(store: Store) -> None:
    def interrupted(_connection: Connection) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.together(interrupted)
    assert store.together(add(7)) == 7
    assert names(store) == [7]


def test_an_attempt_that_fails_undoes_itself_and_no_more(store: Store) -> None:
    def two_and_one_again(connection: Connection) -> None:
        with connection.attempt():
            add(2)(connection)
            add(1)(connection)

    with store.write() as connection:
        add(1)(connection)
        with pytest.raises(IntegrityError):
            two_and_one_again(connection)
    assert names(store) == [1]
