"""The explorer in a real browser."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_PATIENCE_IN_SECONDS = 30
_ANSWER_IN_SECONDS = 10
_QUERY = ".graphiql-query-editor .view-lines"
_VARIABLES = ".graphiql-editor-tool .view-lines"
_RESULT = ".result-window .view-lines"
_SET_QUERY = """
    const isQuery = (model) => model.uri.path.endsWith("-operation.graphql");
    window.editor = __MONACO.editor.getEditors().find((each) => isQuery(each.getModel()));
    editor.setValue(arguments[0]);
"""
_IS_NOTICED = "Object.values(localStorage).some((kept) => kept.includes(arguments[0]))"


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """What a person does with the page."""

    browser: webdriver.Chrome
    origin: str

    def open(self, path: str = "/") -> None:
        self.browser.get(self.origin + path)
        self.wait_for_text(_QUERY, "tour")

    def evaluate(self, script: str, *arguments: str) -> Any:  # noqa: ANN401  whatever the page answers
        return self.browser.execute_script(f"return {script}", *arguments)

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def run(self, operation: str) -> None:
        # Typing would be completed and corrected by the editor; running is done by keyboard.
        self.browser.execute_script(_SET_QUERY, operation)
        self._wait(lambda _: self.evaluate(_IS_NOTICED, operation), "the operation in the store")
        self._wait(lambda _: self._has_answered(), "an answer")

    def _has_answered(self) -> bool:
        """Press the keys, once more if the page was too busy to notice."""
        # send_keys of an element would move the cursor to the end, into another operation.
        self.browser.execute_script(
            "editor.focus(); editor.setPosition({lineNumber: 1, column: 1})"
        )
        press = ActionChains(self.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
        press.key_up(Keys.CONTROL).perform()
        with contextlib.suppress(TimeoutException):
            WebDriverWait(self.browser, _ANSWER_IN_SECONDS).until(lambda _: self.read(_RESULT))
        return bool(self.read(_RESULT))

    def read(self, selector: str) -> str:
        elements = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return " ".join(element.text for element in elements).replace("\xa0", " ")

    def wait_for_text(self, selector: str, text: str) -> None:
        self._wait(lambda _: text in self.read(selector), f"{text!r} in {selector}")

    def wait_until(self, script: str) -> None:
        self._wait(lambda _: self.evaluate(script), script)

    def requested_addresses(self) -> list[str]:
        """Return what the page and its workers asked the network for since the last call."""
        entries = [json.loads(line["message"])["message"] for line in self._log("performance")]
        requests = [e["params"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        sockets = [e["params"] for e in entries if e["method"] == "Network.webSocketCreated"]
        return [params["request"]["url"] for params in requests] + [s["url"] for s in sockets]

    def complaints(self) -> list[str]:
        """Return what the policy blocked and what the console shows as errors."""
        errors = [line["message"] for line in self._log("browser") if line["level"] == "SEVERE"]
        return [*self.evaluate("window.violations"), *errors]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self.browser.get_log(kind)  # type: ignore[no-untyped-call, no-any-return]

    def _wait(self, condition: Callable[[Any], Any], missing: str) -> None:
        message = f"{missing} did not come; complaints: {self.complaints()}"
        WebDriverWait(self.browser, _PATIENCE_IN_SECONDS).until(condition, message)


@pytest.fixture
def explorer(chromium: webdriver.Chrome, origin: str) -> Explorer:
    """Return the explorer as somebody finds it who never was here before."""
    chromium.get(origin + "/graphiql/assets/nothing-here")
    chromium.execute_script("localStorage.clear(); sessionStorage.clear()")
    explorer = Explorer(browser=chromium, origin=origin)
    explorer.requested_addresses()
    explorer.complaints()
    return explorer


def test_the_tour_is_what_a_newcomer_sees(explorer: Explorer) -> None:
    explorer.open()

    assert "A tour" in explorer.read(_QUERY)
    assert "CreateProject" in explorer.read(_QUERY)
    assert "environment" in explorer.read(_VARIABLES)


def test_the_page_works_under_its_policy(explorer: Explorer) -> None:
    explorer.open("/#token=secret")
    explorer.run("query Who { caller }")

    explorer.wait_for_text(_RESULT, "Bearer secret")

    assert explorer.complaints() == []


def test_no_request_leaves_the_origin(explorer: Explorer) -> None:
    explorer.open("/#token=secret")
    explorer.run("subscription Count { count }")
    explorer.wait_for_text(_RESULT, "3 for")

    host = explorer.origin.removeprefix("http://")
    addresses = explorer.requested_addresses()

    here = (f"http://{host}/", f"ws://{host}/", "data:", "blob:")
    assert [address for address in addresses if not address.startswith(here)] == []
    assert f"ws://{host}/graphql" in addresses
    assert any("worker" in address for address in addresses)


def test_the_token_moves_from_the_address_into_the_session(explorer: Explorer) -> None:
    explorer.open("/#token=secret")

    assert explorer.browser.current_url == explorer.origin + "/"
    assert explorer.evaluate("Object.values(sessionStorage)") == ["secret"]
    assert not explorer.find("#sign-in").is_displayed()


def test_the_token_is_never_kept_beyond_the_session(explorer: Explorer) -> None:
    explorer.open("/#token=secret")
    explorer.run("query Who { caller }")
    explorer.wait_for_text(_RESULT, "Bearer secret")

    assert "secret" not in explorer.evaluate("JSON.stringify(localStorage)")
    assert "secret" not in explorer.evaluate("document.cookie")


def test_without_a_token_the_page_says_how_to_get_one(explorer: Explorer) -> None:
    explorer.open()

    explorer.wait_for_text("#sign-in", "servicebook token create")

    explorer.find("#token").send_keys("pasted\n")
    explorer.wait_until("sessionStorage.length === 1 && document.querySelector('.forget')")
    assert not explorer.find("#sign-in").is_displayed()
    assert explorer.evaluate("Object.values(sessionStorage)") == ["pasted"]


def test_a_token_that_comes_later_replaces_the_first(explorer: Explorer) -> None:
    explorer.open("/#token=first")

    explorer.browser.get(explorer.origin + "/#token=second")
    explorer.wait_until("sessionStorage.getItem('servicebook-token') === 'second'")
    explorer.wait_for_text(_QUERY, "tour")
    explorer.run("query Who { caller }")

    explorer.wait_for_text(_RESULT, "Bearer second")


def test_one_operation_of_many_runs_in_spite_of_the_others(explorer: Explorer) -> None:
    explorer.open("/#token=secret")

    explorer.run("query Who { caller } query Wrong { nothing }")

    explorer.wait_for_text(_RESULT, "Bearer secret")


def test_a_refused_token_can_be_replaced(explorer: Explorer) -> None:
    explorer.open("/#token=refused")

    explorer.wait_for_text("#sign-in", "does not accept this token")
    explorer.find("#token").send_keys("secret\n")
    explorer.run("query Who { caller }")

    explorer.wait_for_text(_RESULT, "Bearer secret")


def test_a_token_can_be_forgotten(explorer: Explorer) -> None:
    explorer.open("/#token=secret")

    explorer.find(".forget").click()

    explorer.wait_for_text("#sign-in", "servicebook token create")
    assert explorer.evaluate("sessionStorage.length") == 0


def test_the_documentation_of_the_schema_can_be_read(explorer: Explorer) -> None:
    explorer.open("/#token=secret")

    explorer.browser.find_element(
        "css selector", "[aria-label='Show Documentation Explorer']"
    ).click()
    explorer.wait_for_text(".graphiql-doc-explorer", "Query")
    explorer.browser.find_element("link text", "Query").click()

    explorer.wait_for_text(".graphiql-doc-explorer", "Say who asks")


def test_a_subscription_shows_what_it_is_told(explorer: Explorer) -> None:
    explorer.open("/#token=secret")

    explorer.run("subscription Count { count }")

    explorer.wait_for_text(_RESULT, "3 for Bearer secret")
    assert explorer.complaints() == []


def test_the_address_of_the_api_shows_the_page_too(explorer: Explorer) -> None:
    explorer.open("/graphql#token=secret")

    assert explorer.browser.current_url == explorer.origin + "/graphql"
    assert explorer.complaints() == []


def test_what_was_edited_is_found_again_and_the_tour_beside_it(explorer: Explorer) -> None:
    explorer.open("/#token=secret")
    explorer.run("query Mine { caller }")
    explorer.wait_for_text(_RESULT, "Bearer secret")

    explorer.browser.refresh()
    explorer.wait_for_text(_QUERY, "Mine")
    explorer.find(".open-tour").click()

    explorer.wait_for_text(_QUERY, "A tour")
    explorer.wait_for_text(_VARIABLES, "environment")
    explorer.wait_for_text("[aria-label='Select active operation']", "Mine")
