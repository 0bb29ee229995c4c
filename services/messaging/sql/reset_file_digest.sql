-- A part that was hashed has come again: it may be another.
DELETE FROM file_digest WHERE tenant_id = $1 AND file_id = $2 AND parts_hashed >= $3
