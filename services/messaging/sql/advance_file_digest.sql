-- The digest goes on with part $3, unless what it went on from ($5) is not there any more.
UPDATE file_digest SET parts_hashed = $3, state = $4 WHERE tenant_id = $1 AND file_id = $2 AND parts_hashed = $3::integer - 1 AND state = $5
