-- No part came again since all ($3) were hashed to this ($4).
SELECT 1 FROM file_digest WHERE tenant_id = $1 AND file_id = $2 AND parts_hashed = $3 AND state = $4
