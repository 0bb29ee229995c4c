-- Contacts who work at the companies found.
SELECT id FROM contact_view WHERE company_id = ANY ($1) AND delete_time IS NULL ORDER BY id DESC LIMIT $2
