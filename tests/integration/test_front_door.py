"""What people say on the pages is in the models the next day: exported, landed, validated, built."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from flows import model
from flows.validate import judge
from tessera.consent.preferences import choose
from tessera.hear import export
from tessera.land import land
from tessera.say.links import secret_of
from tessera.testing import workspace
from tessera.tokens import SCORE, sign
from tessera.warehouse import marts
from tests.integration.model_home import validated
from tests.integration.test_web import confirm_path, submit
from tests.sending import enqueue, outbox_row
from tests.serving import served


def test_answers_choices_and_sign_ups_are_on_the_profile_the_next_day(tmp_path: Path) -> None:
    """The answer from the mail is on the profile; nobody has to ask again in which language."""
    ws = workspace(tmp_path / "home", "2026-03-31T12:00")
    people = [{"customer_id": "K1", "email": "k1@mail.example", "language": "el"}]
    validated(ws.home, "customers", 90, [*people, {"customer_id": "K2", "language": "de"}])
    (key,) = enqueue(ws, outbox_row("K1", state="accepted", send_at="2026-03-30T09:00:00+00:00"))
    with served(ws) as client:
        submit(client, f"/s/{sign(secret_of(ws), SCORE, key)}/4", score="4")
        submit(client, "/join?lang=fa", email="new@mail.example", agreed="yes")
        submit(client, confirm_path(ws))
    with ws.store.write() as connection:
        choose(connection, "K1", {"language": "fa", "paused_until": "2026-04-30"}, ws.as_of)

    next_day = workspace(tmp_path / "home", "2026-04-01")
    assert export(next_day).files == 5
    land(next_day, "engine", next_day.home.engine)
    report = judge(next_day)
    assert (report.files_refused, report.rows_bad) == (0, 0)
    model.build(next_day)
    with marts.connect(next_day.home) as duck:
        query = "select customer_id, language, paused_until, satisfaction_score from customers order by 1"
        found = duck.execute(query).fetchall()
        new = duck.execute(
            "select email, acquisition_source from customers where customer_id like 'p%'"
        )
        assert new.fetchall() == [("new@mail.example", "web")]
        words = duck.execute(
            "select customer_id, channel, granted, origin from consents"
        ).fetchall()
    with next_day.store.read() as connection:
        person = connection.scalar("select customer_id from consent where granted = 1")
    assert words == [(person, "email", True, "sign-up form")]
    assert found == [
        ("K1", "fa", date(2026, 4, 30), 4),
        ("K2", "de", None, None),
        (person, "fa", None, None),
    ]
