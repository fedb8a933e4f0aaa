-- Tokens are facts of the log now: whom they speak for, how far they reach, when they end.
-- Only what must not be there stays here. Tokens from before are void; the first token of a
-- local run is made anew, others with `servicebook token create`.
DROP TABLE access.tokens;

CREATE TABLE access.tokens (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    last_used_at timestamptz
);

COMMENT ON TABLE access.tokens IS
    'API tokens; hash is the SHA-256 of the token, which is not kept. One that the log does not tell of is void';
