-- All chance is a hash of the seed, a purpose and an id, so that a row comes out the same whichever
-- thread, order or month makes it. Variables: seed, customers, days, start.

-- name: draw
-- 64 random bits. The outer hash undoes the linear way two hashes are combined.
create macro draw(purpose, id) as
    hash(xor(hash(id::ubigint), hash(purpose || getvariable('seed')::varchar)));

-- name: chance
-- Evenly spread in [0, 1).
create macro chance(purpose, id) as
    (draw(purpose, id) >> 11)::double * 1.1102230246251565e-16;

-- name: pick
-- A whole number from 0 to n - 1.
create macro pick(purpose, id, n) as (draw(purpose, id) % n::ubigint)::bigint;

-- name: one_of
create macro one_of(purpose, id, things) as things[1 + pick(purpose, id, len(things))];

-- name: bell
-- Normal, mean 0 and deviation 1.
create macro bell(purpose, id) as
    sqrt(-2 * ln(1 - chance(purpose || ' radius', id)))
    * cos(2 * pi() * chance(purpose || ' angle', id));

-- name: scrambled
-- A number below 10^digits that no other id has: the factor shares no divisor with ten.
create macro scrambled(id, digits) as
    (id::bigint * 7368787 + 40503) % (10 ** digits)::bigint;

-- name: padded
create macro padded(number, digits) as lpad(number::varchar, digits, '0');

-- name: day_date
create macro day_date(day) as getvariable('start')::date + day::integer;

-- name: at_time
-- The local time on `day` (0 is the shop's first), some moment of the `hours` from `opening` on.
create macro at_time(purpose, id, day, opening, hours) as
    day_date(day)::timestamp + to_seconds(opening * 3600 + pick(purpose, id, hours * 3600));

-- name: euros
create macro euros(cents) as (cents::integer * 0.01)::decimal(12, 2);
