-- The latest word of each customer, channel and purpose, whatever `as_of`: a withdrawal counts from
-- the moment we know of it. Of two words at one instant the refusal stands.
with ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, channel, purpose
            order by recorded_at desc, granted asc, file_id desc
        ) as place
    from {{ ref("int_consents") }}
)

select
    customer_id,
    channel,
    purpose,
    granted,
    recorded_at,
    origin,
    wording_version
from ranked
where place = 1
