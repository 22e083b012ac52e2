"""How probable it is that two rows of the register are one person: Splink's model, and its numbers.

`m` is how often a field agrees so far between two registrations of one person, from experience:
a register has too few of them to learn it from. `u`, how often it does between strangers, is learned
from the register, and rare names weigh more than common ones.
"""

from __future__ import annotations

import logging
from typing import Any

from duckdb import DuckDBPyConnection
from splink import DuckDBAPI, Linker, SettingsCreator
from splink.comparison_library import CustomComparison

from tessera.store.queries import queries

SQL = queries("tessera.know", "duplicates.sql")

Level = dict[str, Any]


def _level(when: str, m: float, u: float, rare: str | None = None) -> Level:
    weight = {"tf_adjustment_column": rare, "tf_adjustment_weight": 1.0} if rare else {}
    return {
        "sql_condition": when,
        "label_for_charts": when[:40],
        "m_probability": m,
        "u_probability": u,
        **weight,
    }


def _comparison(name: str, unknown: str, *levels: Level) -> CustomComparison:
    nothing = {"sql_condition": unknown, "label_for_charts": "unknown", "is_null_level": True}
    return CustomComparison(output_column_name=name, comparison_levels=[nothing, *levels])


BOTH = "{0}(given_l, given_r) and {0}(family_l, family_r)"
CROSSED = "{0}(given_l, family_r) and {0}(family_l, given_r)"


def _either(macro: str) -> str:
    return f"({BOTH.format(macro)}) or ({CROSSED.format(macro)})"


# The first level that holds; the last is 0 in the column `gamma_<name>`, the first the highest.
NAME = _comparison(
    "name",
    "name_key_l is null or name_key_r is null",
    _level("name_key_l = name_key_r", 0.58, 4e-4, rare="name_key"),
    _level(_either("same_name"), 0.13, 4e-4),
    _level(_either("near_name"), 0.14, 1e-3),
    _level("near_name(given_l, given_r)", 0.10, 2e-2),
    _level("near_name(family_l, family_r)", 0.02, 2e-2),
    _level("ELSE", 0.03, 0.95),
)
BIRTH = _comparison(
    "birth",
    "birth_date_l is null or birth_date_r is null",
    _level("birth_date_l = birth_date_r", 0.90, 5e-5),
    _level("near_date(birth_date_l, birth_date_r)", 0.07, 1e-3),
    _level("ELSE", 0.03, 0.999),
)
EMAIL = _comparison(
    "email",
    "email_l is null or email_r is null",
    _level("email_l = email_r", 0.60, 1e-5),
    _level("near_mail(email_l, email_r)", 0.05, 1e-5),
    _level("mailbox_l = mailbox_r and length(mailbox_l) >= 6", 0.05, 1e-5),
    _level("ELSE", 0.30, 0.99997),
)
PHONE = _comparison(
    "phone",
    "phone_l is null or phone_r is null",
    _level("phone_l = phone_r", 0.70, 1e-5),
    _level("ELSE", 0.30, 0.99999),
)
ADDRESS = _comparison(
    "address",
    "postcode_l is null or postcode_r is null",
    _level("postcode_l = postcode_r", 0.75, 1e-3, rare="postcode"),
    _level("city_l <> '' and city_l = city_r", 0.10, 0.05),
    _level("ELSE", 0.15, 0.95),
)
BLOCKS: list[dict[str, Any]] = [
    {"blocking_rule": "l.email = r.email"},
    {"blocking_rule": "l.phone = r.phone"},
    {"blocking_rule": "l.birth_date = r.birth_date and list_has_any(l.initials, r.initials)"},
    {"blocking_rule": "l.sound_key = r.sound_key and l.postcode = r.postcode"},
]
# Customers, of whose pairs u is learned; in a smaller register few pairs agree at all.
ENOUGH = 1_000


def probable(connection: DuckDBPyConnection, *, twice: float, least: float) -> str:
    """Compare the connection's `people`; the name of a table of the pairs at least so probable.

    `twice` is the share of customers thought to be there twice before anybody looks.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection)
    [number] = connection.execute("select count(*) from people").fetchone() or [0]
    model: SettingsCreator | dict[str, Any] = _settings(2 * twice / max(number, 2))
    if number >= ENOUGH:
        connection.execute(SQL["sample"].format(rows=ENOUGH))
        taught = Linker("sample", model, api, set_up_basic_logging=False)
        taught.training.estimate_u_using_random_sampling(max_pairs=ENOUGH**2)
        model = taught.misc.save_model_to_json()
    linker = Linker("people", model, api, set_up_basic_logging=False)
    found = linker.inference.predict(threshold_match_probability=least)
    return str(found.physical_name)


def _settings(prior: float) -> SettingsCreator:
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="customer_id",
        probability_two_random_records_match=prior,
        comparisons=[NAME, BIRTH, EMAIL, PHONE, ADDRESS],
        blocking_rules_to_generate_predictions=[*BLOCKS],
        retain_matching_columns=True,
        retain_intermediate_calculation_columns=False,
    )
