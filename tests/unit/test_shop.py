"""The made-up shop: the same bytes, keys that hold, and a rhythm that is really there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.errors import BadInput
from tessera.shop import make_shop
from tessera.shop.calendar import default_start, periods
from tessera.shop.shop import Format

KEYS = {
    "stores": "store_no",
    "products": "article_no",
    "customers": "member_no",
    "cards": "card_no",
    "consents": "member_no, channel, purpose, answered",
    "prospects": "lead_no",
    "interactions": "entry_no",
    "source_costs": "how_found, month_from",
    "targets": "measure, level, level_key, from_day",
    "receipts_*": "receipt_no, line_no",
}


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below `folder` with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def small(folder: Path, *, seed: int = 1, threads: int = 2, file_format: Format = "csv") -> Path:
    make_shop(
        folder,
        customers=150,
        days=70,
        seed=seed,
        defect_share=0.02,
        file_format=file_format,
        threads=threads,
    )
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of 1,200 customers, all rows good."""
    folder = tmp_path_factory.mktemp("shops") / "shop"
    make_shop(folder, customers=1_200, days=365, seed=7)
    return folder


@pytest.fixture(scope="module")
def db(shop: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A table per kind of file, and per truth."""
    with duckdb.connect() as connection:
        for name in KEYS:
            table = name.removesuffix("_*")
            connection.execute(
                f"create table {table} as from read_csv('{shop}/{name}.csv', delim=';')"
            )
        for path in (shop / "truth").glob("*.csv"):
            connection.execute(f"create table {path.stem} as from read_csv('{path}')")
        yield connection


def one(db: duckdb.DuckDBPyConnection, query: str) -> float:
    [value] = db.execute(query).fetchone() or [None]
    return value


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_the_same_arguments_give_the_same_bytes_on_any_number_of_threads(
    tmp_path: Path, file_format: Format
) -> None:
    once = small(tmp_path / "once", file_format=file_format, threads=1)
    again = small(tmp_path / "again", file_format=file_format, threads=4)
    assert fingerprint(once) == fingerprint(again)


def test_another_seed_is_another_shop(tmp_path: Path) -> None:
    one_shop, other = fingerprint(small(tmp_path / "a")), fingerprint(small(tmp_path / "b", seed=2))
    assert set(one_shop) == set(other)
    assert one_shop["customers.csv"] != other["customers.csv"]
    assert one_shop["receipts_2025-01.csv"] != other["receipts_2025-01.csv"]
    assert one_shop["truth/rhythms.csv"] != other["truth/rhythms.csv"]


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_a_key_stands_once(db: duckdb.DuckDBPyConnection, name: str, key: str) -> None:
    table = name.removesuffix("_*")
    assert one(db, f"select count(*) from {table}") > 0
    assert one(db, f"select count(*) - count(distinct ({key})) from {table}") == 0


@pytest.mark.parametrize(
    ("child", "column", "parent", "key"),
    [
        ("receipts", "card_no", "cards", "card_no"),
        ("receipts", "store_no", "stores", "store_no"),
        ("receipts", "article_no", "products", "article_no"),
        ("cards", "member_no", "customers", "member_no"),
        ("cards", "replaced_by", "cards", "card_no"),
        ("consents", "member_no", "customers", "member_no"),
        ("customers", "main_store", "stores", "store_no"),
        ("interactions", "member_no", "customers", "member_no"),
        ("interactions", "lead_no", "prospects", "lead_no"),
        ("customers", "member_no", "rhythms", "customer_id"),
        ("customers", "member_no", "true_households", "customer_id"),
        ("won_prospects", "prospect_id", "prospects", "lead_no"),
    ],
)
def test_what_a_row_refers_to_is_there(
    db: duckdb.DuckDBPyConnection, child: str, column: str, parent: str, key: str
) -> None:
    assert one(db, f"select count({column}) from {child}") > 0
    missing = (
        f"select count({column}) from {child} where {column} not in (select {key} from {parent})"
    )
    assert one(db, missing) == 0


def test_a_return_comes_after_its_sale_and_is_no_more_than_was_sold(
    db: duckdb.DuckDBPyConnection,
) -> None:
    returned = """
        select refers_to, article_no, -sum(qty) as qty, -sum(paid) as paid, min(till_time) as at_time
        from receipts where type = 'R' group by all"""
    sold = """
        select receipt_no, article_no, sum(qty) as qty, sum(paid) as paid, max(till_time) as at_time
        from receipts where type = 'S' group by all"""
    pairs = f"""({returned}) as r left join ({sold}) as s
        on s.receipt_no = r.refers_to and s.article_no = r.article_no"""
    assert one(db, f"select count(*) from {pairs}") > 100
    unfounded = "s.receipt_no is null or r.qty > s.qty or r.paid > s.paid or r.at_time <= s.at_time"
    assert one(db, f"select count(*) from {pairs} where {unfounded}") == 0
    assert 0.005 < one(db, "select avg((type = 'R')::integer) from receipts") < 0.03


def test_sales_give_and_returns_take_back(db: duckdb.DuckDBPyConnection) -> None:
    wrong = """select count(*) from receipts where saved < 0
        or case type when 'S' then qty <= 0 or paid <= 0 else qty >= 0 or paid >= 0 end"""
    assert one(db, wrong) == 0


def test_a_card_is_used_only_while_it_is_live(db: duckdb.DuckDBPyConnection) -> None:
    used = "receipts join cards using (card_no)"
    assert (
        one(db, f"select count(*) from {used} where till_time < issued or till_time > blocked") == 0
    )
    assert one(db, f"select count(*) from {used} where blocked is not null") > 0
    assert one(db, "select count(*) from cards where replaced_by is not null") > 10


def test_some_lines_have_no_card(db: duckdb.DuckDBPyConnection) -> None:
    assert 0.05 < one(db, "select avg((card_no is null)::integer) from receipts") < 0.25


def test_lines_are_about_fifty_a_customer_and_year_in_small_skewed_baskets(
    db: duckdb.DuckDBPyConnection,
) -> None:
    assert 40 < one(db, "select count(*) / 1200 from receipts where type = 'S'") < 60
    baskets = "(select count(*) as n from receipts where type = 'S' group by receipt_no)"
    assert one(db, f"select quantile_disc(n, 0.9) from {baskets}") <= 9
    assert 3 < one(db, f"select avg(n) from {baskets}") < 5
    by_card = "(select count(*) as n from receipts where card_no is not null group by card_no)"
    assert one(db, f"select avg(n) / median(n) from {by_card}") > 1.3


def test_prices_end_in_nine(db: duckdb.DuckDBPyConnection) -> None:
    assert (
        one(db, "select count(*) from products where (shelf_price * 100)::integer % 10 <> 9") == 0
    )
    assert one(db, "select count(*) from products where margin <= 0 or margin >= shelf_price") == 0


def test_customers_live_in_six_languages_and_their_own_scripts(
    db: duckdb.DuckDBPyConnection,
) -> None:
    found = db.execute(
        "select distinct preferred_language[:2] from customers order by 1"
    ).fetchall()
    assert [language for [language] in found] == ["de", "el", "en", "fa", "lv", "ru"]
    scripts = {"el": "Greek", "ru": "Cyrillic", "fa": "Arabic"}
    for language, script in scripts.items():
        foreign = f"""select count(*) from customers where preferred_language[:2] = '{language}'
            and not regexp_full_match(first_name || surname, '[\\p{{{script}}}\u200c]+')"""
        assert one(db, foreign) == 0
    assert (
        one(db, "select count(*) from customers where date_of_birth::varchar like '%-02-29'") >= 4
    )


def test_addresses_belong_to_nobody(db: duckdb.DuckDBPyConnection) -> None:
    for people in ("customers", "prospects"):
        real = f"""select count(*) from {people} where not
            regexp_full_match(email_address, '[a-z]+\\.[a-z]+\\.p?[0-9]+@example\\.(com|net|org)')"""
        assert one(db, real) == 0
        assert one(db, f"select count(*) from {people} where mobile not like '+%000%'") == 0


def test_consents_are_granted_and_withdrawn(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute("select distinct channel, purpose, answer from consents order by all")
    assert found.fetchall() == [
        (channel, "marketing", answer) for channel in ("email", "sms") for answer in ("N", "Y")
    ]
    early = "consents join customers using (member_no) where answered < member_since"
    assert one(db, f"select count(*) from {early}") == 0
    withdrawn = """select count(*) from consents as a join consents as b using (member_no, channel)
        where a.answer = 'Y' and b.answer = 'N' and b.answered > a.answered"""
    assert one(db, withdrawn) > 20


def test_people_complain_praise_and_answer_in_their_language(
    db: duckdb.DuckDBPyConnection,
) -> None:
    kinds = db.execute("select distinct type from interactions order by 1").fetchall()
    assert kinds == [("complaint",), ("contact",), ("review",), ("survey",)]
    assert one(db, "select count(distinct state) from interactions where type = 'complaint'") == 2
    assert one(db, "select count(*) from interactions where score not between 0 and 10") == 0
    persian = "interactions join customers using (member_no) where preferred_language = 'fa'"
    assert one(db, f"select count(text) from {persian}") > 0
    assert one(db, f"select count(*) from {persian} and text similar to '.*[a-z].*'") == 0


def test_nothing_happens_outside_the_span(db: duckdb.DuckDBPyConnection) -> None:
    assert one(db, "select min(till_time)::date::varchar from receipts") == "2025-01-01"
    assert one(db, "select max(till_time)::date::varchar from receipts") == "2025-12-31"
    last = "greatest(max(answered), (select max(at_time) from interactions))::date::varchar"
    assert one(db, f"select {last} from consents") <= "2025-12-31"


def test_a_favourite_category_is_bought_above_chance(db: duckdb.DuckDBPyConnection) -> None:
    bought = """receipts join cards using (card_no) join products using (article_no)
        join rhythms on rhythms.customer_id = cards.member_no"""
    favourite = one(db, f"select avg((department = favourite_category)::integer) from {bought}")
    by_chance = one(
        db,
        f"""with shares as (select department, count(*) / sum(count(*)) over () as share
                from receipts join products using (article_no) group by department)
            select avg(share) from {bought} join shares on shares.department = favourite_category""",
    )
    assert favourite > 3 * by_chance


def test_the_true_interval_is_the_one_seen(db: duckdb.DuckDBPyConnection) -> None:
    seen = """select customer_id, interval_days, count(distinct receipt_no) as receipts
        from receipts join cards using (card_no) join rhythms on customer_id = member_no
        where type = 'S' and joined_on < '2025-01-01' and churned_at is null group by all"""
    assert one(db, f"select corr(ln(interval_days), ln(receipts)) from ({seen})") < -0.85


def test_those_who_churned_stop_buying(db: duckdb.DuckDBPyConnection) -> None:
    bought = "receipts join cards using (card_no) join rhythms on customer_id = member_no"
    late = f"select count(*) from {bought} where type = 'S' and till_time::date >= churned_at"
    assert one(db, late) == 0
    assert 0.1 < one(db, "select avg((churned_at is not null)::integer) from rhythms") < 0.5


def test_weekdays_and_seasons_show(db: duckdb.DuckDBPyConnection) -> None:
    assert (
        one(
            db,
            """select count(*) from receipts where isodow(till_time) = 7
        and store_no <> 'WEB'""",
        )
        == 0
    )
    per_month = "(select month(till_time) as m, count(*) as n from receipts group by m)"
    assert one(db, f"select max_by(m, n) from {per_month}") == 12
    on_their_day = """select avg((isodow(till_time) = iso_weekday)::integer)
        from receipts join cards using (card_no) join rhythms on customer_id = member_no
        where iso_weekday < 6 and weekday_habit > 0.6"""
    assert one(db, on_their_day) > 0.5


def test_a_posted_coupon_moves_as_many_as_the_truth_says(db: duckdb.DuckDBPyConnection) -> None:
    expected, came, posted = db.execute(
        """select sum(discount_uplift), sum(came_because_of_it::integer), count(*)
        from offers join rhythms using (customer_id)"""
    ).fetchone() or (0, 0, 0)
    assert posted > 500
    assert abs(came - expected) < 4 * expected**0.5
    with_coupon = "select count(distinct receipt_no) from receipts where coupon like 'POST10-%'"
    assert 0.8 * came < one(db, with_coupon) <= came


def test_a_month_that_is_hardly_there_joins_its_neighbour() -> None:
    names = [(p.name, p.from_day, p.to_day) for p in periods(date(2025, 1, 25), 40)]
    assert names == [("2025-01", 0, 40)]
    whole = [(p.name, p.from_day, p.to_day) for p in periods(date(2025, 1, 1), 60)]
    assert whole == [("2025-01", 0, 31), ("2025-02", 31, 60)]
    assert [p.name for p in periods(date(2025, 1, 1), 365)][-1] == "2025-12"
    assert [(p.from_day, p.to_day) for p in periods(date(2025, 3, 31), 1)] == [(0, 1)]


def test_the_shop_never_reaches_into_the_future() -> None:
    assert default_start(90) == default_start(365) == date(2025, 1, 1)
    assert default_start(730) == date(2024, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"customers": 0}, "--customers 0"),
        ({"days": 0}, "--days 0"),
        ({"defect_share": 0.6}, "--defects 0.6"),
        ({"defect_share": float("nan")}, "--defects nan"),
        ({"start": date(1980, 1, 1)}, "--start 1980-01-01"),
    ],
)
def test_numbers_that_make_no_sense_are_said(
    tmp_path: Path, arguments: dict[str, object], said: str
) -> None:
    given = {"customers": 10, "days": 10, "seed": 1, **arguments}
    with pytest.raises(BadInput, match=said):
        make_shop(tmp_path / "shop", **given)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(BadInput, match="not empty"):
        make_shop(tmp_path, customers=10, days=10, seed=1)
    with pytest.raises(BadInput, match="is a file"):
        make_shop(tmp_path / "mine.txt", customers=10, days=10, seed=1)
    with pytest.raises(BadInput, match="cannot be made"):
        make_shop(tmp_path / "mine.txt" / "shop", customers=10, days=10, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_shop_that_could_not_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, _files: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_shop(tmp_path / "shop", customers=10, days=10, seed=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_of_two_runs_at_once_the_slower_is_refused(tmp_path: Path) -> None:
    def overtake(done: int, _files: int) -> None:
        if done == 5:
            make_shop(tmp_path / "shop", customers=10, days=10, seed=1)

    with pytest.raises(BadInput, match="not empty"):
        make_shop(tmp_path / "shop", customers=10, days=10, seed=2, progress=overtake)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_killed_run_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "shop" / ".shop.making-x" / ".spill").mkdir(parents=True)
    made = make_shop(tmp_path / "shop", customers=10, days=10, seed=1)
    assert (made.directory / "customers.csv").exists()


def test_the_smallest_shop_can_be_made_in_an_empty_folder(tmp_path: Path) -> None:
    made = make_shop(tmp_path, customers=1, days=1, seed=1, defect_share=0.5)
    assert made.rows["customers"] == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_command_prints_what_it_made(tmp_path: Path) -> None:
    given = ["make-shop", str(tmp_path / "my shop"), "--customers", "50", "--days", "20"]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0
    assert f"tessera land made_up_shop '{tmp_path}/my shop'\n" in said.output
    refused = CliRunner().invoke(app, [*given, "--start", "tomorrow"])
    assert isinstance(refused.exception, BadInput)


def test_who_registers_twice_is_listed_and_shows_either_card(tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    make_shop(folder, customers=600, days=60, seed=3, duplicates=0.1)
    assert not list((small(tmp_path / "once") / "truth").glob("duplicates*"))
    with duckdb.connect() as db:
        for path in [*folder.glob("*.csv"), folder / "truth" / "duplicates.csv"]:
            delimiter = "," if path.parent.name == "truth" else ";"
            db.execute(
                f"create table \"{path.stem}\" as from read_csv('{path}', delim = '{delimiter}')"
            )
        assert one(db, "select count(*) from customers") == 600 + one(
            db, "select count(*) from duplicates"
        )
        assert 40 < one(db, "select count(*) from duplicates") < 80
        assert one(db, "select count(distinct kind) from duplicates") == 6
        both = """duplicates as d join customers as again on d.customer_id = again.member_no
            join customers as first on d.duplicate_of = first.member_no"""
        assert (
            one(db, f"select count(*) from {both} where again.member_since < first.member_since")
            < 5
        )
        same = "(again.first_name, again.surname) = (first.first_name, first.surname)"
        assert one(db, f"select count(*) from {both} where kind = 'moved' and not {same}") == 0
        spelt = f"kind = 'script' and first.preferred_language[:2] in ('el', 'ru', 'fa') and {same}"
        assert one(db, f"select count(*) from {both} where {spelt}") == 0
        used = """"receipts_2025-01" join cards using (card_no)
            join duplicates on cards.member_no = {}"""
        for side in ("customer_id", "duplicate_of"):
            assert one(db, f"select count(*) from {used.format(side)}") > 20


@pytest.mark.parametrize("share", [-0.1, 0.6])
def test_a_share_of_duplicates_that_makes_no_sense_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(BadInput, match="--duplicates"):
        make_shop(tmp_path / "shop", customers=10, days=1, seed=1, duplicates=share)
