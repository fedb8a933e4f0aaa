"""The page of events is that of the code."""

from pathlib import Path

from app.audit import event_page
from domain import events

PAGE = Path(event_page.__file__).with_name("EVENTS.md")


def released() -> dict[str, type[events.Event]]:
    return {
        topic: event
        for topic, event in events.all_events().items()
        if event.__module__.startswith("domain.")
    }


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == event_page.text(), (
        "Print it anew: servicebook events describe > app/audit/EVENTS.md"
    )


def test_every_event_is_on_the_page_with_when_it_happens() -> None:
    lines = event_page.text().splitlines()

    for topic in released():
        place = lines.index(f"### {topic}")
        version, _, meaning = lines[place + 2].partition(". ")
        assert version.startswith("Version ")
        assert meaning.endswith("."), topic
