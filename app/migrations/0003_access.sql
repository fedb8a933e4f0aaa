CREATE SCHEMA access;

CREATE TABLE access.tokens (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    subject text NOT NULL CHECK (subject <> ''),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

COMMENT ON TABLE access.tokens IS 'API tokens; hash is the SHA-256 of the token, which is not kept';
