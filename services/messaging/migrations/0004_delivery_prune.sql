-- Old deliveries go in small batches, oldest first. A BRIN finds them only until the room of deleted rows is used again.
DROP INDEX delivery_old;
CREATE INDEX delivery_old ON delivery (create_time);
