"""Prefect's pages, as a person goes through them."""

import re
from uuid import UUID

from playwright.sync_api import Locator, Page, expect


class GovernorForm:
    """The form that makes or edits a Governor block."""

    def __init__(self, page: Page, ui_url: str) -> None:
        self.page = page
        self._ui_url = ui_url

    def create(self, name: str) -> "GovernorForm":
        """Opens the catalog and from it the empty form."""
        self.page.goto(f"{self._ui_url}/v2/blocks/catalog?blockName=governor")
        card = self.page.locator("[data-slot=card]").filter(
            has=self.page.get_by_text("Governor", exact=True)
        )
        card.get_by_role("link", name="Create").click()
        self.page.wait_for_url("**/blocks/catalog/governor/create")
        self.page.get_by_label("Name", exact=True).fill(name)
        return self

    def edit(self, document_id: UUID) -> "GovernorForm":
        self.page.goto(f"{self._ui_url}/v2/blocks/block/{document_id}/edit")
        expect(self.input("Max USD")).to_be_visible()
        return self

    def input(self, label: str) -> Locator:
        return self.page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$"))

    def choose(self, label: str, option: str) -> None:
        self.input(label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def add_limit(self) -> None:
        self.page.get_by_role("button", name="Add item").click()

    def save(self) -> None:
        self.page.get_by_role("button", name="Save").click()
        self.page.wait_for_url(re.compile(r"/blocks/block/[0-9a-f-]{36}$"))


class RunPage:
    """The page of a flow run."""

    def __init__(self, page: Page, ui_url: str, run_id: str) -> None:
        self.page = page
        self._url = f"{ui_url}/v2/runs/flow-run/{run_id}"

    def open(self, tab: str = "Artifacts") -> "RunPage":
        self.page.goto(f"{self._url}?tab={tab}")
        return self

    def artifact(self, key: str) -> Page:
        """Follows the card of an artifact to the artifact's own page."""
        self.page.get_by_role("link", name=key).click()
        expect(self.page.get_by_role("tab", name="Raw")).to_be_visible()
        return self.page


class RunForm:
    """The form behind a deployment's Run, Custom run."""

    def __init__(self, page: Page, ui_url: str) -> None:
        self.page = page
        self._ui_url = ui_url

    def open(self, deployment_id: UUID) -> "RunForm":
        self.page.goto(f"{self._ui_url}/v2/deployments/deployment/{deployment_id}")
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Custom run").click()
        return self

    def parameter(self, name: str) -> Locator:
        """The part of the form that is a parameter's."""
        label = self.page.get_by_text(re.compile(rf"^{name}( \(Optional\))?$"))
        return label.locator("xpath=ancestor::*[.//textarea or .//input or .//*[@role='tab']][1]")

    def fill(self, name: str, text: str, *, kind: str | None = None) -> None:
        """Fills a parameter; one that may be empty needs its `kind` chosen first."""
        parameter = self.parameter(name)
        if kind is not None:
            parameter.get_by_role("tab", name=kind, exact=True).click()
        parameter.locator("textarea, input").fill(text)

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()
