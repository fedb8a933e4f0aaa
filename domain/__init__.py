"""The rules of the product, free of database, network and clock.

`values`              the words: kinds, prefixes, roles, variables
`states`              the seven states, and the table of what each command may do where
`errors`              refusals, each with a stable code
`events`              the facts that are recorded, one class each
`service_facts`       what is known of a service instance
`service_fold`        from an event to the next facts
`service_refusals`    why a command on a service instance is refused, and the way out
`service_instance`    aggregate: the commands of a service instance and the results of its provider
`environment`         aggregate: prefixes, variable names, the running revision and deployment
`project`             aggregate: members, subscription, units in use
`person`              aggregate: what a person signed up for
`api_token`           aggregate: whom a token speaks for, and its end
`deployment`          aggregate: one deployment, from its snapshot to its end
`deployment_plan`     what a deployment would do, as a pure function

A command checks the rules and records events; applying an event only assigns, since it
happens again on every replay. Times and ids come in as arguments.
"""
