"""S1 to S3: what an environment starts with, and what can be added to it."""

from concurrent.futures import ThreadPoolExecutor

from tests.journeys.client import Api, Json


def test_a_new_environment_has_a_database_and_a_storage(api: Api) -> None:
    project = api.project()
    place = api.do("createEnvironment", project=project.id, name="staging")["environment"]

    services = api.services(place["id"])

    found = [(each["offering"]["name"], each["prefix"], each["state"]) for each in services]
    assert found == [("postgres", "DEFAULT", "NEW"), ("s3", "DEFAULT", "NEW")]
    assert all(each["wanted"] and not each["functional"] for each in services)
    assert api.revision(place["id"]) is None


def test_test_and_live_come_with_a_project_and_only_live_is_protected(api: Api) -> None:
    project = api.project()

    assert {each["protected"] for each in api.services(project.test)} == {False}
    assert {each["protected"] for each in api.services(project.live)} == {True}


def test_an_offering_without_units_is_refused(api: Api) -> None:
    project = api.project()

    refusal = api.refused("addService", environment=project.test, offering="elasticsearch")

    assert refusal["code"] == "NOT_SUBSCRIBED"
    assert len(api.services(project.test)) == 2


def test_a_second_instance_on_one_unit_is_refused(api: Api) -> None:
    project = api.project()
    units = [{"offering": "elasticsearch", "units": 1}]
    api.do("setSubscription", project=project.id, units=units)
    asked = {"environment": project.test, "offering": "elasticsearch"}

    added = api.do("addService", **asked)["serviceInstance"]
    refusal = api.refused("addService", **asked, prefix="SECOND")

    assert added["state"] == "NEW"
    assert refusal["code"] == "QUOTA_EXCEEDED"
    assert (refusal["offering"], refusal["limit"], refusal["used"]) == ("elasticsearch", 1, 1)


def test_fifty_racing_adds_on_three_units_give_three(api: Api) -> None:
    project = api.project()
    units = [{"offering": "elasticsearch", "units": 3}]
    api.do("setSubscription", project=project.id, units=units)

    def add(number: int) -> Json:
        return add_until_decided(api, project.test, f"SEARCH_{number}")

    with ThreadPoolExecutor(50) as racers:
        outcomes = list(racers.map(add, range(50)))

    won = [each["serviceInstance"]["id"] for each in outcomes if "serviceInstance" in each]
    lost = [each["code"] for each in outcomes if "code" in each]
    live = [each["id"] for each in api.services(project.test) if each["kind"] == "SEARCH"]
    assert sorted(won) == sorted(live)
    assert len(won) == 3
    assert set(lost) == {"QUOTA_EXCEEDED"}


def add_until_decided(api: Api, environment: str, prefix: str) -> Json:
    """Add a service, again if so many others were faster that nothing was decided."""
    while True:
        outcome = api.outcome(
            "addService", environment=environment, offering="elasticsearch", prefix=prefix
        )
        if outcome.get("code") != "VERSION_CONFLICT":
            return outcome


def test_fewer_units_than_used_change_no_service(api: Api) -> None:
    project = api.project()
    first = api.add(project.test, "redis")
    second = api.add(project.test, "redis", prefix="SESSIONS")

    units = [{"offering": "redis", "units": 1}]
    changed = api.do("setSubscription", project=project.id, units=units)["project"]

    (line,) = [each for each in changed["subscription"] if each["offering"]["name"] == "redis"]
    assert (line["units"], line["used"], line["overQuota"]) == (1, 2, True)
    assert {api.state(first), api.state(second)} == {"NEW"}
    asked = {"environment": project.test, "offering": "redis", "prefix": "THIRD"}
    assert api.refused("addService", **asked)["code"] == "QUOTA_EXCEEDED"


def test_projects_of_one_name_are_told_apart_by_their_ids(api: Api) -> None:
    first, second = [api.do("createProject", name="twin")["project"] for _ in range(2)]

    assert first["name"] == second["name"] == "twin"
    assert first["id"] != second["id"]


def test_an_environment_beyond_the_subscription_is_refused_with_its_numbers(api: Api) -> None:
    project = api.project()
    units = [{"offering": "postgres", "units": 1}]
    api.do("setSubscription", project=project.id, units=units)

    refusal = api.refused("createEnvironment", project=project.id, name="review")

    assert refusal["code"] == "QUOTA_EXCEEDED"
    assert (refusal["offering"], refusal["limit"], refusal["used"]) == ("postgres", 1, 2)
    assert "2 of 1 units are in use" in refusal["message"]


def test_a_prefix_is_taken_once_and_names_the_variables(api: Api) -> None:
    project = api.project()
    holder = api.default(project.test, "DATABASE")
    units = [{"offering": "postgres", "units": 3}]
    api.do("setSubscription", project=project.id, units=units)

    refusal = api.refused("addService", environment=project.test, offering="postgres")
    reports = api.do(
        "addService", environment=project.test, offering="postgres", prefix=" reports "
    )["serviceInstance"]

    assert refusal["code"] == "PREFIX_TAKEN"
    assert refusal["holder"] == {"__typename": "ServiceInstance", "id": holder}
    assert reports["variableNames"] == ["REPORTS_DATABASE_DSN"]
    assert api.service(holder)["variableNames"] == ["DEFAULT_DATABASE_DSN", "DATABASE_URL"]
    assert len(api.services(project.live)) == 2


def test_databases_of_two_offerings_do_not_share_a_prefix(api: Api) -> None:
    project = api.project()
    units = [{"offering": "mysql", "units": 1}]
    api.do("setSubscription", project=project.id, units=units)

    refusal = api.refused("addService", environment=project.test, offering="mysql")

    assert refusal["code"] == "PREFIX_TAKEN"


def test_members_come_and_go(api: Api) -> None:
    project = api.project()

    added = api.do("addMember", project=project.id, subject="ada", role="DEVELOPER")["project"]
    removed = api.do("removeMember", project=project.id, subject="ada")["project"]

    assert {"subject": "ada", "role": "DEVELOPER"} in added["members"]
    assert [each["role"] for each in removed["members"]] == ["MANAGER"]


def test_an_emptied_environment_can_be_deleted(api: Api) -> None:
    project = api.project()
    place = api.do("createEnvironment", project=project.id, name="review")["environment"]
    services = [each["id"] for each in api.services(place["id"])]

    refusal = api.refused("deleteEnvironment", id=place["id"])
    for service in services:
        api.do("removeService", id=service)
    deleted = api.do("deleteEnvironment", id=place["id"])["environment"]

    assert refusal["code"] == "ENVIRONMENT_NOT_EMPTY"
    assert deleted["deleted"] is True
    assert [api.history(each)[-1]["state"] for each in services] == ["REMOVED", "REMOVED"]
