-- The contact $3 of a deal or lead $2, given to its tasks that name none.
UPDATE task_mark SET contact_id = $3
WHERE tenant_id = $1 AND (deal_id = $2 OR lead_id = $2) AND contact_id IS NULL
