{# What our macros look like to the linter, which renders models without dbt. #}
{% macro as_of() %}cast('2026-03-01 00:00:00' as timestamp){% endmacro %}
{% macro business_date() %}cast('2026-03-01' as date){% endmacro %}
{% macro turned_from() %}cast('2026-03-01 00:00:00' as timestamp){% endmacro %}
{% macro turned_until() %}cast('2026-03-01 00:00:00' as timestamp){% endmacro %}
{% macro days_between(first_date, second_date) %}date_diff('day', {{ first_date }}, {{ second_date }}){% endmacro %}
{% macro months_between(first_date, second_date) %}date_diff('month', {{ first_date }}, {{ second_date }}){% endmacro %}
{% macro days_after(date, days) %}date_add({{ date }}, {{ days }}){% endmacro %}
{% macro instant_days_after(instant, days) %}date_add({{ instant }}, {{ days }}){% endmacro %}
{% macro local_date(instant) %}cast({{ instant }} as date){% endmacro %}
{% macro hour_in(instant, zone) %}hour({{ instant }}){% endmacro %}
{% macro quarter_hour(instant) %}date_trunc('hour', {{ instant }}){% endmacro %}
{% macro quick_hash(text) %}hash({{ text }}){% endmacro %}
{% macro new_files(feed) %}{{ feed }}{% endmacro %}
{% macro is_in_new_file(feed) %}file_id between 1 and 2{% endmacro %}
{% macro is_partial() %}true{% endmacro %}
{% macro known_as_of() %}cast('2026-03-01 00:00:00' as timestamp){% endmacro %}
{% macro is_known() %}true{% endmacro %}
{% macro is_forward() %}true{% endmacro %}
{% macro landed(relation, new_only) %}select * from {{ relation }}{% endmacro %}
{% macro rows_in_force(relation, key) %}select * from {{ relation }}{% endmacro %}
{% macro with_customer(relation, known) %}select * from {{ relation }}{% endmacro %}
{% macro lapsed_after_days(median_days) %}coalesce({{ median_days }}, 60){% endmacro %}
{% macro level_of_buyer(visits) %}if({{ visits }} >= 3, 'active', 'new'){% endmacro %}
{% macro quintile_of(column, bounds) %}if(figures.{{ column }} > bounds.{{ bounds }}_5, 5, 1){% endmacro %}
{% macro prospect_key(prospect_id) %}concat('prospect:', {{ prospect_id }}){% endmacro %}
{% macro next_tier(tier) %}concat({{ tier }}, '+'){% endmacro %}
{% macro least_of_next_tier(tier) %}length({{ tier }}){% endmacro %}
{% macro is_touched(customer_id) %}{{ customer_id }} in ('C1', 'C2'){% endmacro %}
{% macro monday_of(date) %}cast({{ date }} as date){% endmacro %}
{% macro month_after(date, months) %}cast({{ date }} as date){% endmacro %}
{% macro worth_of(points) %}cast({{ points }} as bigint){% endmacro %}
{% macro deferred_of(sale, points) %}cast({{ sale }} + {{ points }} as bigint){% endmacro %}
{% macro share_of(points, part, whole) %}cast({{ points }} * {{ part }} / {{ whole }} as bigint){% endmacro %}
{% macro minor_units(currency) %}if({{ currency }} = 'JPY', 1, 100){% endmacro %}
{% macro of_the_first(column, at_place, last) %}min({{ column }}){% endmacro %}
{% macro words_of(relation) %}select * from {{ relation }}{% endmacro %}
{% macro plain_text(text) %}lower({{ text }}){% endmacro %}
{% macro month_of(date) %}cast({{ date }} as date){% endmacro %}
{% macro months_from(first_date, last_date) %}cast({{ first_date }} as date){% endmacro %}
{% macro kinds_that_count() %}'earn', 'adjust'{% endmacro %}
{% macro is_changed_day(day) %}{{ day }} in (cast('2026-03-01' as date)){% endmacro %}
{% macro first_moment() %}cast('2026-03-01 00:00:00' as timestamp){% endmacro %}
{% macro has_left(state) %}{{ state }} in ('accepted'){% endmacro %}
{% macro person_of(relation) %}{{ relation }}.customer_id{% endmacro %}
{% macro with_person(relation) %}{% endmacro %}
