-- Which team a user belongs to, kept from identity's events, so that records get their owner's team without asking.
CREATE TABLE member (
  tenant_id uuid NOT NULL,
  user_id   uuid NOT NULL,
  team_id   uuid,
  PRIMARY KEY (tenant_id, user_id)
);
