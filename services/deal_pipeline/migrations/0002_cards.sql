-- What boards, cards and lists of deals show beside the record, kept from the events of tasks and letters.

-- Tasks that are to be done, for the next one of a deal. A task that is done or gone keeps its row, so that an event heard again
-- does not bring it back.
CREATE TABLE task_mark (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  revision      integer NOT NULL,
  deal_id       uuid,
  prior_deal_id uuid,            -- where it was before it was last put on another deal
  title         text NOT NULL,
  due_time      timestamptz,
  overdue       boolean NOT NULL,
  open          boolean NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX task_mark_deal ON task_mark (tenant_id, deal_id, due_time, id) WHERE open;

-- Letters that came in and have been neither read by the conversation's owner nor answered.
CREATE TABLE unread_message (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  conversation_id uuid NOT NULL,
  deal_id         uuid,
  time            timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE unread_message IS 'deletable';
CREATE INDEX unread_message_deal ON unread_message (tenant_id, deal_id);
CREATE INDEX unread_message_conversation ON unread_message (tenant_id, conversation_id, time);

-- Up to when a conversation has been read or answered.
CREATE TABLE conversation_mark (
  tenant_id       uuid NOT NULL,
  conversation_id uuid NOT NULL,
  read_time       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, conversation_id)
);

ALTER TABLE deal ADD COLUMN next_task_id uuid;
ALTER TABLE deal ADD COLUMN next_task_title text NOT NULL DEFAULT '';
ALTER TABLE deal ADD COLUMN next_task_due_time timestamptz;
ALTER TABLE deal ADD COLUMN next_task_overdue boolean NOT NULL DEFAULT false;
ALTER TABLE deal ADD COLUMN unread_count integer NOT NULL DEFAULT 0;
ALTER TABLE deal ADD COLUMN last_touch_time timestamptz;
ALTER TABLE deal ADD COLUMN last_touch_kind smallint NOT NULL DEFAULT 0;
ALTER TABLE deal ADD COLUMN last_touch_direction smallint NOT NULL DEFAULT 0;
