"""`tessera doctor`: where settings come from, what is wrong, and no secret on the screen."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from tessera import clock
from tessera.cli.app import app
from tessera.doctor import PROJECT_FOLDERS
from tessera.errors import BadInput
from tessera.hear.hearing import take_in
from tessera.outage import told
from tessera.settings import Settings, as_environment, load
from tessera.testing import workspace
from tessera.workspace import open_workspace
from tests.sending import enqueue, outbox_row
from tests.serving import PUBLIC_KEY

SECRETS = {
    "TESSERA_SENDGRID_API_KEY": "SG.tell-nobody",
    "TESSERA_SMTP_URL": "smtp://club:tell-nobody@127.0.0.1:1",
    "TESSERA_LINK_SECRET": "tell-nobody",
    "TESSERA_STORE_URL": "postgresql://tessera:tell-nobody@127.0.0.1:1/tessera?password=tell-nobody",
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TESSERA_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def doctor(*words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *words])


def problems(*words: str) -> dict[str, str]:
    found = json.loads(doctor("--json", *words).stdout)["problems"]
    return {row["setting"]: row["problem"] for row in found if not row["advice"]}


def test_nothing_is_wrong_with_the_defaults() -> None:
    result = doctor()
    assert result.exit_code == 0, result.stdout
    assert "Nothing is wrong." in result.stdout
    assert all(f"TESSERA_{name.upper()}" in result.stdout for name in Settings.model_fields)


def test_each_value_names_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TESSERA_TIMEZONE", "Europe/Riga")
    Path(".env").write_text("TESSERA_LANGUAGE=lv\n", encoding="utf-8")
    rows = json.loads(doctor("--json", "--home", str(tmp_path / "shop")).stdout)["settings"]
    sources = {row["setting"]: (row["value"], row["source"]) for row in rows}
    assert sources["TESSERA_HOME"] == (str(tmp_path / "shop"), "command line")
    assert sources["TESSERA_TIMEZONE"] == ("Europe/Riga", "environment")
    assert sources["TESSERA_LANGUAGE"] == ("lv", ".env")
    assert sources["TESSERA_MESSENGER"] == ("file", "default")


def test_secrets_are_masked_and_stay_out_of_the_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TESSERA_MESSENGER", "smtp")
    assert "tell-nobody" not in doctor().stdout
    assert "tell-nobody" not in doctor("--json").stdout
    assert "********" in doctor().stdout


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TIMEZONE", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
        ("LANGUAGE", "klingon!", "is not a language"),
        ("MESSENGER", "sendgrid", "needs an API key"),
        ("MESSENGER", "smtp", "needs a server"),
        ("SENDGRID_HOST", "api.sendgrid.com", "is not a web address"),
        ("SENDGRID_HOST", "https://[", "is not a web address"),
        ("PUBLIC_URL", "shop.example", "is not a web address"),
        ("SMS_URL", "http://h:99999", "is not a web address"),
        ("SENDER_EMAIL", "The Shop", "is not an e-mail address"),
        ("SENDER_EMAIL", "Club<club@shop.example>", "is not an e-mail address"),
        ("SENDER_NAME", "The\nShop", "one line"),
        ("POSTAL_ADDRESS", "  ", "is blank"),
        ("STAFF_EMAIL", "the manager", "'the manager' is not one e-mail address"),
        ("STAFF_EMAIL", "a@shop.example, b@shop.example", "is not one e-mail address"),
        ("WEB_PROXIES", "127.0.0.1,proxy.local", "'proxy.local' is no address or network"),
        ("WEB_PROXIES", "10.0.0.7/8", "'10.0.0.7/8' is no address or network"),
        ("DUCKDB_MEMORY", "plenty", "write an amount of memory as 4GB"),
        ("DUCKDB_MEMORY", "4", "write an amount of memory as 4GB"),
        ("DUCKDB_MEMORY", "-1GB", "write an amount of memory as 4GB"),
        ("STORE_URL", "postgresql://nobody@127.0.0.1:1/none", "cannot be opened"),
        ("STORE_URL", "oracle of delphi", "is not the URL of a store"),
        ("PREFECT_API_URL", "http://127.0.0.1:1/api", "No Prefect server answers"),
        ("PROJECT", "/", "has no dbt"),
        ("MESSENGER", "pigeon", "'pigeon', which will not do"),
        ("MESSENGER", "pigeon", "will not do: write 'file', 'smtp' or 'sendgrid'."),
        ("THREADS", "many", "TESSERA_THREADS is 'many', which will not do: write a whole number."),
        ("THREADS", "0", "TESSERA_THREADS is '0', which will not do: 1 is the least."),
        ("WEB_PORT", "99999", "65535 is the most."),
        ("SENDGRID_GZIP", "maybe", "write true or false."),
        ("WEBHOOK_TOLERANCE_HOURS", "0", "it must be more than 0."),
        ("WEBHOOK_TOLERANCE_HOURS", "inf", "write a number."),
        ("WEBHOOK_TOLERANCE_HOURS", "1e9", "is the most."),
        ("TILL_REQUESTS_KEPT_DAYS", "99999999999", "is the most."),
        ("SNAPSHOTS_KEPT_DAYS", "99999999999", "is the most."),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_non_zero_exit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"TESSERA_{name}", value)
    assert doctor().exit_code == 1
    (sentence,) = problems().values()
    assert says in sentence
    assert "\n" not in sentence


def test_a_mistake_in_the_file_is_told_as_such() -> None:
    Path(".env").write_text("TESSERA_THREADS=0\nTESSERA_SMS_API_KEY=k\n", encoding="utf-8")
    said = "TESSERA_THREADS in .env is '0', which will not do: 1 is the least."
    assert list(problems().values()) == [said]
    with pytest.raises(BadInput, match=r"^TESSERA_WEB_PORT is 'x', which"):
        load(web_port="x", threads=1)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("TESSERA_TIMEZONE: Europe/Riga", 3),
        ("\nset TESSERA_TIMEZONE=Europe/Riga", 4),
        ("TESSERA_SMTP_URL='smtp://u:tell-nobody@h", 3),
        ('OTHER="x\nTESSERA_TIMEZONE=Europe/Riga\nLAST="y"', 3),
    ],
)
def test_a_line_of_the_file_that_cannot_be_read_is_named(
    caplog: pytest.LogCaptureFixture, line: str, number: int
) -> None:
    Path(".env").write_text(f"OTHER=1\nno setting\n{line}\n", encoding="utf-8")
    said = f"The file .env, line {number}, cannot be read; write NAME=value, and close each quote."
    assert problems() == {"settings": said}
    Path(".env").write_text("no setting\nTESSERA_TIMEZONE=Europe/Riga\n", encoding="utf-8-sig")
    assert (problems(), load().timezone, caplog.records) == ({}, "Europe/Riga", [])


def test_too_little_memory_names_its_setting() -> None:
    with pytest.raises(duckdb.Error) as error:
        duckdb.connect(config={"memory_limit": "1KB"}).execute("from range(9)").fetchall()
    assert "TESSERA_DUCKDB_MEMORY" in str(told(error.value))


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "Europe"])
def test_a_zone_that_is_none_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, timezone: str
) -> None:
    monkeypatch.setenv("TESSERA_TIMEZONE", timezone)
    with pytest.raises(BadInput, match=f"^TESSERA_TIMEZONE: '{timezone}' is not a time zone"):
        open_workspace()


@pytest.mark.parametrize("url", ["smtp://[::1", "smtp://h:99999", "smtp://.example"])
def test_a_mail_server_that_cannot_be_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TESSERA_MESSENGER", "smtp")
    monkeypatch.setenv("TESSERA_SMTP_URL", url)
    assert list(problems()) == ["TESSERA_SMTP_URL"]


def test_proxies_and_a_staff_address_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_WEB_PROXIES", "10.0.0.7, fd00::/8,192.168.1.0/24")
    monkeypatch.setenv("TESSERA_STAFF_EMAIL", "manager@shop.example")
    assert problems() == {}
    monkeypatch.setenv("TESSERA_WEB_PROXIES", "*")
    result = doctor()
    assert result.exit_code == 0
    assert "advice: TESSERA_WEB_PROXIES: '*' believes anybody" in result.stdout


def test_a_suite_of_no_feed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would be passed over, and its rules hold nowhere."""
    for folder in PROJECT_FOLDERS:
        (tmp_path / folder).mkdir()
    for name, text in {"storse": "suite = 1", "ours": "SUITE = 1", "stores": "suite = 1"}.items():
        (tmp_path / "expectations" / f"{name}.py").write_text(f"import re\n{text}\n")
    monkeypatch.setenv("TESSERA_PROJECT", str(tmp_path))
    said = (
        "expectations/storse.py is the suite of no feed and judges nothing. Did you mean 'stores'?"
    )
    assert problems() == {"TESSERA_PROJECT": said}


def test_a_home_that_is_a_file_is_wrong() -> None:
    Path("shop").write_text("not a folder", encoding="utf-8")
    assert "is a file" in problems("--home", "shop")["TESSERA_HOME"]


def test_a_home_that_cannot_be_written_is_wrong() -> None:
    assert "cannot be written" in problems("--home", "/proc/shop")["TESSERA_HOME"]


def test_looking_does_not_make_the_home() -> None:
    assert doctor("--home", "shop").exit_code == 0
    assert not Path("shop").exists()


def test_a_store_that_is_no_database_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"certainly not a database " * 100)
    assert "cannot be opened" in problems("--home", str(tmp_path))["TESSERA_STORE_URL"]


def test_a_store_of_a_later_tessera_is_wrong(tmp_path: Path) -> None:
    from tessera.store import Store

    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    with store.write() as connection:
        connection.run("update alembic_version set version_num = '9999'")
    store.close()
    said = problems("--home", str(tmp_path))["TESSERA_STORE_URL"]
    assert "a later version of Tessera" in said


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A file that nobody writes: the system's own user needs to be told in another way."""
    path.chmod(0o444)
    lock = shutil.which("chattr") or "false" if os.access(path, os.W_OK) else "true"
    if subprocess.run([lock, "+i", path], check=False).returncode:
        pytest.skip("nothing keeps this user from writing")
    try:
        yield
    finally:
        subprocess.run([lock, "-i", path], check=True)


def test_a_store_whose_file_can_only_be_read_is_wrong(tmp_path: Path) -> None:
    from tessera.store import Store

    path = tmp_path / "elsewhere/store.sqlite"
    Store.open(f"sqlite:///{path}").close()
    with pytest.MonkeyPatch.context() as patch, locked(path):
        patch.setenv("TESSERA_STORE_URL", f"sqlite:///{path}")
        said = problems()["TESSERA_STORE_URL"]
    assert said == (
        f"The store can be read but not written: {path} is read-only. Let the user or role that Tessera "
        "works as write it."
    )


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_that_only_reads_is_wrong(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_STORE_URL", store_url)
    assert problems() == {}
    only_reads = "options=-c%20default_transaction_read_only%3Don"
    monkeypatch.setenv("TESSERA_STORE_URL", f"{store_url}&{only_reads}")
    assert problems() == {
        "TESSERA_STORE_URL": "The store can be read but not written: cannot execute INSERT in a read-only "
        "transaction. Let the user or role that Tessera works as write it."
    }


@pytest.mark.parametrize(("complaints", "code"), [(0, 0), (1, 0), (2, 1)])
def test_too_many_complaints_are_told(tmp_path: Path, complaints: int, code: int) -> None:
    ws = workspace(tmp_path)
    keys = enqueue(ws, *(outbox_row(f"c{n}") for n in range(1000)))
    told = [("delivered", key) for key in keys] + [("spamreport", k) for k in keys[:complaints]]
    moment = int(clock.now().timestamp()) - 3600
    entries = [{"event": name, "send_key": key, "timestamp": moment} for name, key in told]
    take_in(ws.store, entries, clock.now())
    result = doctor("--home", str(tmp_path))
    assert result.exit_code == code
    words = ["Nothing is wrong", "will be stopped", "Marketing is stopped: 2 complaints of 1,000"]
    assert words[complaints] in result.stdout


def test_a_key_or_secret_that_will_not_do_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_SENDGRID_WEBHOOK_KEY", "no key")
    monkeypatch.setenv("TESSERA_LINK_SECRET", "short")
    found = problems()
    assert "is not a public key" in found["TESSERA_SENDGRID_WEBHOOK_KEY"]
    assert "can be guessed" in found["TESSERA_LINK_SECRET"]
    monkeypatch.setenv("TESSERA_SENDGRID_WEBHOOK_KEY", PUBLIC_KEY)
    monkeypatch.setenv("TESSERA_LINK_SECRET", "long enough to be none of the words")
    assert problems() == {}


def test_a_mail_server_that_does_not_answer_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("TESSERA_MESSENGER", "smtp")
    monkeypatch.setenv("TESSERA_SMTP_URL", f"smtp://127.0.0.1:{port}")
    assert "does not answer" in problems()["TESSERA_SMTP_URL"]
    with socket.create_server(("127.0.0.1", port)):
        assert problems() == {}


def test_examples_before_real_people_and_slips_of_the_pen_are_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TESSERA_MESSENGER", "sendgrid")
    monkeypatch.setenv("TESSERA_SENDGRID_API_KEY", "SG.x")
    monkeypatch.setenv("TESSERA_MESENGER", "smtp")
    result = doctor()
    assert result.exit_code == 0
    assert "advice: TESSERA_SENDER_EMAIL" in result.stdout
    assert "Did you mean TESSERA_MESSENGER?" in result.stdout


def test_a_slip_of_the_pen_in_the_env_file_is_advice_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        '# TESSERA_OLD=1\nexport TESSERA_THREDS=2\nOTHER=1\nTESSERA_THREADS=2\n"TESSERA_HOME=x"\n'
    )
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    said = [line for line in doctor().stdout.splitlines() if line.startswith("advice: ")]
    assert said == [
        'advice: "TESSERA_HOME: There is no such setting. Did you mean TESSERA_HOME?',
        "advice: TESSERA_THREDS: There is no such setting. Did you mean TESSERA_THREADS?",
    ]


def test_a_child_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("TESSERA_LINK_SECRET=kept\nTESSERA_THREADS=3\n", encoding="utf-8")
    here = load(home=Path("shop"))
    variables = as_environment(here)
    Path(".env").unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    there = load()
    assert there.home == Path("shop").resolve()
    assert there.threads == 3
    assert there.link_secret is not None
    assert there.link_secret.get_secret_value() == "kept"
