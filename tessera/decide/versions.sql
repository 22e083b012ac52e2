-- The campaigns' versions in the store; the same text runs on SQLite and PostgreSQL.

-- name: versions
-- The campaigns that journeys of these began under.
select campaign, version, body from campaign_version where campaign in ({campaigns})

-- name: keep_version
insert into campaign_version (campaign, version, body, first_used_at)
values (:campaign, :version, :body, :at)
on conflict do nothing
