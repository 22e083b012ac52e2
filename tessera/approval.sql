-- name: ask
-- Journeys that began under an earlier version count with the others.
insert into approval (campaign, campaign_version, business_date, recipients)
select campaign, campaign_version, business_date, recipients
from (
    select
        campaign, campaign_version, business_date,
        count(*) as recipients,
        sum(count(*)) over (partition by campaign) as recipients_in_all
    from outbox
    where business_date = :day and state <> 'cancelled'
    group by campaign, campaign_version, business_date
) as counted
where recipients_in_all > :over
on conflict (campaign, campaign_version, business_date)
do update set recipients = excluded.recipients

-- name: let_go
-- What is no longer too many, for some were cancelled or the policy allows more, waits for nobody.
update approval
set recipients = approved
where
    business_date = :day and recipients > approved
    and coalesce(
        (
            select count(*)
            from outbox
            where
                outbox.business_date = approval.business_date
                and outbox.campaign = approval.campaign
                and outbox.state <> 'cancelled'
        ) <= cast(:over as bigint),
        true
    )

-- name: count_again
-- What was cancelled meanwhile needs no word.
update approval
set
    recipients = (
        select count(*)
        from outbox
        where
            outbox.campaign = approval.campaign
            and outbox.campaign_version = approval.campaign_version
            and outbox.business_date = approval.business_date
            and outbox.state <> 'cancelled'
    )
where campaign = :campaign and recipients > approved

-- name: waiting
select
    campaign,
    business_date,
    cast(sum(recipients) as bigint) as recipients,
    cast(sum(messages) as bigint) as messages
from (
    select
        approval.campaign,
        approval.business_date,
        approval.recipients,
        count(*) as messages
    from approval
    inner join outbox
        on
            approval.campaign = outbox.campaign
            and approval.campaign_version = outbox.campaign_version
            and approval.business_date = outbox.business_date
    where approval.recipients > approval.approved and outbox.state = 'ready'
    group by
        approval.campaign, approval.campaign_version, approval.business_date, approval.recipients
) as version
group by campaign, business_date
order by business_date, campaign

-- name: approve
update approval
set approved = recipients, approved_by = :approved_by, approved_at = :approved_at
where campaign = :campaign and business_date = :business_date and recipients > approved
returning campaign_version, recipients

-- name: approved
select
    campaign, campaign_version, business_date, recipients, approved_by, approved_at
from approval
where campaign = :campaign and business_date = :business_date
    and approved > 0 and recipients <= approved
order by campaign_version
