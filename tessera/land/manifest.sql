-- name: known
select feed, verdict from landed_file where source = :source and content_hash = :content_hash

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
