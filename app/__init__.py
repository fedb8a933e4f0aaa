"""The edge of Servicebook: everything that touches the world.

The program:
`cli`, `token_commands`   the commands of `servicebook`
`first_token`             what the first start of a log prints
`settings`                what can be set; the only reader of the environment
`processes`               the long-running commands: the API, the worker, both
`bootstrap`               where every part is made and joined

The ways in:
`asgi`                    the addresses, and what answers there
`answers`, `http_protocol`, `websocket_protocol`   what all answers have in common, on the wire
`callbacks`               where receivers of webhooks fetch and report
`graphql`, `graphiql`     the API, and its explorer
`audit`                   the log for outsiders
`access`                  who is calling

What they call:
`application`             one coroutine per use case
`eventlog`, `migrations`  the log with its read models, and the schema of the database
`work`                    the tasks that follow from events

The world:
`providers`, `brokers`    what makes resources
`deployers`, `exchange`   what puts a revision into effect, and what is agreed with receivers
`catalogue`, `offered`    what can be added, and its copy for queries
`database`, `object_storage`, `embedded`   the servers: the user's own, or those on a laptop
`secrets`, `personal_texts`, `redaction`   what is sealed, and what must not be told
`key_ring`, `keys_in_use` the keys that seal, and which of them the database needs

Tools: `cancellation`, `garbage`, `gathering`, `timers`, `uuids`.
"""
