-- Which key ring this database belongs to: a second one must not be made for it.

CREATE TABLE vault.key_ring (
    key_id text NOT NULL
);

CREATE UNIQUE INDEX key_ring_has_one_row ON vault.key_ring ((true));

COMMENT ON TABLE vault.key_ring IS
    'A key of the ring that seals here, from the first start on, and of each rotation the new one';
