-- Where events are posted to, and each event on its way.
CREATE TABLE webhook (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL,
  revision          integer NOT NULL,
  name              text NOT NULL,
  url               text NOT NULL,
  event_types       text[] NOT NULL,
  enabled           boolean NOT NULL,
  personal_data     boolean NOT NULL,
  disable_reason    text NOT NULL,
  failing_since     timestamptz,
  last_success_time timestamptz,
  create_time       timestamptz NOT NULL,
  update_time       timestamptz NOT NULL,
  delete_time       timestamptz,
  creator_id        text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE webhook IS 'history';

-- Secrets, encrypted; the one before the last rotation signs too until it ends.
CREATE TABLE webhook_secret (
  tenant_id     uuid NOT NULL,
  webhook_id    uuid NOT NULL,
  sealed        bytea NOT NULL,
  former_sealed bytea,
  former_until  timestamptz,
  PRIMARY KEY (tenant_id, webhook_id)
);

CREATE TABLE delivery (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL,
  revision          integer NOT NULL,
  webhook_id        uuid NOT NULL,
  event_type        text NOT NULL,
  record_id         text,
  event_time        timestamptz NOT NULL,
  status            smallint NOT NULL,
  attempt_count     integer NOT NULL,
  next_attempt_time timestamptz,
  response_status   integer NOT NULL,
  response_body     text NOT NULL,
  error             text NOT NULL,
  duration_ms       integer NOT NULL,
  create_time       timestamptz NOT NULL,
  update_time       timestamptz NOT NULL,
  event             bytea NOT NULL DEFAULT '',  -- crm.events.v1.Event
  lease_until       timestamptz,                -- somebody is posting it
  holder            text NOT NULL DEFAULT '',   -- who, the same after a restart
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE delivery IS 'Events on their way to webhooks; the sender looks across tenants: queue deletable';
CREATE INDEX delivery_create_time ON delivery (tenant_id, create_time, id);
CREATE INDEX delivery_webhook ON delivery (tenant_id, webhook_id, create_time, id);
CREATE INDEX delivery_due ON delivery (next_attempt_time) WHERE status = 1;
CREATE INDEX delivery_holder ON delivery (holder) WHERE lease_until IS NOT NULL;
CREATE INDEX delivery_old ON delivery USING brin (create_time);
