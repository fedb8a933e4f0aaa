"""Real resources behind the services: one module per kind of server.

`contract` says what every provider promises, and how it reports failure; `redaction` keeps
secrets out of those reports. `postgres` makes one database per service instance, and
`postgres_admin` runs its work: one connection and one lock per instance, a deadline per call.

A provider keeps no state of its own: names follow from the instance's id, so any call may be
repeated by any process. Which provider serves which offering stands in the catalogue.
"""
