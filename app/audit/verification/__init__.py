"""Checks an exported log offline, with the standard library and Ed25519 alone.

Nothing here is imported from the rest of the program, nor the other way round but by the command
line: a mistake of the writer is not repeated by its judge.

trees    roots and proofs as RFC 9162 defines and verifies them
notes    signed notes and checkpoints, read strictly
exports  an exported file against checkpoints: where it first goes wrong
"""
