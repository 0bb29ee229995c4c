-- Letters are looked for tenant by tenant and claimed in the order of their time: an index that says both, so that neither reads
-- past what waits of others, or of the same one.
CREATE INDEX send_queue ON send (bucket, tenant_id, due_time);
DROP INDEX send_due;
