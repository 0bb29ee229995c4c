-- $1 a user: absences that hold and are not long past.
SELECT id, start_date, end_date, substitute_id FROM absence_view
WHERE owner_id = $1 AND status = 2 AND end_date >= $2::date ORDER BY start_date LIMIT 500
