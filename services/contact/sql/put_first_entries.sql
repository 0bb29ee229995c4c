-- Entries of events that begin a contact or company: one of each event, so that one heard again changes nothing.
INSERT INTO activity (tenant_id, id, revision, kind, object, record_id, author_id, contact_id, company_id, time, update_time, title, snippet,
  direction, state, changed_fields, pinned, rule_id, source, source_seq)
SELECT $1, e.id, 1, e.kind, e.object, e.record_id, e.author_id, e.contact_id, e.company_id, e.time, e.time, e.title, '', 0, 0, '{}', false,
  e.rule_id, e.source, e.source_seq
FROM unnest($2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::timestamptz[], $10::text[],
  $11::uuid[], $12::text[], $13::integer[])
  AS e (id, kind, object, record_id, author_id, contact_id, company_id, time, title, rule_id, source, source_seq)
ON CONFLICT (tenant_id, id) DO NOTHING
