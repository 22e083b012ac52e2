"""Every setting, and the only reader of the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from tessera.errors import BadInput
from tessera.plain import MEMORY, reason

if TYPE_CHECKING:
    from dotenv.parser import Binding

LONGEST = 36_600  # days: a hundred years, which every calendar holds
CHECKOUT = Path(__file__).resolve().parent.parent

# Nothing phones home, bars and colours stay out of logs, and Prefect keeps to our home.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_CLI_PROMPT": "false",
}


def _project_dir() -> Path:
    here = Path.cwd()
    return here if (here / "deployments").is_dir() and (here / "dbt").is_dir() else CHECKOUT


class Settings(BaseSettings):
    """Read from `TESSERA_*` in the environment, then from `.env`, then the defaults here."""

    model_config = SettingsConfigDict(
        env_prefix="TESSERA_",
        env_file=".env",
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path("var"), description="where all state lives; delete it to start afresh")
    project: Path = Field(
        default_factory=_project_dir,
        description="the folder with dbt/, templates/, expectations/, flows/ and deployments/",
    )
    timezone: str = Field("UTC", description="the shop's IANA zone: business days begin here")
    language: str = Field("en", description="the language of customers who have none")
    store_url: str | None = Field(
        None, description="SQLAlchemy URL of the store; default a SQLite file in the home"
    )
    operator: str | None = Field(
        None, description="who is at work, for the audit log; default the system's user"
    )
    messenger: Literal["file", "smtp", "sendgrid"] = Field("file", description="how mail leaves")
    sendgrid_api_key: SecretStr | None = Field(None, description="the SendGrid API key")
    sendgrid_host: str = Field(
        "https://api.sendgrid.com", description="https://api.eu.sendgrid.com for the EU"
    )
    sendgrid_gzip: bool = Field(
        False, description="compress requests; the account must be allowed to (ask SendGrid)"
    )
    sendgrid_asm_group: int | None = Field(
        None, description="SendGrid's unsubscribe group of marketing mail"
    )
    sendgrid_sandbox: bool = Field(
        False, description="SendGrid checks every request and sends nothing"
    )
    sms_url: str | None = Field(
        None, description="where text messages are posted; default files in the home"
    )
    sms_api_key: SecretStr | None = Field(None, description="the text message gateway's key")
    sms_sender: str = Field("Shop", description="who text messages are from: a name or a number")
    smtp_url: SecretStr | None = Field(
        None, description="smtp://user:password@host:port, or smtps:// for TLS from the start"
    )
    sender_email: str = Field("club@shop.example", description="the From address")
    sender_name: str = Field("The Shop", description="the From name")
    postal_address: str = Field(
        "1 Market Street, 10001 Sampletown", description="the footer's postal address"
    )
    public_url: str = Field(
        "http://localhost:8800", description="where links in mail lead (tessera web)"
    )
    link_secret: SecretStr | None = Field(
        None, description="signs links in mail; default a random one kept in the home"
    )
    erasure_key: SecretStr | None = Field(
        None, description="hashes erased people's identifiers; default a random one in the home"
    )
    prefect_api_url: str | None = Field(
        None, description="a Prefect server of your own (…/api); default one kept for the home"
    )
    link_secrets_old: SecretStr | None = Field(
        None, description="secrets of links that are still out there, separated by commas"
    )
    sendgrid_webhook_key: str | None = Field(
        None, description="SendGrid's public key for signed event webhooks"
    )
    webhook_tolerance_hours: float = Field(
        26,
        gt=0,
        le=LONGEST * 24,
        allow_inf_nan=False,
        description="how old a signed batch may be: SendGrid tries again for a day",
    )
    web_port: int = Field(8800, ge=0, le=65535, description="where the pages listen")
    staff_email: str | None = Field(
        None,
        description="who is written to of answers below 7 and of the day's alerts; default nobody",
    )
    web_proxies: str = Field(
        "127.0.0.1", description="proxies whose X-Forwarded-For tells who asks, by commas"
    )
    till_requests_kept_days: int = Field(
        400, ge=30, le=LONGEST, description="how long a till that asks again gets the same answer"
    )
    snapshots_kept_days: int = Field(
        7, ge=0, le=LONGEST, description="how long old marts snapshots stay"
    )
    duckdb_memory: str = Field("4GB", pattern=MEMORY, description="DuckDB's memory limit")
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="cores")


def load(**overrides: object) -> Settings:
    """The settings, with command-line values (None means not given) over everything else."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        _refuse_unreadable()
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        found = [_sentence(problem, given) for problem in error.errors()]
        raise BadInput(" ".join(found)) from None
    except UnicodeDecodeError:
        raise BadInput("The file .env is not UTF-8 text; save it as UTF-8.") from None


def _sentence(problem: ErrorDetails, given: Mapping[str, object]) -> str:
    """Which setting it is, where it stands unless that is plain, and what to write instead."""
    name = str(problem["loc"][0]).lower().removeprefix("tessera_")
    where = " in .env" if name not in given and source_of(name) == ".env" else ""
    value = "" if "key" in name else f" is '{problem['input']}', which"
    return f"TESSERA_{name.upper()}{where}{value} will not do: {reason(problem)}."


def environment(*, without: tuple[str, ...] = ()) -> dict[str, str]:
    """A copy of the process's environment, for child processes, less the names that begin with
    one of `without`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(without)}


def as_environment(settings: Settings) -> dict[str, str]:
    """The `TESSERA_*` variables that make a child process read the same settings, wherever it
    runs: what was given on the command line or in `.env` is not in its environment yet."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"TESSERA_{name.upper()}": _as_text(value) for name, value in given.items()}


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value.expanduser().resolve() if isinstance(value, Path) else value)


def export(values: dict[str, str]) -> None:
    """Set variables that third-party libraries read at import; what the user set stays."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def overrule(values: dict[str, str]) -> None:
    """Set variables whatever the user set: for what must be this home's own."""
    os.environ.update(values)


def source_of(name: str) -> str:
    """Where the setting `name` comes from: 'environment', '.env' or 'default'."""
    variable = f"TESSERA_{name}".upper()
    if any(key.upper() == variable and value for key, value in os.environ.items()):
        return "environment"
    return ".env" if variable in in_dotenv() else "default"


def in_dotenv() -> list[str]:
    """The variables that `.env` sets, in capitals."""
    return [line.key.upper() for line in _dotenv() if line.key and line.value is not None]


def _refuse_unreadable() -> None:
    """BadInput names the first line of `.env` about a setting that is none, so that nobody works with a
    default and does not know. What it holds of others is not our business."""
    logging.getLogger("dotenv").setLevel(logging.ERROR)  # it would warn of a line, and of no file
    for line in _dotenv():
        if line.error and "TESSERA_" in line.original.string.upper():
            blank = len(line.original.string) - len(line.original.string.lstrip())
            number = line.original.line + line.original.string[:blank].count("\n")
            raise BadInput(
                f"The file .env, line {number}, cannot be read; write NAME=value, and close each quote."
            )


def _dotenv() -> list[Binding]:
    from dotenv.parser import parse_stream

    path = Path(".env")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig") as text:
        return list(parse_stream(text))
