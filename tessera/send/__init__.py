"""Send: due messages go out through a messenger, at most once, and we know what we do not know."""

from tessera.send.lateness import end_all_late
from tessera.send.sender import SendReport, send

__all__ = ["SendReport", "end_all_late", "send"]
