with members as (
    {% for audience in [
        "audience_welcome", "audience_lapsed_members", "audience_birthday", "audience_prospects",
        "audience_replenishment_due", "audience_weekly_offers", "audience_promoters",
    ] %}
    select
        '{{ audience }}' as audience,
        customer_id,
        occurrence
    from {{ ref(audience) }}
    {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    members.audience,
    members.customer_id,
    members.occurrence
from members
left join {{ ref("customers") }} as customers on members.customer_id = customers.customer_id
group by members.audience, members.customer_id, members.occurrence
having count(*) > 1 or count(customers.customer_id) = 0
