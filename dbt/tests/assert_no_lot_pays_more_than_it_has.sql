-- Nor gets back more than it paid; and every move is of a lot and of a transfer that are there.
with moves as (
    select
        moves.programme,
        moves.lot_key,
        sum(moves.delta) as points,
        count(*) - count(transfers.idem_key) as without_transfer
    from {{ ref("stg_engine__lot_moves") }} as moves
    left join {{ ref("stg_engine__point_transfers") }} as transfers
        on moves.programme = transfers.programme and moves.idem_key = transfers.idem_key
    group by moves.programme, moves.lot_key
)

select
    moves.programme,
    moves.lot_key
from moves
left join {{ ref("stg_engine__lots") }} as lots
    on moves.programme = lots.programme and moves.lot_key = lots.idem_key
where
    lots.idem_key is null
    or lots.amount + moves.points not between 0 and lots.amount
    or moves.without_transfer > 0
