CREATE SCHEMA vault;

CREATE TABLE vault.credentials (
    service_instance_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    key_id text NOT NULL,
    sealed bytea NOT NULL CHECK (octet_length(sealed) > 28),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service_instance_id, version)
);

CREATE INDEX credentials_key ON vault.credentials (key_id);

COMMENT ON TABLE vault.credentials IS
    'Credentials sealed with AES-256-GCM: nonce, text, tag; bound to instance and version. The keys are not here';
