-- Points that had ended come back, to be taken; the same text runs on SQLite and PostgreSQL. CROSS JOIN
-- makes SQLite begin with the few receipts asked for.

-- name: ask
-- Columns as those they are compared with, which on PostgreSQL are sorted by bytes.
create temporary table asked as
select
    account.owner_id as customer_id, transfer.source_id, transfer.rule, transfer.amount as points,
    transfer.effective_at
from account cross join transfer
limit 0

-- name: drop_asked
drop table asked

-- name: revive
-- As many as are taken of a receipt, as far as points that it gave have ended, whoever had them by then and
-- however often: lot by lot, to whoever gives them back.
insert into transfer (
    programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date, reverses, expires_at, expires_on
)
with ended as (
    select
        given.idem_key, given.source_id, given.rule, given.rule_version, lot.lot_id, lot.expires_at,
        lot.expires_on, -sum(lot_move.delta) as points
    from (select distinct source_id, rule from asked) as wanted
    cross join transfer as given
    inner join lot on given.transfer_id = lot.lot_id
    inner join lot_move on lot.lot_id = lot_move.lot_id
    inner join transfer as ending on lot_move.transfer_id = ending.transfer_id
    where
        given.source_id = wanted.source_id and given.source_type <> 'transfer'
        and given.source_type = 'receipt' and given.rule = wanted.rule
        and given.programme = :programme and ending.kind = 'expire'
    group by
        given.idem_key, given.source_id, given.rule, given.rule_version, lot.lot_id, lot.expires_at,
        lot.expires_on
),

before as (
    select ended.lot_id, count(*) as times, sum(earlier.amount) as points
    from ended cross join transfer as earlier
    where
        earlier.reverses = ended.idem_key and earlier.programme = :programme
        and earlier.kind = 'revive'
    group by ended.lot_id
),

supply as (
    select
        ended.*, coalesce(before.times, 0) as times,
        ended.points - coalesce(before.points, 0) as there,
        sum(ended.points - coalesce(before.points, 0)) over (
            partition by ended.source_id, ended.rule order by ended.lot_id
        ) as upto
    from ended left join before on ended.lot_id = before.lot_id
),

due as (
    select
        asked.*,
        sum(asked.points) over (
            partition by asked.source_id, asked.rule order by asked.customer_id
        ) as upto
    from asked
)

select
    :programme,
    'revive:' || supply.idem_key || ':' || (
        supply.times - 1 + row_number() over (partition by supply.lot_id order by due.customer_id)
    ),
    'revive', cast(:breakage as bigint), account.account_id,
    case when due.upto < supply.upto then due.upto else supply.upto end
    - case
        when due.upto - due.points > supply.upto - supply.there then due.upto - due.points
        else supply.upto - supply.there
    end,
    'receipt', supply.source_id, supply.rule, supply.rule_version, due.effective_at, :at,
    :business_date, supply.idem_key, supply.expires_at, supply.expires_on
from due
inner join supply on due.source_id = supply.source_id and due.rule = supply.rule
cross join account
where
    supply.upto > due.upto - due.points and supply.upto - supply.there < due.upto
    and supply.there > 0
    and account.owner_id = due.customer_id and account.programme = :programme
    and account.owner_type = 'member' and account.bucket = 'available'
order by supply.lot_id, due.customer_id
