"""The log for outsiders: what they can trust without trusting us.

lines         an event as a line of text, a CloudEvent; its bytes are a leaf of the tree
tree          the Merkle tree of RFC 9162: which nodes an event adds, which ones a proof is made of
signing       the key of the log, and checkpoints as signed notes (C2SP)
exporting     lines by the thousand, as the database writes them
selecting     which events: what the filters mean, each with its index
feed          the log from a position on, and then what comes
streaming     the feed over HTTP: lines or Server-Sent Events; asked, compression beside it
outlet        the feed into a stream of NATS JetStream, each event once
sealer        the one that lets the tree grow after the log, and signs how far it came
witnesses     where checkpoints go, so that copies lie outside the database owner's reach
proofs        inclusion and consistency proofs, from the stored nodes
serving       the addresses below /audit
event_page    EVENTS.md, what each event means, made from the classes
commands      the same for the command line
verification  checks an exported log offline; shares no code with all of the above

A leaf is the hash of the very line that an export holds: who keeps the lines as they came needs
SHA-256 and nothing else to check them. Each event is covered within a second, or a thousand
events, of its commit; the commit itself waits for nothing.
"""
