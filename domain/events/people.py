"""Facts about a person: what it signed up for, and that it is forgotten."""

from domain.events.recorded import Created, Event


class PersonAppeared(Created):
    """A person is spoken of for the first time: it signs up for something, or is erased."""

    TOPIC = "PersonAppeared"
    subject: str


class BetaJoined(Event):
    """The person signed up for Beta features."""

    TOPIC = "BetaJoined"


class BetaLeft(Event):
    """The person no longer wants Beta features."""

    TOPIC = "BetaLeft"


class PersonErased(Event):
    """The key of all that the person wrote so far is destroyed, in the same transaction."""

    TOPIC = "PersonErased"
    subject: str
