-- The register as Splink compares it, in DuckDB, and what is made of its answer.

-- name: register
-- What each customer said of themselves last.
create table register as
select
    customer_id, given_name, family_name, email, phone, birth_date, country, city, postcode, joined_at
from read_parquet({files}, hive_partitioning = true, hive_types = {{'file_id': bigint}})
qualify row_number() over (partition by customer_id order by file_id desc) = 1

-- name: names
select distinct unnest([given_name, family_name, city]) as name from register

-- name: known
-- A value that many share says nothing of anybody: the shop's own number, the first of January.
create macro known(value, sharers, most) as case when sharers <= most then value end;

-- name: same
create macro same_name(a, b) as
    a.latin = b.latin
    or list_has_any(a.calls, b.calls)
    or (a.script <> b.script and a.sound = b.sound);

-- name: surely
-- Without the short forms of one script: twins may be an Anna and a Hannah.
create macro surely_same(a, b) as
    a.latin = b.latin
    or (a.script <> b.script and (a.sound = b.sound or list_has_any(a.calls, b.calls)));

-- name: near
-- Same but for a slip: a letter, two in a long name, one sound of another script, or a part left out.
create macro near_name(a, b) as
    same_name(a, b)
    or case
        -- The quick measure first: the exact one is dear.
        when jaro_winkler_similarity(a.latin, b.latin) >= 0.75
            then
                damerau_levenshtein(a.latin, b.latin)
                <= case when least(length(a.latin), length(b.latin)) >= 9 then 2 else 1 end
        else false
    end
    or (
        a.script <> b.script
        and greatest(length(a.sound), length(b.sound)) >= 3
        and levenshtein(a.sound, b.sound) <= 1
    )
    or (
        least(length(a.latin), length(b.latin)) >= 4
        and (contains(a.latin, b.latin) or contains(b.latin, a.latin))
    );

-- name: near_date
-- Day and month in the other order, or one digit wrong; what is cheap to ask comes first.
create macro near_date(a, b) as
    (year(a) = year(b) and day(a) = month(b) and month(a) = day(b))
    or (
        (year(a) = year(b))::int + (month(a) = month(b))::int + (day(a) = day(b))::int = 2
        and levenshtein(a::varchar, b::varchar) = 1
    );

-- name: near_mail
create macro near_mail(a, b) as
    jaro_winkler_similarity(a, b) >= 0.95 and damerau_levenshtein(a, b) = 1;

-- name: people
-- One row per customer; a name of which a half is missing is unknown. A telephone's number is its last
-- eight digits, a postcode's country is left out: what goes before is written in many ways.
create table people as
with cleaned as (
    select
        *,
        nullif(regexp_replace(lower(trim(email)), '\+[^@]*@', '@'), '') as mail,
        regexp_replace(phone, '[^0-9]', '', 'g') as digits,
        nullif(upper(regexp_replace(postcode, '[^A-Za-z0-9]', '', 'g')), '') as post
    from register
),

counted as (
    select
        *,
        count(*) over () as everybody,
        count(*) over (partition by mail) as mail_sharers,
        count(*) over (partition by right(digits, 8)) as phone_sharers,
        count(*) over (partition by birth_date) as birth_sharers
    from cleaned
)

select
    c.customer_id,
    {{'latin': g.latin, 'sound': g.sound, 'script': g.script, 'calls': g.calls}} as given,
    {{'latin': f.latin, 'sound': f.sound, 'script': f.script, 'calls': f.calls}} as family,
    case
        when g.latin <> '' and f.latin <> ''
            then array_to_string(list_sort([g.latin, f.latin]), ' ')
    end as name_key,
    case
        when name_key is not null then array_to_string(list_sort([g.sound, f.sound]), ' ')
    end as sound_key,
    [left(g.sound, 1), left(f.sound, 1)] as initials,
    count(*) over (partition by g.latin) as bearers,
    everybody,
    joined_at,
    known(c.mail, mail_sharers, {shared}) as email,
    split_part(known(c.mail, mail_sharers, {shared}), '@', 1) as mailbox,
    case when length(digits) >= 7 then known(right(digits, 8), phone_sharers, {shared}) end as phone,
    known(c.birth_date, birth_sharers, greatest({shared}, everybody // 500)) as birth_date,
    regexp_replace(post, '^[A-Z]{{1,2}}([0-9]{{4,5}})$', '\1') as postcode,
    coalesce(t.latin, '') as city
from counted as c
left join written as g on c.given_name = g.name
left join written as f on c.family_name = f.name
left join written as t on c.city = t.name

-- name: sample
-- Whom chances are learned from, whatever order the rows came in.
create table sample as
select * from people order by hash(customer_id), customer_id limit {rows}

-- name: slip
-- Of two names but for a letter, one that next to nobody has is the other, typed wrong; of Jan and Jana
-- both have bearers.
create macro is_slip(one, other) as
    near_name(one.given, other.given)
    and least(one.bearers, other.bearers) <= greatest(1, one.everybody // 100000)
    and greatest(one.bearers, other.bearers) >= 5 * least(one.bearers, other.bearers);

-- name: pairs
-- Of each pair what agrees: 2, nearly: 1, differs: 0, is unknown: null. Who joined first stays.
create table pair as
with met as (
    select
        *,
        (coalesce(a.joined_at, 'epoch'::timestamp), a.customer_id)
        <= (coalesce(b.joined_at, 'epoch'::timestamp), b.customer_id) as is_a_first,
        case when is_a_first then a else b end as kept,
        case when is_a_first then b else a end as other
    from {found} as found
    inner join people as a on found.customer_id_l = a.customer_id
    inner join people as b on found.customer_id_r = b.customer_id
)

select
    other.customer_id as customer_id,
    kept.customer_id as into_customer_id,
    round(match_probability, 6) as probability,
    other.joined_at as joined_at,
    kept.joined_at as into_joined_at,
    kept,
    other,
    gamma_name as likeness,
    {{
        'name': [0, 0, 1, 1, 2, 2][nullif(gamma_name, -1) + 1],
        'birth': nullif(gamma_birth, -1),
        'email': [0, 1, 1, 2][nullif(gamma_email, -1) + 1],
        'phone': 2 * nullif(gamma_phone, -1),
        'address': nullif(gamma_address, -1)
    }} as said
from met

-- name: verdicts
-- Merged is whoever was born on the same day, and is surely called the same, or so but for a slip or
-- another family name, and has an address in common. Never asked about: other names, but for another
-- given name and the same birthday; parents and children of one name who share a letter box only.
create table verdict as
with judged as (
    select
        *,
        surely_same(kept.given, other.given) as is_given,
        surely_same(kept.family, other.family) as is_family,
        coalesce(said.email = 2, false) or coalesce(said.phone = 2, false) as has_contact,
        (is_given and is_family)
        or (
            surely_same(kept.given, other.family) and surely_same(kept.family, other.given)
        ) as is_named_so
    from pair
)

select
    customer_id,
    into_customer_id,
    probability,
    case
        when
            (likeness between 0 and 1 and not (likeness = 1 and coalesce(said.birth = 2, false)))
            or (
                said.birth = 0
                and abs(year(kept.birth_date) - year(other.birth_date)) >= 12
                and not coalesce(said.phone = 2, false)
            )
            then 'never'
        when
            probability >= {automatic} and said.birth = 2
            and (
                (is_named_so and (has_contact or coalesce(said.address = 2, false)))
                or (is_given and has_contact)
                or (is_slip(kept, other) and is_family and has_contact)
            )
            then 'automatic'
        else 'review'
    end as verdict,
    {agrees} as agrees,
    {nearly} as nearly,
    {differs} as differs,
    joined_at,
    into_joined_at
from judged
where verdict <> 'never'
order by probability desc, customer_id, into_customer_id

-- name: told
select
    customer_id,
    concat_ws(' ', given_name, family_name) as name,
    birth_date::varchar as birth_date,
    email,
    phone,
    concat_ws(' ', postcode, city) as address,
    joined_at::date::varchar as joined_on
from register
where customer_id in (select unnest($ids))
