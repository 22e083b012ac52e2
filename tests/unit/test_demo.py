"""The demo says what can be typed next."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tessera import demo


def test_the_command_is_named_so_that_this_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo._command() == ".venv/bin/tessera"
    (tmp_path / "tessera").touch(0o755)
    assert demo._command() == "tessera"
