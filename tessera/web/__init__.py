"""Web: the public side. Provider events in; unsubscribing, preferences, sign-up, answers, referrals."""

from tessera.web.app import make_app
from tessera.web.server import serve

__all__ = ["make_app", "serve"]
