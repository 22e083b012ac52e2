-- name: record
insert into audit (at, operator, action, subject, detail)
values (:at, :operator, :action, :subject, :detail)

-- name: entries
select at, operator, action, subject, detail
from audit
where
    (:action = '' or action = :action) and (:subject = '' or subject = :subject) and at >= :since
order by audit_id desc
limit :limit
