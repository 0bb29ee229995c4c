SELECT producer, seq FROM position_view ORDER BY producer
