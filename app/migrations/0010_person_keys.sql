-- The keys of people: what a person writes is sealed with its own, so that it can be forgotten.

CREATE TABLE vault.person_keys (
    id uuid PRIMARY KEY,
    person_id uuid NOT NULL UNIQUE,
    key_id text NOT NULL,
    sealed bytea NOT NULL CHECK (octet_length(sealed) > 28),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX person_keys_key ON vault.person_keys (key_id);

COMMENT ON TABLE vault.person_keys IS
    'Keys sealed with AES-256-GCM, one for each person who wrote something; sealed text in the log names them by id. key_id is in the key ring, which is not here';

-- Here, so that nobody can record the one without the other.
CREATE FUNCTION vault.destroy_person_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM vault.person_keys WHERE person_id = NEW.originator_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER erased_people_lose_their_keys AFTER INSERT ON ledger.events
    FOR EACH ROW WHEN (NEW.topic = 'PersonErased')
    EXECUTE FUNCTION vault.destroy_person_key();

ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER erased_people_lose_their_keys;
