-- What a process of this name was posting when it was killed: posted again now, not when the lease ends.
UPDATE delivery SET lease_until = NULL WHERE holder = $1 AND lease_until IS NOT NULL
