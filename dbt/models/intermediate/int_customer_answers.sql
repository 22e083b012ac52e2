{{ config(tags=["daily"]) }}

-- What people last answered, before as_of, when asked how likely they are to recommend the shop.
with ranked as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by occurred_at desc, interaction_id desc
        ) as place
    from {{ ref("int_survey_answers") }}
    where customer_id is not null and occurred_at < {{ as_of() }}
)

select
    customer_id,
    score,
    occurred_at
from ranked
where place = 1
