-- What every service has beside its own tables: events that leave it, events that come in, replies to repeated requests.
-- Row-level security, views and grants are derived after the files (common/pg/migrate.h). In a table's comment, `queue`
-- lets the worker role in, `deletable` lets the handlers delete.

-- Called around guarded statements: no row changed means that another writer was faster, and the whole batch, event
-- included, must be undone. The search path is fixed so that nobody's objects come between.
CREATE FUNCTION guard(changed bigint) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  IF changed = 0 THEN
    RAISE EXCEPTION 'no row matched' USING ERRCODE = 'CRM01';
  END IF;
  RETURN true;
END $$;

-- Events, written with the state they tell of. `id` orders them as they were inserted; the relay gives each its dense
-- number `seq` within tenant and service, and that mark on the row is the only record of what has been numbered.
CREATE TABLE outbox (
  tenant_id   uuid NOT NULL,
  id          bigint GENERATED ALWAYS AS IDENTITY,
  bucket      smallint NOT NULL,  -- last byte of tenant_id: what relays lease
  seq         bigint,
  type        text NOT NULL,
  record_id   text NOT NULL,
  event       bytea NOT NULL,     -- crm.events.v1.Event with seq 0; the number is set into it when it is read
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE outbox IS 'Events written with the state; kept. queue';
-- Only what is not numbered yet, so that finding work costs the same after a billion events.
CREATE INDEX outbox_unnumbered ON outbox (bucket, tenant_id, id) WHERE seq IS NULL;
-- Reading from a number on, and a wall against numbering twice. Partial: an insert does not touch it.
CREATE UNIQUE INDEX outbox_seq ON outbox (tenant_id, seq) WHERE seq IS NOT NULL;

-- The largest number given out; its row is what numbering locks.
CREATE TABLE lane (
  tenant_id uuid NOT NULL,
  bucket    smallint NOT NULL,
  seq       bigint NOT NULL,
  PRIMARY KEY (tenant_id)
);
COMMENT ON TABLE lane IS 'Head of each tenant''s events. queue';
CREATE INDEX lane_bucket ON lane (bucket);

-- The first answer to each request, for when it is repeated; kept 7 days.
CREATE TABLE idempotency (
  tenant_id   uuid NOT NULL,
  key         text NOT NULL,
  method      text NOT NULL,
  body_hash   bytea NOT NULL,
  reply       bytea NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE idempotency IS 'Replies to requests, by their key. queue';
-- Rows come in order of time, so a BRIN finds the old ones and costs an insert next to nothing.
CREATE INDEX idempotency_create_time ON idempotency USING brin (create_time);

-- How far this service has applied each producer's events. Its guarded UPDATE sits in the effect's own batch.
CREATE TABLE position (
  tenant_id uuid NOT NULL,
  producer  text NOT NULL,
  seq       bigint NOT NULL,
  PRIMARY KEY (tenant_id, producer)
);
COMMENT ON TABLE position IS 'Events applied, by producer. queue';

-- Attempts at an event are counted before the attempt and committed, so that one that kills the process counts too.
CREATE TABLE event_attempt (
  tenant_id uuid NOT NULL,
  producer  text NOT NULL,
  seq       bigint NOT NULL,
  attempts  integer NOT NULL,
  error     text NOT NULL,          -- of the last one that did not end the process
  PRIMARY KEY (tenant_id, producer, seq)
);
COMMENT ON TABLE event_attempt IS 'Events being tried. queue deletable';

-- Events that could not be applied, and later ones of the same record that wait behind them (attempts = 0).
CREATE TABLE dead_letter (
  tenant_id   uuid NOT NULL,
  producer    text NOT NULL,
  seq         bigint NOT NULL,
  record_id   text NOT NULL,
  event       bytea NOT NULL,
  attempts    integer NOT NULL,
  error       text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, producer, seq)
);
COMMENT ON TABLE dead_letter IS 'Events put aside. queue deletable';
-- Asked for every event of a lane that has dead letters: does one of its record wait?
CREATE INDEX dead_letter_record ON dead_letter (tenant_id, producer, record_id);

-- Which replicas share a consumer's buckets: those alive divide them by rank (common/events/share.h), so that a renewal writes
-- one row and not one per bucket. For efficiency alone: correctness is in the guards. No tenant: buckets are shared by all.
CREATE TABLE bucket_lease (
  consumer text NOT NULL,
  holder   text NOT NULL,
  until    timestamptz NOT NULL,
  PRIMARY KEY (consumer, holder)
);
COMMENT ON TABLE bucket_lease IS 'Leases of workers. queue deletable';
