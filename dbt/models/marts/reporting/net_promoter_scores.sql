{{ config(tags=["daily"]) }}

-- Month by month how many would recommend the shop (9, 10) less how many would not (0 to 6), of 100
-- answers, with the adjusted Wald interval: three answers more, spread evenly (a quarter, a half, a
-- quarter), keep it honest for a few. Of a person who answered several times in a month the last
-- counts. A fall is one that the answers of both months, so reckoned, leave no doubt of.
with answers as (
    select
        interaction_id,
        coalesce(customer_id, interaction_id) as person,
        score,
        occurred_at,
        {{ month_of(local_date("occurred_at")) }} as month
    from {{ ref("int_survey_answers") }}
    where occurred_at < {{ as_of() }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by person, month
            order by occurred_at desc, interaction_id desc
        ) as place
    from answers
),

counted as (
    select
        month,
        count(*) as answers,
        sum(case when score >= 9 then 1 else 0 end) as promoters,
        sum(case when score <= 6 then 1 else 0 end) as detractors
    from ranked
    where place = 1
    group by month
),

middles as (
    select
        *,
        (promoters - detractors) / cast(answers as double) as score,
        (promoters - detractors) / cast(answers + 3 as double) as middle,
        (promoters + detractors + 1.5) / cast(answers + 3 as double) as spoken
    from counted
),

spread as (
    select
        *,
        (spoken - middle * middle) / (answers + 3) as variance
    from middles
),

compared as (
    select
        *,
        lag(score) over (order by month) as score_before,
        lag(middle) over (order by month) as middle_before,
        lag(variance) over (order by month) as variance_before
    from spread
)

select
    month,
    answers,
    cast(promoters as bigint) as promoters,
    cast(answers - promoters - detractors as bigint) as passives,
    cast(detractors as bigint) as detractors,
    cast(round(100 * score, 1) as decimal(5, 1)) as score,
    cast(round(100 * greatest(-1.0, middle - 1.96 * sqrt(variance)), 1) as decimal(5, 1)) as low,
    cast(round(100 * least(1.0, middle + 1.96 * sqrt(variance)), 1) as decimal(5, 1)) as high,
    cast(round(100 * (score - score_before), 1) as decimal(5, 1)) as change,
    coalesce(
        middle - middle_before + 1.96 * sqrt(variance + variance_before) < 0, false
    ) as has_fallen
from compared
