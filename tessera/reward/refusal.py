"""An answer that is no, in words a till can show and a name its program can act on."""

from __future__ import annotations

SENTENCES = {
    "unknown-card": (404, "No member has this card."),
    "card-replaced": (409, "This card was replaced by another one."),
    "card-blocked": (409, "The shop's books say that this card is no longer good."),
    "card-in-use": (409, "This card belongs to a member already."),
    "unknown-redemption": (404, "This till knows no such redemption."),
    "unknown-voucher": (404, "No such voucher can be used here."),
    "test-code": (409, "This code is an example and worth nothing."),
    "voucher-withdrawn": (409, "This voucher was withdrawn."),
    "voucher-not-valid-yet": (409, "This voucher is not valid yet."),
    "voucher-expired": (409, "This voucher's last day is over."),
    "voucher-used": (409, "This voucher was used already."),
    "does-not-stack": (409, "This voucher cannot be used beside another one."),
    "basket-does-not-qualify": (409, "What is being bought does not qualify for this voucher."),
    "not-enough-points": (409, "The member does not have so many points."),
    "daily-limit": (409, "The member has redeemed as often as they may in a day."),
    "too-many-points": (409, "That is more points than there is left to pay."),
    "other-currency": (409, "Points do not pay in this currency."),
    "nothing-to-spend": (409, "Name points, vouchers, or both."),
    "card-needed": (409, "Points need the card they are on."),
    "already-redeemed": (409, "This redemption is settled already."),
    "already-void": (409, "This redemption was taken back already."),
    "hold-lapsed": (409, "This reservation is past its time; make a new one."),
    "not-redeemed": (409, "Only what was redeemed can be returned."),
    "more-than-bought": (409, "That is more than was bought."),
    "key-reused": (409, "This idempotency key was used for another request."),
    "same-card": (409, "A card cannot replace itself."),
    "too-far-ahead": (409, "This happened in the future; set the till's clock."),
}


class Refusal(Exception):
    """Nothing was done; `kind` is one of `SENTENCES`."""

    def __init__(self, kind: str, *, about: str | None = None) -> None:
        super().__init__(kind)
        self.kind, self.about = kind, about

    @property
    def status(self) -> int:
        return SENTENCES[self.kind][0]

    @property
    def sentence(self) -> str:
        return SENTENCES[self.kind][1]
