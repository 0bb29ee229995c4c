-- Changes since a moment, across tenants: run as identity_worker. Overlaps by 30 s, more than any write lasts, because ids
-- and times are given out before they are committed.
SELECT subject_id, grants, create_time FROM access_change
WHERE create_time > coalesce($1::timestamptz, now() - interval '65 minutes') - interval '30 seconds'
ORDER BY create_time, id
