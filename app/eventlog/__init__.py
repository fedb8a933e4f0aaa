"""The event log: what happened, in one order, written with everything that follows from it.

log          EventLog, the door: append, find, load, read, follow
command      the command behind events, its receipt, and how an append can fail
task         work to be enqueued in the transaction of the events
mapper       events as canonical JSON; the stock eventsourcing library uses it too
writer       one writer per process: takes what waits into one transaction, and tries again
outage       whether appends fail for good, as the server's log and /readyz tell
transaction  what that transaction looks at and stores
draft        which commands it accepts, and what they come to; no database
memory       what this process wrote last, so that it need not look
sending      transactions sent one after the other, without waiting for the answer between
loading      aggregates for many callers, with one statement
kept         aggregates in memory between two commands
snapshot     what the first events of a long stream add up to
reading      events from the rows of the log
projecting   read models: the fold of a batch, read and written back
tables       the SQL of a table, from its description
columns      rows as PostgreSQL takes them without parsing: an array for each column
statements   what writes rows, several statements as one
rebuild      tables made when they are missing or changed, beside the live ones, in steps:
parts            the log in parts by aggregate, each folded whole
folding          ... by a program of its own
pace             ... by some of them, at most so fast
finishing        their indexes and statistics
catching_up      the rest of the log, in its own order
comparison       fresh rows and live rows as of one position
swapping         the ones in the place of the others
epochs       positions as text, which tell a restored log from the one that was lost
connections  deadlines kept in the client, a second try after a lost connection
tail         the newest events, read once for all followers of a process
hints        "there may be more", across processes; a hint, never a promise

The way of a batch. A command takes the aggregates that it needs as they were kept after the last
one, and records events with the versions it assumed. The writer takes what waits, and drafts the
transaction from memory: versions, rows, time. It sends it whole, one round trip: claim the head as
it was left, and store commands, events, rows, entries and tasks. While the server is at it, the
next batch is drafted on what this one will leave. The claim, or a key that is there already, fails
if anything was otherwise than remembered: then nothing of it is recorded, memory is dropped, and
the batch goes the sure way, which locks the head, looks, and stores. So does a batch with a command
that memory does not accept, whose refusal has to be told from what is there.

Positions have no gaps and are in commit order: they are given out under the lock of the one
row of `ledger.head`. Whoever has read up to a position has missed nothing before it, and
"the next one is not there" means "not yet". `recorded_at` rises strictly with the position.
The stock library reads the same log through the view `ledger.stored_events`.
"""
