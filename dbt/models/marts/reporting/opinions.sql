{{ config(tags=["daily"]) }}

-- What people said in their own words, by month, kind, topic and language.
with said as (
    select
        *,
        {{ month_of(local_date("occurred_at")) }} as month
    from {{ ref("int_opinions") }}
    where occurred_at < {{ as_of() }}
)

select
    month,
    kind,
    topic,
    language,
    count(*) as opinions,
    cast(sum(case when sentiment = 'positive' then 1 else 0 end) as bigint) as positive,
    cast(sum(case when sentiment = 'negative' then 1 else 0 end) as bigint) as negative,
    cast(sum(case when sentiment = 'neutral' then 1 else 0 end) as bigint) as neutral
from said
group by month, kind, topic, language
