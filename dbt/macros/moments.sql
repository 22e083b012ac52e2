{# The instant and the day that a build acts as of. #}

{% macro as_of() -%}
    cast('{{ var("as_of") }}' as timestamp)
{%- endmacro %}

{% macro business_date() -%}
    cast('{{ var("business_date") }}' as date)
{%- endmacro %}

{# The instant that the last build acted as of. #}
{% macro known_as_of() -%}
    cast('{{ var("known_as_of") or var("as_of") }}' as timestamp)
{%- endmacro %}

{# The two ends of the time between the last build's as_of and this one's, whichever came first. #}
{% macro turned_from() -%}
    cast('{{ [var("known_as_of"), var("as_of")] | min }}' as timestamp)
{%- endmacro %}

{% macro turned_until() -%}
    cast('{{ [var("known_as_of"), var("as_of")] | max }}' as timestamp)
{%- endmacro %}

{% macro days_between(first_date, second_date) -%}
    {{ dbt.datediff(first_date, second_date, "day") }}
{%- endmacro %}

{% macro months_between(first_date, second_date) -%}
    {{ dbt.datediff(first_date, second_date, "month") }}
{%- endmacro %}

{% macro days_after(date, days) -%}
    cast({{ dbt.dateadd("day", days, date) }} as date)
{%- endmacro %}

{% macro instant_days_after(instant, days) -%}
    {{ dbt.dateadd("day", days, instant) }}
{%- endmacro %}

{# The calendar date in the shop's zone at a UTC instant. #}
{% macro local_date(instant) -%}
    {{ return(adapter.dispatch("local_date", "tessera")(instant)) }}
{%- endmacro %}

{% macro duckdb__local_date(instant) -%}
    cast(timezone('{{ var("timezone") }}', timezone('UTC', {{ instant }})) as date)
{%- endmacro %}

{% macro spark__local_date(instant) -%}
    to_date(from_utc_timestamp({{ instant }}, '{{ var("timezone") }}'))
{%- endmacro %}

{# The hour of the day, from 0, that clocks in the zone show at a UTC instant. #}
{% macro hour_in(instant, zone) -%}
    {{ return(adapter.dispatch("hour_in", "tessera")(instant, zone)) }}
{%- endmacro %}

{% macro duckdb__hour_in(instant, zone) -%}
    hour(timezone({{ zone }}, timezone('UTC', {{ instant }})))
{%- endmacro %}

{% macro spark__hour_in(instant, zone) -%}
    hour(from_utc_timestamp({{ instant }}, {{ zone }}))
{%- endmacro %}

{# The quarter of an hour an instant falls in. Days begin on one in every zone, so that the date
   need only be worked out once for each quarter, which is some 50 times less work. #}
{% macro quarter_hour(instant) -%}
    {{ return(adapter.dispatch("quarter_hour", "tessera")(instant)) }}
{%- endmacro %}

{% macro duckdb__quarter_hour(instant) -%}
    time_bucket(interval '15 minutes', {{ instant }})
{%- endmacro %}

{% macro spark__quarter_hour(instant) -%}
    timestamp_seconds(floor(unix_timestamp({{ instant }}) / 900) * 900)
{%- endmacro %}

{# The Monday of the date's week. #}
{% macro monday_of(date) -%}
    cast({{ dbt.date_trunc("week", date) }} as date)
{%- endmacro %}

{# The first day of the month that comes so many months after the date's own. #}
{% macro month_after(date, months) -%}
    cast({{ dbt.dateadd("month", months, month_of(date)) }} as date)
{%- endmacro %}

{# The first day of a date's month. #}
{% macro month_of(date) -%}
    cast({{ dbt.date_trunc("month", date) }} as date)
{%- endmacro %}

{# A row for each month from that of one date to that of another: its first day. #}
{% macro months_from(first_date, last_date) -%}
    {{ return(adapter.dispatch("months_from", "tessera")(month_of(first_date), month_of(last_date))) }}
{%- endmacro %}

{% macro duckdb__months_from(first_month, last_month) -%}
    cast(unnest(generate_series({{ first_month }}, {{ last_month }}, interval '1 month')) as date)
{%- endmacro %}

{% macro spark__months_from(first_month, last_month) -%}
    explode(sequence({{ first_month }}, {{ last_month }}, interval '1 month'))
{%- endmacro %}
