"""The documents tell the truth: README's commands run, links lead somewhere, commands are described."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
import typer
import yaml

from tessera import documents
from tessera.cli.app import app
from tessera.decide.campaign import Campaign
from tessera.decide.policy import ContactPolicy
from tessera.documents import Document
from tessera.land.mapping import load
from tessera.reward.programme import Programme
from tessera.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


def console(page: Path) -> list[str]:
    """The commands of a page's console blocks, in order, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).splitlines()
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ ")]


def run(command: str, folder: Path) -> str:
    """What one README command prints in `folder`, run the way a user with an empty home would."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")
    } | {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def test_every_tessera_command_of_the_readme_runs(tmp_path: Path) -> None:
    commands = [line for line in console(ROOT / "README.md") if line.startswith("tessera ")]
    assert len(commands) > 5
    printed = {command: run(command, tmp_path) for command in commands}
    (shown,) = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert printed["tessera explain C24301896"] == shown


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"make (\w+)", (ROOT / "README.md").read_text("utf-8"))))
)
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    """`make demo` and `make test` themselves are what CI runs."""
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


TYPED = {
    page.name: page.read_text(encoding="utf-8") for page in PAGES if page.parent == ROOT / "docs"
}


def examples(language: str) -> list[tuple[str, str]]:
    """The blocks of a language in docs/, with the page they are on."""
    blocks = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [(page, block) for page, text in TYPED.items() for block in blocks.findall(text)]


# What each page's YAML is a piece of: the model that reads it, the file's name, and what the page leaves out
CLUB = (
    "programme: club\ncurrency: EUR\nreturns: debt\nearn_rules: [{rule: all, points: 1, per: 1}]\n"
)
STEPS = "campaign: c\npurpose: marketing\naudience: a\nschedule: 0 9 * * *\n"
PIECES: dict[str, tuple[type[Document], str, str]] = {
    "reward.md": (Programme, "programme.yml", ""),
    "send.md": (ContactPolicy, "contact_policy.yml", "caps: null\n"),
    "till.md": (Programme, "programme.yml", CLUB),
    "vouchers.md": (Programme, "programme.yml", CLUB),
}


MAPPING, *ENTRIES = [block for page, block in examples("yaml") if page == "land.md"]
HEAD = MAPPING.partition("transactions:\n")[0] + "transactions:\n"


@pytest.mark.parametrize("block", [MAPPING, *[HEAD + indent(e, "    ") for e in ENTRIES]])
def test_a_mapping_of_the_page_is_one(tmp_path: Path, block: str) -> None:
    file = tmp_path / "deployments" / "sources" / "corner_shop.yml"
    file.parent.mkdir(parents=True)
    file.write_text(block, encoding="utf-8")
    assert load(tmp_path, "corner_shop").feeds


OTHERS = [one for one in examples("yaml") if one[0] != "land.md"]


@pytest.mark.parametrize(("page", "block"), OTHERS, ids=[page for page, _ in OTHERS])
def test_the_yaml_of_a_page_is_what_its_reader_takes(tmp_path: Path, page: str, block: str) -> None:
    its_steps = (Campaign, "campaign.yml", STEPS)
    model, name, rest = its_steps if block.startswith("steps:") else PIECES[page]
    file = tmp_path / name
    file.write_text(rest + block, encoding="utf-8")
    found, problems, _ = documents.read(file, model, project=tmp_path)
    assert (found is not None, problems) == (True, [])


@pytest.mark.parametrize(
    ("page", "block"), examples("python"), ids=[page for page, _ in examples("python")]
)
def test_the_python_of_a_page_names_what_there_is(page: str, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


TESSERA = re.compile(r"^(?:\$ |    )(?:[A-Z_]+=\S+ )*(tessera [a-z].*)$", re.MULTILINE)


@pytest.mark.parametrize("page", sorted(TYPED))
def test_the_options_of_a_pages_commands_are_theirs(page: str) -> None:
    unknown = []
    for line in TESSERA.findall(TYPED[page]):
        command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        known = {option for one in command.params for option in one.opts}
        unknown += [(line, word) for word in words if word.startswith("--") and word not in known]
    assert unknown == []


def command_names() -> list[str]:
    """Every command and sub-command as typed, such as 'quarantine list'."""
    root = typer.main.get_command(app)
    names = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        subcommands = getattr(command, "commands", None)
        names += [f"{name} {sub}" for sub in subcommands] if subcommands else [name]
    return names


@pytest.mark.parametrize("command", command_names())
def test_every_command_is_described_in_the_documents(command: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert f"tessera {command}" in text


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`TESSERA_{name.upper()}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_on_customers_names_every_column_and_no_other() -> None:
    text = TYPED["architecture.md"].partition("`customers` has one row per person")[2]
    table = text.partition("| type | columns |")[2].partition("\n\n")[0]
    columns = re.sub(r"\([^)]*\)", "", table)
    named = {word for words in re.findall(r"`([^`]*)`", columns) for word in words.split(", ")}
    models = yaml.safe_load((ROOT / "dbt/models/marts/_marts__models.yml").read_text("utf-8"))
    (customers,) = (one for one in models["models"] if one["name"] == "customers")
    assert named == {column["name"] for column in customers["columns"]}
