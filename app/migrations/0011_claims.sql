-- Whoever appended last, and has not heard of anybody else since, knows what to append to without
-- asking: it claims the head as it left it, which fails if somebody was there meanwhile.

-- What tells a restored log from the one before, and read models from those that a rebuild put in
-- their place: it writes the rows of read.projections, if only with the versions they had.
CREATE FUNCTION ledger.mark() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (SELECT max(number) FROM ledger.epochs) || '/'
        || coalesce((SELECT sum(xmin::text::bigint) FROM read.projections), 0)
$$;

-- Lock the head until the end of the transaction, and return the time in microseconds. What is sent
-- before the one before it was answered names the last event of that: its position alone may be
-- that of somebody else's event by now.
CREATE FUNCTION ledger.claim_head(known_position bigint, known_mark text, known_event text)
RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM ledger.head WHERE position = known_position FOR UPDATE;
    IF NOT FOUND OR known_mark IS DISTINCT FROM ledger.mark()
        OR known_event <> '' AND NOT EXISTS (
            SELECT FROM ledger.events
            WHERE position = known_position AND event_id = known_event::uuid)
    THEN
        RAISE EXCEPTION 'somebody else was at the head of the log' USING ERRCODE = 'SB002';
    END IF;
    RETURN 1000000 * extract(epoch FROM clock_timestamp());
END
$$;
