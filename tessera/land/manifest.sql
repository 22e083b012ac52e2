-- name: known
-- What was taken of this content, under whatever name, and of this name, whatever its content; and of
-- each feed the last of all.
select feed, name, content_hash from landed_file
where
    source = :source and coalesce(verdict, '') <> 'refused'
    and (
        name = :name or content_hash like :content_hash || '%'
        or file_id in (
            select max(file_id) from landed_file
            where source = :source and coalesce(verdict, '') <> 'refused'
            group by feed
        )
    )
order by file_id

-- name: all
select feed, file_id from landed_file

-- name: insert
insert into landed_file (source, feed, content_hash, name, rows, bytes, landed_at)
values (:source, :feed, :content_hash, :name, :rows, :bytes, :landed_at)
on conflict do nothing
returning file_id

-- name: judge_again
update landed_file
set rows = :rows, verdict = null, verdict_reason = null, judged_at = null,
    good_rows = null, bad_rows = null, first_date = null, last_date = null
where source = :source and feed = :feed and content_hash = :content_hash and verdict = 'refused'
returning file_id
