-- Whose the record is that an entry hangs on, and what else it concerns: of $1 a deal, $2 a lead, $3 a contact or $4 a company,
-- the one that is not NULL.
SELECT l.owner_id, l.team_id, l.contact_id, l.company_id, l.deal_id FROM linked_record_view l WHERE l.id = coalesce($1::uuid, $2::uuid)
UNION ALL
SELECT c.owner_id, c.team_id, c.id, c.company_id, NULL FROM contact_view c WHERE c.id = $3::uuid
UNION ALL
SELECT o.owner_id, o.team_id, NULL, o.id, NULL FROM company_view o WHERE o.id = $4::uuid
