"""The work that follows from events, done by workers.

`policies`      which tasks follow from which event
`service_tasks` what is asked of providers, and what they answer
`orders`        what providers may know of an instance beside that
`deployment_tasks`  what is asked of deployers, and what they answer
`queue`         the tasks as the queue knows them, with their retries
`run`           which run of a task this is, and whether another worker has it now
`later`, `pauses`, `clock`  when a task is tried again, and by whose clock
`troubles`      which tasks broke, how often and where
`overview`      what waits, runs and is put off
`worker`        runs tasks, and takes over those of workers that died

Tasks are enqueued in the transaction of the events, or with what is sealed before there are any,
run at least once, and report by commands.
A report carries the operation's id and attempt, so that one which comes late is recognised.
"""
