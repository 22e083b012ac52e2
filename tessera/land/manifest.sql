-- name: taken
-- Each time a content came. By the unique key, for every file of a folder is looked up each time the folder
-- is landed; '.' comes after '-'.
select content_hash, file_id from landed_file
where
    source = :source and feed = :feed
    and content_hash >= :content_hash and content_hash < :content_hash || '.'
    and coalesce(verdict, '') <> 'refused'
order by file_id

-- name: last
-- What was taken last under this name, or, if the name is new, of the feed.
select content_hash from landed_file
where source = :source and feed = :feed and coalesce(verdict, '') <> 'refused'
order by case when name = :name then 0 else 1 end, file_id desc
limit 1

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

-- name: there
select file_id, rows from landed_file
where source = :source and feed = :feed and content_hash = :content_hash

-- name: judge_rows
update landed_file
set rows = coalesce(:rows, rows), verdict = null, verdict_reason = 'allowed', judged_at = null
where file_id = :file_id

-- name: forget
delete from landed_file where file_id = :file_id
