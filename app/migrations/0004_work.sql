CREATE SCHEMA work;

-- Tasks that broke and wait for their next try; a row goes when its task is done.
CREATE TABLE work.troubles (
    job_id bigint PRIMARY KEY,
    failures integer NOT NULL CHECK (failures > 0),
    error text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE work.troubles IS
    'What broke and where, without the message of the error, which could hold a secret';
