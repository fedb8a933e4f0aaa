"""The types that clients read, each with where its fields come from.

scalars             DateTime, Position, JSON
enums               the domain's words, explained
nodes               Node, and the pages of lists
orders, filters     in which order, and which ones
catalogue           offerings and their plans
projects            projects, members, subscriptions
environments        environments, revisions, deployers
deployments         deployments and their plans
service_instances   service instances, what is under way, what happened
history             what is different between two moments
audit               the log, event by event
proofs              what makes the log checkable: checkpoints and proofs
viewer              who asks
api_tokens          API tokens, for operators and auditors
refusals            why a command was refused
query               the doors to all of it
subscription        what happens from now on
"""
