-- One index for each way to ask for events; by project, environment and subject, the stream's own does.

CREATE INDEX events_topic ON ledger.events (topic, position);
CREATE INDEX events_actor ON ledger.events ((metadata ->> 'actor'), position);
CREATE INDEX events_correlation ON ledger.events (((metadata ->> 'correlation_id')::uuid));
CREATE INDEX events_recorded_at ON ledger.events (recorded_at, position);
