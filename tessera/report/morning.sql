-- What the reporting marts say to the morning report; a mart of an earlier version may be missing.

-- name: target_progress
-- Those that ended yesterday are still looked at today.
select
    *,
    period_start < $today and period_end >= $today - interval 1 day as is_current
from target_progress
order by is_current desc, scope <> 'shop', scope, period_start, metric, scope_id

-- name: funnel
select * from funnel order by place

-- name: level_moves
-- The week that ended last, and what a week of the eight before it had.
with week as (select date_trunc('week', $today - interval 7 day)::date as last_on)

select
    coalesce(previous_level, 'not known') as previous_level,
    level,
    coalesce(sum(moves) filter (week_on = last_on), 0)::bigint as moves,
    (coalesce(sum(moves) filter (week_on < last_on), 0) / 8)::double as usual
from level_moves
cross join week
where week_on between last_on - 56 and last_on
group by all
order by moves desc, usual desc, level

-- name: cohorts
select * from cohorts order by cohort_on, months_since

-- name: retention
select * from retention

-- name: sources
select * from sources order by place

-- name: performance
-- The eight that sold most of each kind.
select * from performance
where scope <> 'shop'
qualify row_number() over (partition by scope order by revenue desc, scope_id) <= 8
order by scope, revenue desc, scope_id

-- name: campaign_results
select
    campaign,
    sum(sent)::bigint as sent,
    sum(delivered)::bigint as delivered,
    sum(opened)::bigint as opened,
    sum(clicked)::bigint as clicked,
    sum(converted)::bigint as converted,
    sum(revenue)::bigint as revenue
from campaign_results
group by campaign
having sum(sent) > 0
order by revenue desc, campaign

-- name: net_promoter_scores
select * from net_promoter_scores order by month desc limit 12

-- name: opinions
-- What was spoken of most in this month and the last.
select
    topic,
    sum(opinions)::bigint as opinions,
    sum(positive)::bigint as positive,
    sum(negative)::bigint as negative
from opinions
where month >= date_trunc('month', $today) - interval 1 month
group by topic
order by opinions desc, topic
limit 8

-- name: weeks
-- Learned this morning, or lately where a night could not learn; what is of a later day is not known yet.
select
    kind, begins_on, low, high,
    expected_purchases as expected, actual_purchases as actual,
    round(expected_revenue)::bigint as revenue, round(actual_revenue)::bigint as actual_revenue,
    round(revenue_low)::bigint as revenue_low, round(revenue_high)::bigint as revenue_high
from (
    -- Weeks of an earlier version have no bounds of their revenue.
    select null::double as revenue_low, null::double as revenue_high where false
    union all by name
    from weeks
)
where
    (select min(begins_on) from weeks where kind = 'forecast')
    between $today - interval 7 day and $today
order by begins_on
