-- A part is stored only while its file is being uploaded ($3); completing waits for parts on their way.
SELECT 1 FROM file WHERE tenant_id = $1 AND id = $2 AND status = $3::smallint AND delete_time IS NULL FOR SHARE
