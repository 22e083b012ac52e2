"""`tessera voucher`: codes made, imported, listed and shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tessera.vouchers.terms import Terms
    from tessera.workspace import Workspace

Reward = Annotated[
    str, typer.Argument(metavar="REWARD", help="A reward of deployments/programme.yml.")
]
Batch = Annotated[str, typer.Option(help="What these codes are called together.")]


def register(app: typer.Typer) -> None:
    """Add `voucher` and what is below it to `app`."""
    group = typer.Typer(
        help="Vouchers: pools of codes, one code, real redemptions.", no_args_is_help=True
    )
    for command in (make, list_, show, withdraw):
        group.command(command.__name__.strip("_"))(command)
    group.command("import")(import_codes)
    group.command()(import_redemptions)
    app.add_typer(group, name="voucher")


def make(
    reward: Reward,
    count: Annotated[int, typer.Argument(min=1, max=10_000_000, help="How many.")],
    *,
    batch: Batch,
    to: Annotated[
        Path | None, typer.Option(help="Also write the codes to this file, to be printed.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make codes nobody can guess. Killed, it has made none.

    Example: tessera voucher make ten-percent 100000 --batch spring --to codes.txt
    """
    from tessera import audit, clock
    from tessera.errors import BadInput
    from tessera.vouchers import pool

    ws, terms = _reward(home, reward)
    if to and to.exists():
        raise BadInput(f"{to} is there already; name a new file.")
    with ws.store.write() as connection:
        if pool.has_batch(connection, reward, batch):
            raise BadInput(f"'{reward}' has a batch '{batch}' already; call this one otherwise.")
        made = pool.make(connection, reward, terms, count=count, batch=batch, at=clock.now())
        audit.record(ws, connection, "make vouchers", f"reward {reward}", batch=batch, codes=count)
        if to:
            pool.write_codes(to, made)
    said = {"reward": reward, "batch": batch, "codes": count}
    print_json(said) if as_json else typer.echo(f"{count:,} codes of '{reward}' are made.")


def import_codes(
    reward: Reward,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One code a line.")],
    *,
    batch: Batch,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take somebody else's codes into a reward's pool; those that are there already stay.

    Example: tessera voucher import coffee codes.csv --batch partner-2026
    """
    from tessera import audit, clock
    from tessera.vouchers import pool

    ws, terms = _reward(home, reward)
    found = pool.read_codes(file)
    with ws.store.write() as connection:
        new = pool.add(connection, reward, terms, found, batch=batch, at=clock.now())
        audit.record(ws, connection, "import vouchers", f"reward {reward}", batch=batch, codes=new)
    if as_json:
        print_json({"reward": reward, "batch": batch, "new": new, "codes": len(found)})
    else:
        typer.echo(f"{new:,} codes of '{reward}' are new, {len(found) - new:,} were there.")


def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The codes of every reward and batch, by what became of them.

    Example: tessera voucher list
    """
    from tessera.vouchers import pool
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = pool.summary(ws.store, at=ws.as_of, day=ws.business_date)
    print_json(found) if as_json else print_table(found)


def show(
    code: Annotated[str, typer.Argument(metavar="CODE", help="However it was typed.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """One code: what it is, until when, and where it was used.

    Example: tessera voucher show 7KQW-3H2M-9TZ46
    """
    from tessera.errors import BadInput
    from tessera.vouchers import codes, pool
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    found = pool.show(ws.store, code, at=ws.as_of, day=ws.business_date)
    if found is None:
        raise BadInput(f"There is no such code.{pool.slip(codes.tidy(code))}")
    used = pool.uses(ws.store, code)
    if as_json:
        print_json({**found, "redemptions": used})
        return
    print_table([found])
    if used:
        typer.echo("")
        print_table(used)


def withdraw(
    codes: Annotated[list[str], typer.Argument(metavar="CODE…", help="Codes.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have codes be worth nothing from now on.

    Example: tessera voucher withdraw 7KQW-3H2M-9TZ46
    """
    from tessera import audit, clock
    from tessera.vouchers import pool
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    with ws.store.write() as connection:
        gone = pool.withdraw(connection, codes, clock.now())
        audit.record(ws, connection, "withdraw vouchers", "vouchers", codes=gone)
    if as_json:
        print_json({"withdrawn": gone, "codes": len(codes)})
    else:
        typer.echo(f"{gone} of {len(codes)} codes were worth something until now.")


def import_redemptions(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet; gz or zst.")],
    *,
    reward: Annotated[str, typer.Option(help="The reward that its codes are of.")],
    code: Annotated[str, typer.Option(help="The column with the code.")] = "code",
    customer: Annotated[str, typer.Option(help="The column with the customer.")] = "customer_id",
    on: Annotated[str, typer.Option(help="The column with the day or instant.")] = "redeemed_at",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in redemptions that another system wrote down, each once however often it is imported.

    Example: tessera voucher import-redemptions coupon_redemptions.csv.gz --reward coupon
    --code coupon_upc --customer household_id --on redemption_date
    """
    from tessera.vouchers import history

    ws, terms = _reward(home, reward)
    done = history.take_in(ws, file, reward, terms, code=code, customer=customer, on=on)
    print_json(done) if as_json else print_table([vars(done)])


def _reward(home: Path | None, reward: str) -> tuple[Workspace, Terms]:
    from tessera.documents import nearest
    from tessera.errors import BadInput
    from tessera.reward.programme import FILE, load
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    known = {one.reward: one.voucher for one in load(ws.project).rewards}
    if reward not in known:
        raise BadInput(f"{FILE} has no reward '{reward}'.{nearest(reward, known)}")
    return ws, known[reward]
