-- Snapshots: what the first events of a long stream add up to. They can be thrown away.

CREATE TABLE ledger.snapshots (
    originator_id uuid PRIMARY KEY,
    originator_version bigint NOT NULL CHECK (originator_version > 0),
    -- The aggregate and the version of its fold: another version is as good as none.
    fold text NOT NULL,
    state json NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
