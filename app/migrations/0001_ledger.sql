-- The log: what happened, which command made it happen, and how far it goes.

CREATE SCHEMA ledger;

-- One row, locked by whoever appends: position order is commit order, without gaps.
CREATE TABLE ledger.head (
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);

CREATE UNIQUE INDEX head_has_one_row ON ledger.head ((true));

INSERT INTO ledger.head (position, recorded_at) VALUES (0, clock_timestamp());

-- `state` is json, not jsonb: the text is kept as it was written.
CREATE TABLE ledger.events (
    position bigint PRIMARY KEY CHECK (position > 0),
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL CHECK (originator_version > 0),
    topic text NOT NULL,
    state json NOT NULL,
    event_id uuid NOT NULL,
    command_id uuid NOT NULL,
    metadata jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT events_originator UNIQUE (originator_id, originator_version)
);

-- A command without events has first_position = last_position + 1.
CREATE TABLE ledger.commands (
    command_id uuid PRIMARY KEY,
    fingerprint text NOT NULL,
    first_position bigint NOT NULL CHECK (first_position > 0),
    last_position bigint NOT NULL CHECK (last_position >= first_position - 1),
    recorded_at timestamptz NOT NULL
);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: the log only grows, what is recorded stays',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION ledger.refuse_step_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.position <= OLD.position OR NEW.recorded_at <= OLD.recorded_at THEN
        RAISE EXCEPTION 'the head of the log only moves forward: from %, % to %, % is refused',
            OLD.position, OLD.recorded_at, NEW.position, NEW.recorded_at
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER commands_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.commands
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER head_stays BEFORE DELETE OR TRUNCATE ON ledger.head
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER head_moves_forward BEFORE UPDATE ON ledger.head
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_step_back();

-- ALWAYS: a session that plays the replica does not get round them either.
ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER events_stay;
ALTER TABLE ledger.commands ENABLE ALWAYS TRIGGER commands_stay;
ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER head_stays;
ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER head_moves_forward;

-- The log as the eventsourcing library stores its own, so that it can replay this one.
CREATE VIEW ledger.stored_events AS
    SELECT originator_id, originator_version, topic,
        convert_to(state::text, 'UTF8') AS state, position AS notification_id
    FROM ledger.events;

-- Read models: each table is made from its description, and can be made anew.
CREATE SCHEMA read;

CREATE TABLE read.projections (
    name text PRIMARY KEY,
    version integer NOT NULL
);

-- The catalogue, copied at start-up so that a query can join it.
CREATE TABLE read.offerings (
    name text PRIMARY KEY,
    title text NOT NULL,
    description text NOT NULL,
    kind text NOT NULL,
    provider text NOT NULL,
    is_configured boolean NOT NULL,
    is_retired boolean NOT NULL,
    position_in_list integer NOT NULL,
    plans jsonb NOT NULL
);
