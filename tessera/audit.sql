-- name: record
insert into audit (at, operator, action, subject, detail)
values (:at, :operator, :action, :subject, :detail)

-- name: record_nothing
-- What any command has to be able to do.
insert into audit (at, operator, action, subject, detail)
select at, operator, action, subject, detail from audit where 1 = 0

-- name: entries
select at, operator, action, subject, detail
from audit
where
    (:action = '' or action = :action) and (:subject = '' or subject = :subject) and at >= :since
order by audit_id desc
limit :limit
