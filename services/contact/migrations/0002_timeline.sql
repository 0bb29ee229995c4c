-- The timeline and what cards show, kept from everybody's events. Of these tables only `note` holds what is nowhere else: the
-- others can be emptied together with the positions, and fill again from the producers.

-- What happened around a contact, company, deal or lead; one row per message, task and note, and per event of all else.
CREATE TABLE activity (
  tenant_id            uuid NOT NULL,
  id                   uuid NOT NULL,
  revision             integer NOT NULL,
  kind                 smallint NOT NULL,
  object               text NOT NULL,
  record_id            text NOT NULL,
  time                 timestamptz NOT NULL,
  update_time          timestamptz NOT NULL,
  author_id            text,
  contact_id           uuid,
  company_id           uuid,
  deal_id              uuid,
  lead_id              uuid,
  title                text NOT NULL,
  snippet              text NOT NULL,
  direction            smallint NOT NULL,
  state                smallint NOT NULL,
  from_stage_id        uuid,
  to_stage_id          uuid,
  from_owner_id        uuid,
  to_owner_id          uuid,
  amount_amount        numeric,
  amount_currency_code text,
  changed_fields       text[] NOT NULL,
  due_time             timestamptz,
  pinned               boolean NOT NULL,
  conversation_id      uuid,
  rule_id              uuid,
  source               text NOT NULL,
  source_seq           integer NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE activity IS 'The timeline';
CREATE INDEX activity_time ON activity (tenant_id, time, id);
CREATE INDEX activity_contact ON activity (tenant_id, contact_id, time, id) WHERE contact_id IS NOT NULL;
CREATE INDEX activity_company ON activity (tenant_id, company_id, time, id) WHERE company_id IS NOT NULL;
CREATE INDEX activity_deal ON activity (tenant_id, deal_id, time, id) WHERE deal_id IS NOT NULL;
CREATE INDEX activity_lead ON activity (tenant_id, lead_id, time, id) WHERE lead_id IS NOT NULL;
CREATE INDEX activity_author ON activity (tenant_id, author_id, time, id) WHERE author_id IS NOT NULL;
CREATE INDEX activity_conversation ON activity (tenant_id, conversation_id) WHERE conversation_id IS NOT NULL;

-- Deals and leads as the timeline and the cards need them: whose they are, whom they concern.
CREATE TABLE linked_record (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  object        text NOT NULL,     -- 'deal', 'lead'
  revision      integer NOT NULL,
  title         text NOT NULL,
  owner_id      uuid,
  team_id       uuid,
  contact_id    uuid,
  company_id    uuid,
  deal_id       uuid,              -- of a lead: what it led to
  pipeline_id   uuid,
  stage_id      uuid,
  open          boolean NOT NULL,
  amount        numeric,
  currency_code text NOT NULL,
  create_time   timestamptz NOT NULL,
  deleted       boolean NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX linked_record_contact ON linked_record (tenant_id, contact_id, create_time) WHERE open AND NOT deleted;

-- Tasks that are to be done, for the next one of a card. A task that is done or gone keeps its row, so that an event heard again
-- does not bring it back.
CREATE TABLE task_mark (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  revision         integer NOT NULL,
  contact_id       uuid,
  prior_contact_id uuid,           -- whose it was before it was last put on another card
  deal_id          uuid,
  lead_id          uuid,
  title            text NOT NULL,
  due_time         timestamptz,
  overdue          boolean NOT NULL,
  open             boolean NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX task_mark_contact ON task_mark (tenant_id, contact_id, due_time, id) WHERE open;
CREATE INDEX task_mark_deal ON task_mark (tenant_id, deal_id) WHERE deal_id IS NOT NULL;
CREATE INDEX task_mark_lead ON task_mark (tenant_id, lead_id) WHERE lead_id IS NOT NULL;

-- Letters that came in and have been neither read by the conversation's owner nor answered.
CREATE TABLE unread_message (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  conversation_id uuid NOT NULL,
  contact_id      uuid,
  time            timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE unread_message IS 'deletable';
CREATE INDEX unread_message_contact ON unread_message (tenant_id, contact_id);
CREATE INDEX unread_message_conversation ON unread_message (tenant_id, conversation_id, time);

-- Up to when a conversation has been read or answered.
CREATE TABLE conversation_mark (
  tenant_id       uuid NOT NULL,
  conversation_id uuid NOT NULL,
  read_time       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, conversation_id)
);

CREATE TABLE note (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  record_id   text NOT NULL,
  text        text NOT NULL,
  pinned      boolean NOT NULL,
  author_id   text NOT NULL,
  team_id     uuid,
  contact_id  uuid,
  company_id  uuid,
  deal_id     uuid,
  lead_id     uuid,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE note IS 'history';
CREATE INDEX note_create_time ON note (tenant_id, create_time, id);
CREATE INDEX note_record ON note (tenant_id, record_id, create_time, id);

-- What cards and lists of contacts show beside the record.
ALTER TABLE contact ADD COLUMN next_task_id uuid;
ALTER TABLE contact ADD COLUMN next_task_title text NOT NULL DEFAULT '';
ALTER TABLE contact ADD COLUMN next_task_due_time timestamptz;
ALTER TABLE contact ADD COLUMN next_task_overdue boolean NOT NULL DEFAULT false;
ALTER TABLE contact ADD COLUMN unread_count integer NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN last_touch_time timestamptz;
ALTER TABLE contact ADD COLUMN last_touch_kind smallint NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN last_touch_direction smallint NOT NULL DEFAULT 0;
