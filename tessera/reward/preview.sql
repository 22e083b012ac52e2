-- One basket as the night's rules will see its receipt. DuckDB.

-- name: tables
create table transactions (
    transaction_id varchar, line_id varchar, original_transaction_id varchar, customer_id varchar,
    kind varchar, currency varchar, store_id varchar, product_id varchar, amount bigint,
    quantity bigint, sold_at timestamp, file_id bigint
);
create table products (product_id varchar, category varchar, brand varchar);
create table customers (customer_id varchar, birth_date date);
create table known_tier (customer_id varchar, tier varchar);
create table given_before (customer_id varchar, rule varchar, origin varchar, points bigint);
create table seen_file as select 0 as file_id;

-- name: worth
-- Not as a prepared statement: its plan would keep what was concluded of the tables when they were empty.
select rule, points from due where points > 0

-- name: forget
truncate transactions;
truncate products;
truncate customers;
truncate known_tier;

-- name: basket
insert into transactions
select
    'basket', line_id, null, $customer_id, 'sale', $currency, $store_id, product_id, amount,
    quantity, cast($at as timestamp), 1
from (
    select
        unnest(range(len($products))) as line_id,
        unnest(cast($products as varchar[])) as product_id,
        unnest(cast($amounts as bigint[])) as amount,
        unnest(cast($quantities as bigint[])) as quantity
)

-- name: tier
insert into known_tier values ($customer_id, $tier)

-- name: products
insert into products
select product_id, category, brand
from read_parquet($files)
where list_contains(cast($products as varchar[]), product_id)

-- name: customer
insert into customers
select customer_id, birth_date from read_parquet($files) where customer_id = $customer_id

-- name: earlier
-- That the customer has bought before, no matter when.
insert into transactions (transaction_id, customer_id, kind, sold_at, file_id)
select '-', customer_id, 'sale', timestamp '0001-01-01', 0
from read_parquet($files)
where customer_id = $customer_id and first_purchase_at is not null
