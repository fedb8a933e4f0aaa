-- What makes the log checkable from outside: a Merkle tree over it, and signed states of the tree.

CREATE SCHEMA audit;

-- Which log this is, for ever; a restored copy is the same log.
CREATE TABLE audit.log (
    id uuid NOT NULL
);

CREATE UNIQUE INDEX log_has_one_row ON audit.log ((true));

INSERT INTO audit.log (id) VALUES (gen_random_uuid());

-- Complete subtrees only: a node is final as soon as it is known. Level 0 holds the leaves,
-- the one of position p at p - 1.
CREATE TABLE audit.nodes (
    level smallint NOT NULL CHECK (level >= 0),
    place bigint NOT NULL CHECK (place >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, place)
);

CREATE TABLE audit.checkpoints (
    size bigint PRIMARY KEY CHECK (size > 0),
    note text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TRIGGER log_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.log
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER nodes_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.nodes
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER checkpoints_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE audit.log ENABLE ALWAYS TRIGGER log_stays;
ALTER TABLE audit.nodes ENABLE ALWAYS TRIGGER nodes_stay;
ALTER TABLE audit.checkpoints ENABLE ALWAYS TRIGGER checkpoints_stay;
