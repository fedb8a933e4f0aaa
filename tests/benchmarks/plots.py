"""What happens in the stories: ordinary projects, and the largest of everything."""

from app import catalogue as catalogues
from domain import states
from domain.service_instance import ServiceInstance
from tests.benchmarks import rollouts, stories

_EXTRA = ("redis", "rabbitmq", "elasticsearch")
_CROWDED_PLACES = 5


def ordinary(*, seed: int, catalogue: catalogues.Catalogue, length: int) -> stories.Story:
    """Two or three environments, seven or nine live services, `length` events or a few more.

    With even seeds two, with odd ones three: half of the projects each.
    """
    story = stories.Story(seed=seed, catalogue=catalogue)
    story.subscribe({"postgres": 20, "s3": 20, **dict.fromkeys(_EXTRA, 10)})
    if seed % 2:
        story.open("staging")
    for number, offering in enumerate(_EXTRA):
        story.add(story.places[number % len(story.places)], offering, "DEFAULT")
    for place in story.places:
        rollouts.deploy(story, place)
    while story.length < length:
        _live_on(story)
    last = story.places[0]
    story.detach(_applied(story, last))
    return story


def crowded(*, seed: int, catalogue: catalogues.Catalogue, services: int) -> stories.Story:
    """One project with very many services, a fifth of them in each environment."""
    story = stories.Story(seed=seed, catalogue=catalogue)
    story.subscribe({"postgres": services, "redis": services, "s3": services})
    for name in ("staging", "review", "demo"):
        story.open(name)
    for place in story.places:
        for number in range(services // _CROWDED_PLACES - len(place.services)):
            story.add(place, ("postgres", "redis", "s3")[number % 3], f"PART_{number}")
        rollouts.deploy(story, place)
    return story


def long_lived(*, seed: int, catalogue: catalogues.Catalogue, length: int) -> stories.Story:
    """A project in which one service, the first, has a history of exactly `length` events."""
    story = stories.Story(seed=seed, catalogue=catalogue)
    place = story.places[0]
    rollouts.deploy(story, place)
    service = next(iter(place.services.values()))
    while service.version < length:
        match story.random.randrange(3):
            case 0:
                story.reveal(service)
            case _ if service.facts.wanted:
                story.detach(service)
            case _:
                story.attach(service)
    return story


def _live_on(story: stories.Story) -> None:
    """Let something happen, of the kinds that happen, and deploy it."""
    place = story.random.choice(story.places)
    service = _applied(story, place)
    match story.random.randrange(8):
        case 0:
            story.detach(service)
            rollouts.deploy(story, place)
            story.attach(service)
        case 1:
            story.rename(place, service, f"NAME_{story.length}")
        case 2:
            story.rotate(service)
            rollouts.deploy(story, place)
            story.revoke(service)
        case 3 if service.facts.offering == "postgres":
            story.update(service)
            return
        case 4:
            _come_and_go(story, place)
            return
        case 5:
            story.detach(service)
            rollouts.deploy(story, place, fails=True)
            story.attach(service)
        case _:
            story.reveal(service)
            story.detach(service)
            story.attach(service)
            return
    rollouts.deploy(story, place, fails=story.random.random() < 0.1)
    rollouts.deploy(story, place)


def _come_and_go(story: stories.Story, place: stories.Place) -> None:
    """Add a service, use it for a while, remove it."""
    passing = story.add(place, "postgres", f"TRIAL_{story.length}")
    story.provision(passing, fails=True)
    rollouts.deploy(story, place)
    story.detach(passing)
    rollouts.deploy(story, place)
    story.remove(place, passing)


def _applied(story: stories.Story, place: stories.Place) -> ServiceInstance:
    attached = states.ServiceInstanceState.ATTACHED
    return story.random.choice(
        [service for service in place.services.values() if service.facts.state is attached]
    )
