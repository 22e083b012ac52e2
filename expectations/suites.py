"""The suites of a project, read from its files; a mistake in one is a sentence with file and line."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from great_expectations import ExpectationSuite

import expectations
import expectations.rules
from tessera.documents import nearest
from tessera.errors import BadInput

SHIPPED = Path(__file__).parent


def suite_of(feed: str, project: Path) -> ExpectationSuite:
    """The suite of `feed` as `project` has it; one that ships where it has none at all. BadInput names
    the file, and the line, of what is wrong."""
    own = project / SHIPPED.name
    folder = own if own.is_dir() and not own.samefile(SHIPPED) else SHIPPED
    path = folder / f"{feed}.py"
    if not path.is_file():
        raise BadInput(f"{_title(path)} is missing; write it, or copy the one that ships.")
    with _its_own(folder):
        if folder != SHIPPED and (folder / "rules.py").is_file():
            expectations.rules = sys.modules["expectations.rules"] = _read(folder / "rules.py")
        found = getattr(_read(path), "suite", None)
    if not isinstance(found, ExpectationSuite):
        raise BadInput(f"{_title(path)}: there is no 'suite' in it; write suite = rules.suite(…).")
    if found.name != feed:
        raise BadInput(f"{_title(path)}: this is the suite of {found.name}, not of {feed}.")
    return found


@contextmanager
def _its_own(folder: Path) -> Iterator[None]:
    """The modules beside a project's suites go before those that ship, for as long as this lasts."""
    before, shipped = dict(sys.modules), expectations.rules
    expectations.__path__.insert(0, str(folder))
    try:
        yield
    finally:
        expectations.__path__.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("expectations.")]:
            if name not in before:
                del sys.modules[name]
                vars(expectations).pop(name.partition(".")[2], None)
        sys.modules["expectations.rules"] = expectations.rules = shipped


def _read(path: Path) -> ModuleType:
    """The file as a module that Python reads now, whatever it knew under its name."""
    name = f"{SHIPPED.name}.{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - its name ends in .py
    assert spec.loader is not None  # noqa: S101
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(_sentence(path, error)) from error
    return module


def _sentence(path: Path, error: Exception) -> str:
    """Where in the project's files it is, and what."""
    if isinstance(error, SyntaxError):
        at = Path(error.filename or path)
        return f"{_title(at)}:{error.lineno}: this is not Python: {error.msg}."
    frames = traceback.extract_tb(error.__traceback__)
    line = next((one.lineno for one in reversed(frames) if one.filename == str(path)), 1)
    return f"{_title(path)}:{line}: {_gist(error).rstrip('.')}."


def _gist(error: Exception) -> str:
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        its = [name for name, _ in inspect.getmembers(error.obj, inspect.isfunction)]
        near = nearest(error.name, [name for name in its if not name.startswith("_")])
        return f"there is no rule '{error.name}'.{near}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _title(path: Path) -> str:
    """As people know it: within the project."""
    return f"{path.parent.name}/{path.name}"
