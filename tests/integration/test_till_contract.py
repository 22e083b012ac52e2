"""The till API keeps its own document: Schemathesis asks whatever the document allows, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tessera.reward import cards
from tessera.testing import publish
from tessera.web.contract import document
from tessera.web.till import OPERATIONS
from tests.conftest import BOTH_STORES
from tests.serving import served
from tests.tilling import Counter, give, member, shop, voucher

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def fuzz(folder: Path, store_url: str, seconds: int, phases: str, seed: int = 1) -> None:
    """So long a run against a shop that has what the document's examples name; fails with what it found."""
    ws = shop(folder, store_url)
    publish(ws, customers=[member(0, card_id="K000017")])  # the document's own examples
    cards.refresh(ws)
    give(ws, "c0", 10**9)
    example = "update voucher set code = '7KQW3H2M9TZ46', uses = 1000000 where code = :code"
    code = voucher(ws)
    with ws.store.write() as store:
        store.run(example, code=code)
    with served(ws) as client, pytest.MonkeyPatch.context() as patch:
        for limit in ("ASKS_A_SECOND", "MISSES_A_MINUTE"):
            patch.setattr(f"tessera.web.till.{limit}", 10**9)
        key = Counter(ws, client).key
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{client.base_url}/till/v1/openapi.json", "--checks", "all"),
            *("-H", f"Authorization: Bearer {key}", "--max-time", str(seconds), "--phases", phases),
            *("--generation-database", "none", "--seed", str(seed), "--continue-on-failure"),
            *("--suppress-health-check", "all"),  # how fast it thinks of questions is not ours
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=os.environ, check=False
        )
    ws.store.close()
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]


@SQLITE
def test_nothing_that_is_asked_breaks_the_contract(tmp_path: Path, store_url: str) -> None:
    fuzz(tmp_path, store_url, 6, "examples,coverage,fuzzing")


@pytest.mark.proof
@BOTH_STORES
def test_nothing_that_is_asked_for_long_breaks_the_contract(tmp_path: Path, store_url: str) -> None:
    fuzz(tmp_path, store_url, 240, "examples,coverage,fuzzing,stateful")


def test_the_document_is_openapi() -> None:
    """Judged by the specification's own schema."""
    from schemathesis.specs.openapi import definitions

    found = document(OPERATIONS, "https://till.example")
    Draft202012Validator(definitions.OPENAPI_31).validate(found)
    assert {len(path) for path in found["paths"].values()} == {1}


@SQLITE
def test_the_document_needs_no_key(tmp_path: Path, store_url: str) -> None:
    ws = shop(tmp_path, store_url)
    with served(ws) as client:
        answer = client.get("/till/v1/openapi.json")
    assert answer.json() == document(OPERATIONS, "http://localhost:8800")
    ws.store.close()


def test_the_document_says_how_large_a_number_may_be() -> None:
    schemas = document(OPERATIONS, "")["components"]["schemas"]
    assert schemas["Line"]["properties"]["amount"]["minimum"] == 0
    assert schemas["Reserve"]["properties"]["hold_seconds"]["maximum"] == 3600


@SQLITE
def test_an_id_that_is_none_is_unknown(tmp_path: Path, store_url: str) -> None:
    ws = shop(tmp_path, store_url)
    with served(ws) as client:
        till = Counter(ws, client)
        assert [till.settle(name).status_code for name in ("%C2%84", "x", "F" * 32)] == [404] * 3
    ws.store.close()
