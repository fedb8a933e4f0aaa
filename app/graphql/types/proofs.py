"""What makes the log checkable: checkpoints and proofs."""

import base64
from typing import Annotated, cast

import strawberry

from app.audit import proofs
from app.graphql import context
from app.graphql.types.scalars import DateTime, Position


@strawberry.type(description="A signed state of the log: how many events, and their Merkle root.")
class AuditCheckpoint:
    """A signed state of the log."""

    size: Position = strawberry.field(description="The last position that it covers.")
    note: str = strawberry.field(
        description="The signed text, a note as c2sp.org/tlog-checkpoint has it."
    )
    signed_at: DateTime = strawberry.field(description="When it was signed.")


@strawberry.type(description="The proof that an event is in the log, as RFC 9162 has it.")
class InclusionProof:
    """The proof that an event is in the log."""

    position: Position = strawberry.field(description="The place of the event.")
    leaf: str = strawberry.field(
        description="Its leaf hash, base64: of the line that an export of the log holds."
    )
    hashes: list[str] = strawberry.field(description="The path to the root, base64.")
    checkpoint: AuditCheckpoint = strawberry.field(description="The state whose root it leads to.")


@strawberry.type(description="The proof that the log only grew, as RFC 9162 has it.")
class ConsistencyProof:
    """The proof that the log only grew."""

    earlier: AuditCheckpoint = strawberry.field(description="The earlier state.")
    hashes: list[str] = strawberry.field(description="The proof, base64.")
    checkpoint: AuditCheckpoint = strawberry.field(description="The later state.")


_Size = Annotated[
    Position | None,
    strawberry.argument(description="The size of the checkpoint; the newest if not given."),
]


async def checkpoint_of(
    asking: context.Context, *, size: Position | None = None
) -> AuditCheckpoint | None:
    """Return the checkpoint of that size. Raises LogDivergedError."""
    try:
        return _checkpoint(await asking.proofs.checkpoint(size=size))
    except proofs.NotCoveredError:
        return None


async def checkpoint(info: context.Info, size: _Size = None) -> AuditCheckpoint | None:
    """Return it to the executor."""
    return await checkpoint_of(info.context, size=size)


async def inclusion_of(
    asking: context.Context, *, position: Position, size: Position | None = None
) -> InclusionProof | None:
    """Prove that an event is in the log. Raises LogDivergedError."""
    try:
        found = await asking.proofs.inclusion(position=position, size=size)
    except proofs.NotCoveredError:
        return None
    return InclusionProof(
        position=cast("Position", asking.event_log.place(found.position)),
        leaf=_text(found.leaf),
        hashes=[_text(each) for each in found.hashes],
        checkpoint=_checkpoint(found.checkpoint),
    )


async def inclusion(
    info: context.Info,
    position: Annotated[Position, strawberry.argument(description="The place of the event.")],
    size: _Size = None,
) -> InclusionProof | None:
    """Return it to the executor."""
    return await inclusion_of(info.context, position=position, size=size)


async def consistency_of(
    asking: context.Context, *, earlier: Position, size: Position | None = None
) -> ConsistencyProof | None:
    """Prove that the log only grew. Raises LogDivergedError."""
    try:
        found = await asking.proofs.consistency(earlier=earlier, size=size)
    except proofs.NotCoveredError:
        return None
    return ConsistencyProof(
        earlier=_checkpoint(found.earlier),
        hashes=[_text(each) for each in found.hashes],
        checkpoint=_checkpoint(found.checkpoint),
    )


async def consistency(
    info: context.Info,
    earlier: Annotated[
        Position, strawberry.argument(description="The size of the earlier checkpoint.")
    ],
    size: _Size = None,
) -> ConsistencyProof | None:
    """Return it to the executor."""
    return await consistency_of(info.context, earlier=earlier, size=size)


def _checkpoint(found: proofs.Checkpoint) -> AuditCheckpoint:
    return AuditCheckpoint(
        size=Position(found.size), note=found.note, signed_at=DateTime(found.signed_at)
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
