"""Prefect's pages, as a person goes through them."""

import re
from uuid import UUID

from playwright.async_api import Locator, Page, expect


class GovernorForm:
    """The form that makes or edits a Governor block."""

    def __init__(self, page: Page, ui_url: str) -> None:
        self.page = page
        self._ui_url = ui_url

    async def create(self, name: str) -> "GovernorForm":
        """Opens the catalog and from it the empty form."""
        await self.page.goto(f"{self._ui_url}/v2/blocks/catalog?blockName=governor")
        card = self.page.locator("[data-slot=card]").filter(
            has=self.page.get_by_text("Governor", exact=True)
        )
        await card.get_by_role("link", name="Create").click()
        await self.page.wait_for_url("**/blocks/catalog/governor/create")
        await self.page.get_by_label("Name", exact=True).fill(name)
        return self

    async def edit(self, document_id: UUID) -> "GovernorForm":
        await self.page.goto(f"{self._ui_url}/v2/blocks/block/{document_id}/edit")
        await expect(self.input("Max USD")).to_be_visible()
        return self

    def input(self, label: str) -> Locator:
        return self.page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$"))

    async def choose(self, label: str, option: str) -> None:
        await self.page.get_by_role("button", name=f"Select {label}").click()
        await self.page.get_by_role("option", name=option, exact=True).click()

    async def add_limit(self) -> None:
        await self.page.get_by_role("button", name="Add item").first.click()

    async def save(self) -> None:
        await self.page.get_by_role("button", name="Save").click()
        await self.page.wait_for_url(re.compile(r"/blocks/block/[0-9a-f-]{36}$"))


class DefaultForm:
    """A block's form in the UI that opens by default, whose labels belong to no input."""

    def __init__(self, page: Page, ui_url: str) -> None:
        self.page = page
        self._ui_url = ui_url

    async def create(self, slug: str, name: str) -> "DefaultForm":
        await self.page.goto(f"{self._ui_url}/blocks/catalog/{slug}/create")
        await self.fill("Block Name", name)
        return self

    async def fill(self, title: str, text: str) -> None:
        label = self.page.get_by_text(re.compile(rf"^{title}( \(Optional\))?$"))
        await label.locator("xpath=following::*[self::input or self::textarea][1]").fill(text)

    async def paste(self, title: str, text: str) -> None:
        """Into a box of JSON."""
        label = self.page.get_by_text(re.compile(rf"^{title}( \(Optional\))?$"))
        box = "xpath=following::*[contains(@class, 'cm-content') or self::textarea][1]"
        await label.locator(box).fill(text)

    async def save(self) -> None:
        await self.page.get_by_role("button", name="Create", exact=True).click()
        await self.page.wait_for_url(re.compile(r"/blocks/block/[0-9a-f-]{36}$"))


class RunPage:
    """The page of a flow run."""

    def __init__(self, page: Page, ui_url: str, run_id: str) -> None:
        self.page = page
        self._run_id = run_id
        self._url = f"{ui_url}/v2/runs/flow-run/{run_id}"

    async def open(self, tab: str = "Artifacts") -> "RunPage":
        await self.page.goto(f"{self._url}?tab={tab}")
        return self

    async def artifact(self, key: str) -> Page:
        """Follows the card: to the artifact, or in some releases to all artifacts of the key, and
        there to the one of this run."""
        await self.page.get_by_role("link", name=key).click()
        await self.page.wait_for_url(re.compile(rf"/artifacts/(key/{key}|artifact/)"))
        if "/artifacts/key/" in self.page.url:
            ours = self.page.locator(f"a[href*='{self._run_id}']")
            one = ours.locator("xpath=preceding::a[contains(@href, '/artifacts/artifact/')][1]")
            await one.click()
        await expect(self.page.get_by_role("tab", name="Raw")).to_be_visible(timeout=30_000)
        return self.page


class RunForm:
    """The form behind a deployment's Run, Custom run."""

    def __init__(self, page: Page, ui_url: str) -> None:
        self.page = page
        self._ui_url = ui_url

    async def open(self, deployment_id: UUID) -> "RunForm":
        await self.page.goto(f"{self._ui_url}/v2/deployments/deployment/{deployment_id}")
        await self.page.get_by_role("button", name="Run", exact=True).click()
        await self.page.get_by_role("menuitem", name="Custom run").click()
        return self

    async def fill(self, title: str, text: str) -> None:
        """Fills the parameter of a title."""
        label = self.page.get_by_text(re.compile(rf"^{title}( \(Optional\))?$"))
        parameter = label.locator("xpath=ancestor::*[.//textarea or .//input][1]")
        await parameter.locator("textarea, input").fill(text)

    async def submit(self) -> None:
        await self.page.get_by_role("button", name="Submit").click()
