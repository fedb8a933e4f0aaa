"""Facts about a person: what it signed up for."""

from domain.events.recorded import Created, Event


class PersonAppeared(Created):
    """A person did something of its own for the first time."""

    TOPIC = "PersonAppeared"
    subject: str


class BetaJoined(Event):
    """The person signed up for Beta features."""

    TOPIC = "BetaJoined"


class BetaLeft(Event):
    """The person no longer wants Beta features."""

    TOPIC = "BetaLeft"
