-- name: merged
-- Also cards that were their own customers until they were registered. What a merge joined that was undone is
-- in the ledger until the night. And by which card of a till's they were somebody's friend, or have a code.
select customer_id, into_customer_id from person_merge where is_in_force = 1
union
select customer_id, into_customer_id from points_merge
where customer_id not in (select customer_id from person_merge)
union
select referral.customer_id, card.customer_id
from referral inner join card on referral.customer_id = card.card_id
where card.origin = 'till'
union
select referral_code.customer_id, card.customer_id
from referral_code inner join card on referral_code.customer_id = card.card_id
where card.customer_id <> card.card_id

-- name: became
-- DuckDB, the marts.
select into_customer_id from known_as where customer_id = $1

-- name: emails
-- DuckDB, the marts.
select email from customers where customer_id in (select unnest($1)) and trim(email) <> ''

-- name: send_keys
select send_key from outbox where customer_id = :customer_id

-- name: tills_cards
select card_id from card where customer_id = :customer_id

-- name: theirs
-- DuckDB. Whom we look for, as `tessera.land.erased` has it.
insert into theirs select * from who

-- name: registered
-- DuckDB. What the customers feed ever said of them.
select distinct given_name, family_name, email, phone from read_parquet({files})
where customer_id in (select value from theirs where kind = 'customer')

-- name: prospects
-- DuckDB. The prospects they are, by key or by address.
select distinct prospect_id, given_name, family_name, email, phone from read_parquet({files})
where
    prospect_id in (select value from theirs where kind = 'prospect')
    or lower(trim(email)) in (select value from theirs where kind = 'email')

-- name: cards
-- DuckDB. The cards whose latest row names them; one that changed hands is somebody else's now.
select card_id from read_parquet({files}, hive_partitioning = true, hive_types = {{'file_id': bigint}})
group by card_id
having arg_max(customer_id, (file_id, _row_number)) in (
    select value from theirs where kind = 'customer'
)

-- name: own_card
-- DuckDB. A customer without a row in the cards feed may be a card.
select distinct card_id from read_parquet({files})
where card_id in (select value from theirs where kind = 'customer')

-- name: card_owners
-- DuckDB. The marts follow replacements.
select card_id from card_owners
where customer_id in (select value from theirs where kind = 'customer')

-- name: others_cards
-- DuckDB.
select distinct card_id from read_parquet({files})
where customer_id not in (select value from theirs where kind = 'customer')

-- name: messages
-- DuckDB.
select distinct send_key from read_parquet({files})
where customer_id in (select value from theirs where kind = 'customer')
