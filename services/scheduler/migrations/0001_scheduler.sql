-- Timers, tasks, reminders, calendars, absences, notifications, and what must be known of people.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- Everything that waits for its time. `wake_time` is the due time, or when a claimed or failed timer is next to be looked
-- at; it is what workers search by. `fence` is raised by each claim and each setting: an effect deletes its row by the fence
-- that it was claimed with, or does not happen. `holder` is who claimed it last, so that a killed one that begins again does
-- not wait for its own lease.
CREATE TABLE timer (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  bucket      smallint NOT NULL,  -- last byte of tenant_id
  kind        text NOT NULL,
  subject     text NOT NULL,      -- TypeID of the record that it belongs to
  key         text NOT NULL,
  due_time    timestamptz NOT NULL,
  wake_time   timestamptz NOT NULL,
  payload     bytea NOT NULL,
  fence       bigint NOT NULL,
  attempts    integer NOT NULL,
  error       text NOT NULL,
  holder      text NOT NULL DEFAULT '',
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE timer IS 'Effects that wait for their time. queue deletable';
-- By shard, so that a claim reads what is due of its own shards and nothing else, whatever waits behind; with the tenant, for
-- those whose clock is ahead.
CREATE INDEX timer_wake ON timer ((bucket % 16), wake_time, tenant_id);
CREATE INDEX timer_subject ON timer (tenant_id, subject);
CREATE INDEX timer_due ON timer (tenant_id, due_time);
CREATE INDEX timer_holder ON timer (holder) WHERE holder <> '';

-- Tenants whose clock was moved ahead for a test; empty where people work.
CREATE TABLE clock (
  tenant_id      uuid NOT NULL,
  bucket         smallint NOT NULL,
  offset_seconds integer NOT NULL,
  PRIMARY KEY (tenant_id)
);
COMMENT ON TABLE clock IS 'Test offsets. queue';

-- What must be known of tenants, people and teams without asking: kept from identity's events.
CREATE TABLE tenant (
  tenant_id     uuid NOT NULL PRIMARY KEY,
  time_zone     text NOT NULL,
  language      text NOT NULL,
  working_hours jsonb NOT NULL  -- [{"weekday": 1, "start": "09:00", "end": "18:00"}]
);

CREATE TABLE person (
  tenant_id  uuid NOT NULL,
  user_id    uuid NOT NULL,
  name       text NOT NULL,
  team_id    uuid,
  manager_id uuid,
  time_zone  text NOT NULL,
  language   text NOT NULL,
  active     boolean NOT NULL,
  PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE team (
  tenant_id uuid NOT NULL,
  team_id   uuid NOT NULL,
  name      text NOT NULL,
  parent_id uuid,
  head_id   uuid,
  deleted   boolean NOT NULL,
  PRIMARY KEY (tenant_id, team_id)
);

CREATE TABLE task (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  revision         integer NOT NULL,
  title            text NOT NULL,
  kind             smallint NOT NULL,
  status           smallint NOT NULL,
  priority         smallint NOT NULL,
  due_time         timestamptz,
  description      text NOT NULL,
  owner_id         uuid,
  team_id          uuid,
  watcher_ids      uuid[] NOT NULL,
  contact_id       uuid,
  company_id       uuid,
  deal_id          uuid,
  lead_id          uuid,
  conversation_id  uuid,
  parent_id        uuid,
  checklist        jsonb NOT NULL,
  remind_minutes   integer[] NOT NULL,
  result           text NOT NULL,
  cancel_reason    text NOT NULL,
  start_time       timestamptz,
  complete_time    timestamptz,
  overdue_since    timestamptz,
  escalation_level integer NOT NULL,
  recurrence       text NOT NULL,
  series_id        uuid,
  occurrence       integer NOT NULL,
  series_time      timestamptz,
  next_id          uuid,
  creator_id       text,
  rule_id          uuid,
  create_time      timestamptz NOT NULL,
  update_time      timestamptz NOT NULL,
  delete_time      timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE task IS 'history';
CREATE INDEX task_create_time ON task (tenant_id, create_time, id);
CREATE INDEX task_update_time ON task (tenant_id, update_time, id);
CREATE INDEX task_due_time ON task (tenant_id, due_time, id);
CREATE INDEX task_owner ON task (tenant_id, owner_id, create_time, id);
CREATE INDEX task_team ON task (tenant_id, team_id, create_time, id);
-- What a person has to do, by when; and the same for whole teams.
CREATE INDEX task_owner_open ON task (tenant_id, owner_id, due_time, id) WHERE status IN (1, 2) AND delete_time IS NULL;
CREATE INDEX task_team_open ON task (tenant_id, team_id, due_time, id) WHERE status IN (1, 2) AND delete_time IS NULL;
CREATE INDEX task_owner_done ON task (tenant_id, owner_id, complete_time) WHERE status = 3 AND delete_time IS NULL;
CREATE INDEX task_overdue_since ON task (tenant_id, overdue_since, id) WHERE overdue_since IS NOT NULL;
CREATE INDEX task_contact ON task (tenant_id, contact_id, create_time, id) WHERE contact_id IS NOT NULL;
CREATE INDEX task_company ON task (tenant_id, company_id, create_time, id) WHERE company_id IS NOT NULL;
CREATE INDEX task_deal ON task (tenant_id, deal_id, create_time, id) WHERE deal_id IS NOT NULL;
CREATE INDEX task_lead ON task (tenant_id, lead_id, create_time, id) WHERE lead_id IS NOT NULL;
CREATE INDEX task_parent ON task (tenant_id, parent_id, create_time, id) WHERE parent_id IS NOT NULL;
CREATE INDEX task_creator ON task (tenant_id, creator_id, create_time, id);
CREATE INDEX task_watchers ON task USING gin (tenant_id, watcher_ids) WHERE watcher_ids <> '{}';
CREATE INDEX task_title_part ON task USING gin (tenant_id, title gin_trgm_ops);

-- Due times that a task has missed and that have been told of, so that one that is set again is not told of again.
CREATE TABLE task_overdue (
  tenant_id uuid NOT NULL,
  task_id   uuid NOT NULL,
  due_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, task_id, due_time)
);

CREATE TABLE task_settings (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  escalation  jsonb NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE task_settings IS 'history';

CREATE TABLE reminder (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  revision        integer NOT NULL,
  text            text NOT NULL,
  due_time        timestamptz,
  owner_id        uuid,
  team_id         uuid,
  status          smallint NOT NULL,
  urgent          boolean NOT NULL,
  stop_on         smallint[] NOT NULL,
  task_id         uuid,
  contact_id      uuid,
  company_id      uuid,
  deal_id         uuid,
  lead_id         uuid,
  conversation_id uuid,
  close_time      timestamptz,
  cancel_reason   text NOT NULL,
  recipient_id    uuid,
  creator_id      text,
  rule_id         uuid,
  create_time     timestamptz NOT NULL,
  update_time     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE reminder IS 'history';
CREATE INDEX reminder_create_time ON reminder (tenant_id, create_time, id);
CREATE INDEX reminder_due_time ON reminder (tenant_id, due_time, id);
CREATE INDEX reminder_owner ON reminder (tenant_id, owner_id, create_time, id);
CREATE INDEX reminder_team ON reminder (tenant_id, team_id, create_time, id);
-- What an event calls off.
CREATE INDEX reminder_task ON reminder (tenant_id, task_id) WHERE status = 1 AND task_id IS NOT NULL;
CREATE INDEX reminder_contact ON reminder (tenant_id, contact_id) WHERE status = 1 AND contact_id IS NOT NULL;
CREATE INDEX reminder_deal ON reminder (tenant_id, deal_id) WHERE status = 1 AND deal_id IS NOT NULL;
CREATE INDEX reminder_company ON reminder (tenant_id, company_id) WHERE status = 1 AND company_id IS NOT NULL;
CREATE INDEX reminder_lead ON reminder (tenant_id, lead_id) WHERE status = 1 AND lead_id IS NOT NULL;
CREATE INDEX reminder_conversation ON reminder (tenant_id, conversation_id) WHERE status = 1 AND conversation_id IS NOT NULL;

CREATE TABLE calendar (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  user_id     uuid,
  team_id     uuid,
  is_default  boolean NOT NULL,
  time_zone   text NOT NULL,
  shifts      jsonb NOT NULL,
  holidays    jsonb NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE calendar IS 'history';
-- One for each user, each team and the organisation.
CREATE UNIQUE INDEX calendar_user ON calendar (tenant_id, user_id) WHERE user_id IS NOT NULL AND delete_time IS NULL;
CREATE UNIQUE INDEX calendar_team ON calendar (tenant_id, team_id) WHERE team_id IS NOT NULL AND delete_time IS NULL;
CREATE UNIQUE INDEX calendar_default ON calendar (tenant_id) WHERE is_default AND delete_time IS NULL;
CREATE INDEX calendar_create_time ON calendar (tenant_id, create_time, id);

CREATE TABLE absence (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  revision      integer NOT NULL,
  kind          smallint NOT NULL,
  start_date    date,
  end_date      date,
  owner_id      uuid,
  team_id       uuid,
  substitute_id uuid,
  note          text NOT NULL,
  status        smallint NOT NULL,
  decider_id    text,
  decide_time   timestamptz,
  decision_note text NOT NULL,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  creator_id    text,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE absence IS 'history';
CREATE INDEX absence_create_time ON absence (tenant_id, create_time, id);
CREATE INDEX absence_owner ON absence (tenant_id, owner_id, end_date);
CREATE INDEX absence_team ON absence (tenant_id, team_id, end_date);
CREATE INDEX absence_start_date ON absence (tenant_id, start_date, id);
CREATE INDEX absence_end_date ON absence (tenant_id, end_date, id);

CREATE TABLE notification (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  kind        smallint NOT NULL,
  title       text NOT NULL,
  text        text NOT NULL,
  urgent      boolean NOT NULL,
  record_id   text,
  owner_id    uuid,
  team_id     uuid,
  actor_id    text,
  for_user_id uuid,
  read_time   timestamptz,
  snooze_time timestamptz,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX notification_owner ON notification (tenant_id, owner_id, create_time, id);
CREATE INDEX notification_unread ON notification (tenant_id, owner_id, create_time, id) WHERE read_time IS NULL AND snooze_time IS NULL;

CREATE TABLE notification_preferences (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  user_id     uuid,
  choices     jsonb NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
