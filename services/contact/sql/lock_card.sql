-- Entries of a deal or lead take from it whom they concern; it gives that to entries that came before. Both wait here for each other,
-- or an entry written between the two would stay without.
SELECT 1 FROM pg_advisory_xact_lock(hashtextextended($1::uuid::text, 1))
