-- name: latest
select
    answer.answered_at,
    answer.customer_id,
    answer.score,
    (
        select said.comment from answer as said
        where
            said.send_key = answer.send_key and said.comment is not null
            and said.answered_at <= :until
        order by said.answer_id desc limit 1
    ) as comment
from answer
where
    answer.score < :below and answer.answered_at > :since and answer.answered_at <= :until
    and not exists (
        select 1 from answer as later
        where
            later.send_key = answer.send_key and later.answer_id > answer.answer_id
            and later.answered_at <= :until
    )
order by answer.answered_at desc, answer.answer_id desc

-- name: by_month
-- The last answer to each message, by the month it was given in (UTC).
select
    substr(answer.answered_at, 1, 7) as month,
    count(*) as answers,
    sum(case when answer.score >= 9 then 1 else 0 end) as promoters,
    sum(case when answer.score <= 6 then 1 else 0 end) as detractors
from answer
where
    answer.answered_at > :since and answer.answered_at <= :until
    and not exists (
        select 1 from answer as later
        where
            later.send_key = answer.send_key and later.answer_id > answer.answer_id
            and later.answered_at <= :until
    )
group by substr(answer.answered_at, 1, 7)
order by month
