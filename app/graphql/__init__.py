"""The GraphQL API: one statement answers one operation.

types        what can be read: each field beside where it comes from
source       ... and the words to say it with
compiler     from an operation to SQL
reading      runs the statement, for all who ask the same at the same time
shortcut     from an operation to the text of its answer, without an executor
prepared     ... what is done once for an operation
variables    ... its variables, checked against their types
patience     ... and how long is waited for the answer
rows         lets graphql-core's executor walk what was read, where the short way is none
operations   the operation at hand
mutations    what can be changed: each is one command
conversion   ... its input as Python takes it
payloads     ... and what it answers
past         rows as they were, folded anew from the log
following    what a subscription tells
groups       ... to all who ask the same, together
sharing      ... executed and written once
extensions   the read before the executor, the errors after it
limits       how much one operation may ask for
costs        ... and a caller in a minute
context      what resolvers work with
tracing      the trace that a request belongs to
identifiers  ids as clients see them
plan_facts   a deployment plan from the rows that were read
schema       all of it put together
trusted      operations that clients name instead of sending
http         the ASGI application
negotiation  which methods and media types it takes
replies      ... and how answers are carried
asked        the operation that a request holds
websocket    graphql-transport-ws
event_stream GraphQL over Server-Sent Events
streams      those that are open, and what ends them
"""
