-- One delivery of an event for each webhook that wants its type ($7: it, all of its kind, all). The id follows from event and webhook,
-- so that hearing it again makes nothing new. One that was switched off for failing gets them too, to be replayed. What happened up to a
-- second before it was made is heard as well: two processes stamp the two, and nobody is to miss the event that came next.
INSERT INTO delivery (tenant_id, id, revision, webhook_id, event_type, record_id, event_time, status, attempt_count, next_attempt_time,
  response_status, response_body, error, duration_ms, create_time, update_time, event)
SELECT $1, md5($2::text || w.id::text)::uuid, 1, w.id, $3, $4, $5, CASE WHEN w.enabled THEN 1 ELSE 3 END, 0, CASE WHEN w.enabled THEN now() END,
  0, '', CASE WHEN w.enabled THEN '' ELSE 'the webhook was off' END, 0, now(), now(), $6
FROM webhook w
WHERE w.tenant_id = $1 AND w.delete_time IS NULL AND (w.enabled OR w.disable_reason <> '') AND w.create_time <= $5::timestamptz + interval '1 s'
  AND w.event_types && $7::text[]
ON CONFLICT DO NOTHING
