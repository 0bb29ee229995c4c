-- Which of these companies live.
SELECT id FROM company_view WHERE id = ANY ($1) AND delete_time IS NULL
