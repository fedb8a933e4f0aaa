-- Epochs: a log that was restored to an older point goes on otherwise than the one that was lost.
-- Positions of the first epoch are written as digits, those of a later one with its number before
-- them, as `217512005123.1000`, so that a consumer who read further than what was restored is told
-- so, however far the log has come since.

CREATE TABLE ledger.epochs (
    number bigint PRIMARY KEY CHECK (number > 0),
    began_after bigint NOT NULL,
    birthmark text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What no restored log shares with its original: cluster, timeline, database, table.
CREATE FUNCTION ledger.birthmark() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('/', system_identifier, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'ledger.events'::regclass::oid)
    FROM pg_control_system()
$$;

INSERT INTO ledger.epochs (number, began_after, birthmark) VALUES (1, 0, ledger.birthmark());

-- Called before a process writes: the first one after a restore begins the next epoch. Its number is
-- the moment, in milliseconds since 2020: when one backup is restored twice, what was written
-- between is lost, and its number with it, which therefore must not be the next one again.
CREATE FUNCTION ledger.begin_epoch() RETURNS SETOF ledger.epochs LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
    last ledger.epochs;
BEGIN
    SELECT * INTO last FROM ledger.epochs ORDER BY number DESC LIMIT 1;
    IF last.birthmark IS DISTINCT FROM ledger.birthmark() THEN
        SELECT position INTO head FROM ledger.head FOR UPDATE;
        SELECT * INTO last FROM ledger.epochs ORDER BY number DESC LIMIT 1;
        IF head = 0 THEN
            UPDATE ledger.epochs SET birthmark = ledger.birthmark() WHERE number = last.number;
        ELSIF last.birthmark IS DISTINCT FROM ledger.birthmark() THEN
            INSERT INTO ledger.epochs (number, began_after, birthmark)
            VALUES (
                greatest(last.number + 1,
                    1000 * extract(epoch FROM clock_timestamp() - timestamptz '2020-01-01 00:00Z')),
                head, ledger.birthmark());
        END IF;
    END IF;
    RETURN QUERY SELECT * FROM ledger.epochs ORDER BY number;
END
$$;

-- The text of a position that the log holds.
CREATE FUNCTION ledger.place(of_position bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN max(number) > 1 THEN max(number) || '.' ELSE '' END || of_position
    FROM ledger.epochs WHERE number = 1 OR began_after < of_position
$$;

-- The position that a text stands for, if this log and the one that gave it are the same up to it.
CREATE FUNCTION ledger.common_position(place text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    epoch bigint := CASE WHEN place LIKE '%.%' THEN split_part(place, '.', 1)::bigint ELSE 1 END;
    wanted bigint := regexp_replace(place, '^.*\.', '')::bigint;
    common bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.epochs WHERE number = epoch) THEN
        -- It was lost, and with it after which position it began.
        RAISE EXCEPTION 'the log knows no epoch %', epoch USING ERRCODE = 'SB001';
    END IF;
    SELECT least((SELECT position FROM ledger.head), min(began_after)) INTO common
    FROM ledger.epochs WHERE number > epoch;
    IF wanted > common THEN
        RAISE EXCEPTION 'the log is another one after %', common
            USING ERRCODE = 'SB001', DETAIL = ledger.place(common);
    END IF;
    RETURN wanted;
END
$$;
