-- Templates, channels, conversations, messages, and the queue that letters leave by.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE template (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  description text NOT NULL,
  variants    jsonb NOT NULL,
  variables   jsonb NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE template IS 'history';
CREATE UNIQUE INDEX template_name ON template (tenant_id, name) WHERE delete_time IS NULL;
CREATE INDEX template_create_time ON template (tenant_id, create_time, id);
CREATE INDEX template_name_part ON template USING gin (tenant_id, name gin_trgm_ops);

CREATE TABLE channel (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  revision         integer NOT NULL,
  name             text NOT NULL,
  kind             smallint NOT NULL,
  address          text NOT NULL,
  display_name     text NOT NULL,
  smtp             jsonb,
  has_password     boolean NOT NULL,
  enabled          boolean,
  is_default       boolean NOT NULL,
  default_owner_id uuid,
  creates_leads    boolean,
  create_time      timestamptz NOT NULL,
  update_time      timestamptz NOT NULL,
  delete_time      timestamptz,
  creator_id       text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE channel IS 'history';
CREATE UNIQUE INDEX channel_default ON channel (tenant_id) WHERE is_default AND delete_time IS NULL;
CREATE INDEX channel_create_time ON channel (tenant_id, create_time, id);

-- A channel's password, encrypted by a key that is not in the database (services/messaging/secrets.h).
CREATE TABLE channel_secret (
  tenant_id  uuid NOT NULL,
  channel_id uuid NOT NULL,
  sealed     bytea NOT NULL,
  PRIMARY KEY (tenant_id, channel_id)
);
COMMENT ON TABLE channel_secret IS 'deletable';

-- Address -> tenant and channel. No tenant: a letter arrives before its tenant is known.
CREATE TABLE mailbox (
  address      text NOT NULL PRIMARY KEY,
  owner_tenant uuid NOT NULL,
  channel_id   uuid NOT NULL
);
COMMENT ON TABLE mailbox IS 'deletable';

CREATE TABLE conversation (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL,
  revision          integer NOT NULL,
  channel_id        uuid,
  subject           text NOT NULL,
  status            smallint NOT NULL,
  contact_id        uuid,
  company_id        uuid,
  deal_id           uuid,
  lead_id           uuid,
  participants      jsonb NOT NULL,
  preview           text NOT NULL,
  last_message_time timestamptz,
  last_inbound_time timestamptz,
  waiting           boolean NOT NULL,
  message_count     integer NOT NULL,
  inbound_count     integer NOT NULL,
  owner_id          uuid,
  team_id           uuid,
  create_time       timestamptz NOT NULL,
  update_time       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE conversation IS 'history';
-- The inbox: of everybody, of an owner, of a team.
CREATE INDEX conversation_last_message_time ON conversation (tenant_id, last_message_time, id);
CREATE INDEX conversation_owner ON conversation (tenant_id, owner_id, last_message_time, id);
CREATE INDEX conversation_team ON conversation (tenant_id, team_id, last_message_time, id);
CREATE INDEX conversation_open ON conversation (tenant_id, waiting, last_message_time, id) WHERE status = 1;
CREATE INDEX conversation_create_time ON conversation (tenant_id, create_time, id);
CREATE INDEX conversation_contact ON conversation (tenant_id, contact_id, last_message_time, id) WHERE contact_id IS NOT NULL;
CREATE INDEX conversation_deal ON conversation (tenant_id, deal_id, last_message_time, id) WHERE deal_id IS NOT NULL;
CREATE INDEX conversation_lead ON conversation (tenant_id, lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX conversation_subject_part ON conversation USING gin (tenant_id, subject gin_trgm_ops);
CREATE INDEX conversation_participants ON conversation USING gin (participants jsonb_path_ops);

-- How many of a conversation's inbound letters a user has read: the rest is unread.
CREATE TABLE read_state (
  tenant_id       uuid NOT NULL,
  user_id         text NOT NULL,
  conversation_id uuid NOT NULL,
  inbound_count   integer NOT NULL,
  PRIMARY KEY (tenant_id, user_id, conversation_id)
);

CREATE TABLE message (
  tenant_id           uuid NOT NULL,
  id                  uuid NOT NULL,
  revision            integer NOT NULL,
  conversation_id     uuid,
  channel_id          uuid,
  direction           smallint NOT NULL,
  kind                smallint NOT NULL,
  status              smallint NOT NULL,
  category            smallint NOT NULL,
  subject             text NOT NULL,
  text                text NOT NULL,
  html                text NOT NULL,
  preview             text NOT NULL,
  sender              jsonb,
  recipients          jsonb NOT NULL,
  cc                  jsonb NOT NULL,
  attachments         jsonb NOT NULL,
  attachment_file_ids uuid[] NOT NULL,
  contact_id          uuid,
  company_id          uuid,
  deal_id             uuid,
  author_id           text NOT NULL,
  mention_ids         uuid[] NOT NULL,
  cause               text NOT NULL,
  template_id         uuid,
  template_version    text NOT NULL,
  internet_message_id text NOT NULL,
  in_reply_to         text NOT NULL,
  reference_ids       text[] NOT NULL,
  automatic           boolean NOT NULL,
  attempt_count       integer NOT NULL,
  next_attempt_time   timestamptz,
  error               text NOT NULL,
  reply_code          integer NOT NULL,
  send_time           timestamptz,
  receive_time        timestamptz,
  owner_id            uuid,
  team_id             uuid,
  create_time         timestamptz NOT NULL,
  update_time         timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX message_create_time ON message (tenant_id, create_time, id);
CREATE INDEX message_conversation ON message (tenant_id, conversation_id, create_time, id);
CREATE INDEX message_contact ON message (tenant_id, contact_id, create_time, id) WHERE contact_id IS NOT NULL;
CREATE INDEX message_deal ON message (tenant_id, deal_id, create_time, id) WHERE deal_id IS NOT NULL;
CREATE INDEX message_owner ON message (tenant_id, owner_id, create_time, id);
CREATE INDEX message_team ON message (tenant_id, team_id, create_time, id);
-- What a person must look at: bounced, failed, unknown, blocked.
CREATE INDEX message_trouble ON message (tenant_id, status, create_time, id) WHERE status IN (5, 6, 7, 8);
-- How an answer finds its conversation.
CREATE INDEX message_internet_id ON message (tenant_id, internet_message_id) WHERE internet_message_id <> '';

CREATE TABLE suppression (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  address     text NOT NULL,
  reason      smallint NOT NULL,
  note        text NOT NULL,
  message_id  uuid,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  creator_id  text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE suppression IS 'history';
CREATE UNIQUE INDEX suppression_address ON suppression (tenant_id, address) WHERE delete_time IS NULL;
CREATE INDEX suppression_create_time ON suppression (tenant_id, create_time, id);

-- Letters on their way out: one row from the moment that a letter is accepted until its fate is known. Written with the message.
CREATE TABLE send (
  tenant_id  uuid NOT NULL,
  message_id uuid NOT NULL,
  bucket     smallint NOT NULL,             -- last byte of tenant_id: what senders share
  due_time   timestamptz NOT NULL,          -- not before; while claimed: until when
  token      bigint NOT NULL DEFAULT 0,     -- raised by each claim; who holds an old one changes nothing
  holder     text NOT NULL DEFAULT '',      -- the replica that claimed it; '' for nobody
  recipients text[] NOT NULL,               -- addresses that still wait for it
  attempts   integer NOT NULL DEFAULT 0,
  doubts     integer NOT NULL DEFAULT 0,    -- attempts whose answer was lost
  begun      boolean NOT NULL DEFAULT false, -- an attempt was begun and its end not recorded
  rule_id    text NOT NULL DEFAULT '',      -- the automation rule that stands behind it, so that what follows from
  run_id     text NOT NULL DEFAULT '',      -- its sending is cut where rules call each other forever
  depth      integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, message_id)
);
COMMENT ON TABLE send IS 'queue deletable';
CREATE INDEX send_due ON send (bucket, due_time);

-- The tenant and its users as identity last told of them: letters name them, and a service that writes for nobody in particular
-- cannot ask on someone's behalf. Serialized crm.identity.v1.Tenant and User.
CREATE TABLE tenant (
  tenant_id uuid NOT NULL PRIMARY KEY,
  record    bytea NOT NULL
);
CREATE TABLE account (
  tenant_id uuid NOT NULL,
  user_id   uuid NOT NULL,
  record    bytea NOT NULL,
  PRIMARY KEY (tenant_id, user_id)
);
