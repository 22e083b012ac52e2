-- name: zones
-- To ask DuckDB for them each time takes as long as a small file.
create temp table known_zone as select name from pg_timezone_names();

-- name: macros
-- What a value means in each type of a feed. A macro gives null for what is not of its type; the
-- caller then keeps the text. Numbers go through DECIMAL, never through a float.
--
-- Most values take the first branch of their macro. It is there for speed: trimming, normalising
-- and DECIMAL(38) cost ten times as much as the look that shows they are not needed.

-- Letters below U+0300 are as NFC wants them. NUL is no text, and PostgreSQL would not take it.
create or replace macro as_text(v) as
    case
        when regexp_matches(v, '^$|^[\s\x{A0}\x{FEFF}]|[\s\x{A0}]$|\x00|[\x{300}-\x{10FFFF}]')
            then nullif(trim(nfc_normalize(replace(v, chr(0), '')), E' \t\r\n\f\v' || chr(160) || chr(65279)), '')
        else v
    end;

-- Whole numbers with gaps among them are floating point in many an export, and a card's number must not
-- be another text for that. Beyond 2^53 they are not exact, and stay as they are.
create or replace macro floating_text(v) as
    case
        when v = trunc(v) and abs(v) < 9007199254740992 then cast(cast(v as bigint) as varchar)
        else cast(v as varchar)
    end;

-- DuckDB also reads 1_000; an export that says so is mistaken. Eighteen decimals are enough for
-- anybody, and leave room for a BIGINT before the point.
create or replace macro as_decimal(t) as
    case
        when regexp_full_match(t, '[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?')
            then try_cast(t as decimal(38, 18))
    end;

create or replace macro whole(d) as case when d = trunc(d) then try_cast(d as bigint) end;

create or replace macro as_integer(v) as
    case
        when regexp_full_match(v, '[+-]?\d{1,18}') then try_cast(v as bigint)
        else whole(as_decimal(as_text(v)))
    end;

create or replace macro as_quantity(v) as
    case
        when regexp_full_match(v, '[+-]?\d{1,14}(\.\d*)?') then try_cast(v as decimal(18, 3))
        else try_cast(as_decimal(as_text(v)) as decimal(18, 3))
    end;

-- Half away from zero. The exponents of ISO 4217 are 0, 2, 3 and 4.
create or replace macro minor(d, exponent) as
    case exponent
        when 2 then try_cast(try_cast(round(d, 2) as decimal(21, 2)) * 100 as bigint)
        when 0 then try_cast(round(d, 0) as bigint)
        when 3 then try_cast(try_cast(round(d, 3) as decimal(22, 3)) * 1000 as bigint)
        when 4 then try_cast(try_cast(round(d, 4) as decimal(23, 4)) * 10000 as bigint)
    end;

create or replace macro small_minor(d, exponent) as
    case
        when exponent = 2
            then try_cast(try_cast(round(d, 2) as decimal(15, 2)) * 100::decimal(3) as bigint)
        else minor(d, exponent)
    end;

create or replace macro as_minor(v, exponent) as
    case
        when regexp_full_match(v, '[+-]?\d{1,12}(\.\d{0,6})?')
            then small_minor(try_cast(v as decimal(18, 6)), exponent)
        else minor(as_decimal(as_text(v)), exponent)
    end;

create or replace macro exact_minor(d, exponent) as
    coalesce(
        small_minor(try_cast(d as decimal(18, 6)), exponent),
        minor(try_cast(d as decimal(38, 18)), exponent)
    );

create or replace macro as_boolean(v) as
    case
        when lower(as_text(v)) in ('true', 't', 'yes', 'y', '1') then true
        when lower(as_text(v)) in ('false', 'f', 'no', 'n', '0') then false
    end;

create or replace macro date_of(t) as
    case
        when regexp_full_match(t, '\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}.*)?')
            then try_cast(try_cast(t as timestamp) as date)
    end;

create or replace macro as_date(v) as
    case
        when regexp_full_match(v, '\d{4}-\d\d-\d\d') then try_cast(v as date)
        else date_of(as_text(v))
    end;

-- A wall clock time in `zone`, as UTC. A time that the clocks skip in spring is taken an hour
-- later, one that they repeat in autumn the second time.
create or replace macro in_utc(instant) as make_timestamp(epoch_us(instant));

-- A column of times can hold some beyond the years of any calendar, and DuckDB stops at a few of them: no
-- retailer's receipt is of one.
create or replace macro known_time(v) as
    case
        when try_cast(v as timestamp) between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'
            then try_cast(v as timestamp)
    end;

create or replace macro known_instant(v) as
    case when v between timestamptz '0001-01-02 00:00:00Z' and timestamptz '9999-12-30 00:00:00Z' then v end;

create or replace macro time_text(v) as
    case when v is not null then coalesce(try(cast(v as varchar)), 'beyond all years') end;

create or replace macro as_utc(local, zone) as in_utc(timezone(zone, local));

-- A text that names its own offset is an instant whatever the zone; DuckDB's cast to TIMESTAMP
-- would drop the offset, and that to TIMESTAMPTZ wants seconds before it and no space.
create or replace macro with_offset(t) as
    regexp_replace(
        regexp_replace(upper(t), '\s*(Z|UTC|[+-]\d\d(:?\d\d)?)$', '\1'),
        '([T ]\d{1,2}:\d\d)([ZU+-].*)$', '\1:00\2'
    );

create or replace macro moment_of(t, zone) as
    case
        when regexp_full_match(t, '\d{4}[-/][\d/-]+([T ][\d:. ]+)?')
            then as_utc(try_cast(t as timestamp), zone)
        when regexp_full_match(t, '\d{4}-.*:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)')
            then in_utc(try_cast(t as timestamptz))
        when regexp_full_match(t, '(?i)\d{4}[-/].*\d:\d\d(\.\d+)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)')
            then in_utc(try_cast(with_offset(t) as timestamptz))
    end;

create or replace macro as_moment(v, zone) as
    case
        when regexp_full_match(v, '\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?')
            then as_utc(try_cast(v as timestamp), zone)
        else moment_of(as_text(v), zone)
    end;

create or replace macro undamaged(t) as case when not contains(t, chr(65533) || '<') then t end;

create or replace macro raw_text(entries) as
    map_from_entries(list_filter(entries, lambda e: e.value is not null));
