-- name: add
insert into till_key (key_id, store_id, hash, made_at) values (:key_id, :store_id, :hash, :at)

-- name: find
select store_id, hash from till_key where key_id = :key_id and revoked_at is null

-- name: revoke
update till_key set revoked_at = :at where key_id = :key_id and revoked_at is null

-- name: all
select key_id, store_id, made_at, revoked_at from till_key order by store_id, made_at, key_id
