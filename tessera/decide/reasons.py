"""Why a candidate is or is not written to: one closed list, in the order the rules are asked."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """The first rule that fails is the reason; `planned` when none does."""

    NO_ADDRESS = "no_address"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    COMPLAINT_OPEN = "complaint_open"
    CONTROL_GROUP = "control_group"
    RE_ENTRY = "re_entry"
    EXITED = "exited"
    NOT_DUE = "not_due"
    CONDITION_NOT_MET = "condition_not_met"
    REPEAT_CONTENT = "repeat_content"
    STALE_DATA = "stale_data"
    BROKEN_TEMPLATE = "broken_template"
    TOO_LATE = "too_late"
    OUTSIDE_WINDOW = "outside_window"
    NO_REWARD_LEFT = "no_reward_left"
    # Arbitration comes last: nobody takes a slot under a cap who could not be written to anyway.
    CAPPED = "capped"
    OUTRANKED = "outranked"
    RESERVED = "reserved"
    PLANNED = "planned"


# How `tessera explain` says it; {by} is what decided.
SENTENCES: dict[Reason, str] = {
    Reason.NO_ADDRESS: "not written to, for there is no {address} that works",
    Reason.NO_CONSENT: "not written to, for consent is missing ({by})",
    Reason.SUPPRESSED: "not written to, for the address is suppressed ({by})",
    Reason.COMPLAINT_OPEN: "not written to while a complaint is open",
    Reason.CONTROL_GROUP: "not written to, as a member of the control group ({by})",
    Reason.RE_ENTRY: "not written to again ({by})",
    Reason.EXITED: "not written to any more, for the journey has ended ({by})",
    Reason.NOT_DUE: "not written to yet ({by})",
    Reason.CONDITION_NOT_MET: "not written to, for the step's condition is not true ({by})",
    Reason.REPEAT_CONTENT: "not written to, for the same content went out before ({by})",
    Reason.STALE_DATA: "held, for the data is of another day ({by})",
    Reason.BROKEN_TEMPLATE: "held until its campaign's template is mended ({by})",
    Reason.TOO_LATE: "not written to any more ({by})",
    Reason.OUTSIDE_WINDOW: "not written to, for no hour of the day is left that is allowed ({by})",
    Reason.CAPPED: "not written to, for the cap is reached ({by})",
    Reason.OUTRANKED: "not written to, for another message took the place ({by})",
    Reason.RESERVED: "not written to, for the place is kept for another message ({by})",
    Reason.NO_REWARD_LEFT: "not written to, for the reward that goes with it is used up ({by})",
    Reason.PLANNED: "planned for {send_at}",
}

ADDRESSES = {"email": "e-mail address", "sms": "telephone number"}  # by channel


def sentence(decision: Mapping[str, Any], former: str = "") -> str:
    """One decision row as a sentence; `former` is a number that its customer no longer has."""
    said = SENTENCES[Reason(decision["reason"])].format(
        by=decision["decided_by"],
        send_at=decision["send_at"],
        address=ADDRESSES.get(decision["channel"], "address"),
    )
    place = f"{decision['campaign']}, step {decision['step']} ({decision['occurrence']})"
    place += f", as {former}" if former else ""
    return f"{decision['business_date']}  {place}: {said}."
