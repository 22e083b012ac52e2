"""What profile_by_hand.sql tells of receipts, as one would write it in pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LINE = [
    "transaction_id",
    "card_id",
    "store_id",
    "kind",
    "quantity",
    "amount",
    "discount",
    "currency",
    "sold_at",
    "product_id",
]
RECEIPT = ["transaction_id", "card_id", "store_id", "kind"]


def profile(validated: Path, zone: str) -> dict[str, Any]:
    """The profile of the customers in the first file of lines; how many lines and customers."""
    lines = _read(validated / "transactions", LINE, files=1).dropna(subset=["card_id"])
    lines["quantity"] = lines["quantity"].astype(float)
    owners = _read(validated / "cards", ["card_id", "customer_id"])
    lines = lines.merge(owners, on="card_id", how="left")
    lines["customer_id"] = lines["customer_id"].fillna(lines["card_id"])
    receipts = _receipts(lines, zone)
    sales = receipts[receipts["kind"] == "sale"]
    figures = _figures(receipts, sales)
    figures["median_days_between_purchases"] = _rhythm(sales)
    figures["favourite_store_id"] = _favourite(sales.assign(one=1), "store_id", "one")
    products = _read(validated / "products", ["product_id", "category"])
    spent = lines.merge(products, on="product_id")
    figures["favourite_category"] = _favourite(spent, "category", "amount")
    people = _read(validated / "customers", None)
    whole = people.merge(figures, left_on="customer_id", right_index=True, how="outer")
    return {"lines": len(lines), "customers": len(whole)}


def _read(folder: Path, columns: list[str] | None, files: int | None = None) -> pd.DataFrame:
    paths = sorted(folder.glob("*/rows.parquet"))[:files]
    return pd.concat([pd.read_parquet(path, columns=columns) for path in paths])


def _receipts(lines: pd.DataFrame, zone: str) -> pd.DataFrame:
    receipts = (
        lines.groupby(["customer_id", *RECEIPT], observed=True)
        .agg(
            lines=("amount", "size"),
            units=("quantity", "sum"),
            amount=("amount", "sum"),
            discount=("discount", "sum"),
            currency=("currency", "first"),
            sold_at=("sold_at", "min"),
        )
        .reset_index()
    )
    receipts["is_return"] = receipts["kind"] == "return"
    at_the_till = receipts["sold_at"].dt.tz_localize("UTC").dt.tz_convert(zone)
    receipts["sold_on"] = at_the_till.dt.tz_localize(None).dt.normalize()
    return receipts


def _figures(receipts: pd.DataFrame, sales: pd.DataFrame) -> pd.DataFrame:
    everything = receipts.groupby("customer_id").agg(
        currency=("currency", "first"),
        lines=("lines", "sum"),
        units=("units", "sum"),
        revenue=("amount", "sum"),
        returned_receipts=("is_return", "sum"),
    )
    figures = everything.join(
        sales.groupby("customer_id").agg(
            receipts=("transaction_id", "size"),
            sales=("amount", "sum"),
            discount=("discount", "sum"),
            first_purchase_on=("sold_on", "min"),
            last_purchase_on=("sold_on", "max"),
            first_purchase_at=("sold_at", "min"),
            last_purchase_at=("sold_at", "max"),
        )
    )
    for quintile, column in (
        ("recency_quintile", "last_purchase_on"),
        ("frequency_quintile", "receipts"),
        ("monetary_quintile", "revenue"),
    ):
        figures[quintile] = np.ceil(5 * figures[column].rank(pct=True, method="max"))
    figures["average_basket"] = figures["sales"] / figures["receipts"]
    figures["discount_share"] = figures["discount"] / (figures["sales"] + figures["discount"])
    return figures


def _rhythm(sales: pd.DataFrame) -> pd.Series:
    days = sales[["customer_id", "sold_on"]].drop_duplicates().sort_values("sold_on")
    gaps = days.groupby("customer_id")["sold_on"].diff().dt.days
    medians: pd.Series = gaps.groupby(days["customer_id"]).median()
    return medians


def _favourite(rows: pd.DataFrame, column: str, weight: str) -> pd.Series:
    weighed = rows.groupby(["customer_id", column])[weight].sum().reset_index()
    best = weighed.sort_values(weight).drop_duplicates("customer_id", keep="last")
    favourites: pd.Series = best.set_index("customer_id")[column]
    return favourites
