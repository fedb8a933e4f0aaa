"""The event log: what happened, in one order, written with everything that follows from it.

log          EventLog, the door: append, find, load, read, follow
command      the command behind events, its receipt, and how an append can fail
task         work to be enqueued in the transaction of the events
mapper       events as canonical JSON; the stock eventsourcing library uses it too
writer       one writer per process: takes what waits into one transaction, and tries again
transaction  what that transaction looks at and stores
draft        which commands it accepts, and what they come to; no database
loading      aggregates for many callers, with one statement
kept         aggregates in memory between two commands
snapshot     what the first events of a long stream add up to
reading      events from the rows of the log
projecting   read models: the fold of a batch, read and written back
tables       the SQL of a table, from its description
rebuild      tables made when they are missing or changed, beside the live ones, in steps:
parts            the log in parts by aggregate, each folded whole
pace             ... by some processes, at most so fast
catching_up      the rest of the log, in its own order
comparison       fresh rows and live rows as of one position
epochs       positions as text, which tell a restored log from the one that was lost
connections  deadlines kept in the client, a second try after a lost connection
tail         the newest events, read once for all followers of a process
hints        "there may be more", across processes; a hint, never a promise

Positions have no gaps and are in commit order: they are given out under the lock of the one
row of `ledger.head`. Whoever has read up to a position has missed nothing before it, and
"the next one is not there" means "not yet". `recorded_at` rises strictly with the position.
The stock library reads the same log through the view `ledger.stored_events`.
"""
