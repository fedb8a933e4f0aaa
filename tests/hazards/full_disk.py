"""A disk without room, as the log meets it."""

FULL = """
    CREATE FUNCTION public.raise_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON ledger.events
        FOR EACH ROW EXECUTE FUNCTION public.raise_full();
"""
ROOM = "DROP TRIGGER full_disk ON ledger.events"
