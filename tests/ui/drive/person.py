"""A person at one of Prefect's UIs: what they fill in, press and read."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from playwright.async_api import Locator, Page, Response, expect
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor.flows.server.background import ServerInfo
from tests.integration.endings.bringing import artifacts

SERVICE_UNAVAILABLE = 503
# Chromium on a busy machine.
PATIENCE_SECONDS = 120
_MS = PATIENCE_SECONDS * 1000


@dataclass(frozen=True)
class Chosen:
    """One of a list; of an input with tabs, in one of them."""

    option: str
    tab: str | None = None


@dataclass(frozen=True)
class Json:
    """What is pasted into a box of JSON."""

    text: str


# A text is typed; texts are the items of a list.
Value = str | Sequence[str] | Chosen | Json


class Person(ABC):
    """Finds inputs by the titles above them, and buttons by what stands on them."""

    prefix: ClassVar[str]

    def __init__(self, page: Page, server: ServerInfo, client: SyncPrefectClient) -> None:
        self.page, self._client = page, client
        self._url = f"{server.ui_url}{self.prefix}"
        page.set_default_timeout(_MS)
        expect.set_options(timeout=_MS)

    async def make_block(self, slug: str, name: str, values: Mapping[str, Value]) -> UUID:
        """Through the form of the catalog."""
        await self.page.goto(f"{self._url}/blocks/catalog/{slug}/create")
        await self.name_block(name)
        await self.fill(values)
        await self.save_block()
        await self.page.wait_for_url(re.compile(r"/blocks/block/[0-9a-f-]{36}$"))
        return UUID(self.page.url[-36:])

    async def edit_block(self, document: UUID, values: Mapping[str, Value]) -> None:
        await self.page.goto(f"{self._url}/blocks/block/{document}/edit")
        await self.fill(values)
        await self.save_block()
        await self.page.wait_for_url(re.compile(r"/blocks/block/[0-9a-f-]{36}$"))

    async def open_form(self, deployment: UUID) -> None:
        """Of a deployment, by its button."""
        await self.page.goto(f"{self._url}/deployments/deployment/{deployment}")
        await self.page.get_by_role("button", name="Run", exact=True).click()
        await self.custom_run().click()

    async def start(self, deployment: UUID, values: Mapping[str, Value]) -> UUID:
        """Starts a run from the form of its deployment."""
        await self.open_form(deployment)
        await self.fill(values)
        submit = self.page.get_by_role("button", name="Submit", exact=True)
        made = await self.send(submit, "create_flow_run")
        return UUID((await made.json())["id"])

    async def send(self, button: Locator, what: str) -> Response:
        """Presses what sends a request, and again where the server is too busy to take it."""
        while True:
            async with self.page.expect_response(re.compile(f"/{what}$")) as sent:
                await button.click()
            response = await sent.value
            if response.status != SERVICE_UNAVAILABLE:
                assert response.ok, await response.text()
                return response

    async def open_run(self, run_id: UUID) -> None:
        await self.page.goto(f"{self._url}/runs/flow-run/{run_id}")

    async def reads(self, run_id: UUID, key: str, *pieces: str) -> None:
        """The page of the newest artifact of a key says these, once it is drawn."""
        found = [each for each in artifacts(self._client, run_id) if each.key == key]
        newest = max(found, key=lambda each: str(each.created))
        await self.page.goto(f"{self._url}/artifacts/artifact/{newest.id}")
        for piece in pieces:
            await expect(self.page.locator("body")).to_contain_text(piece)

    async def fill(self, values: Mapping[str, Value]) -> None:
        for title, value in values.items():
            label = self.page.get_by_text(re.compile(rf"^{re.escape(title)}( \(Optional\))?$"))
            await expect(label).to_be_visible()
            if isinstance(value, Json):
                box = "contains(@class, 'cm-content') or self::textarea"
                await self.after(label, box).fill(value.text)
            elif isinstance(value, Chosen):
                if value.tab is not None:
                    tab = f"text()[normalize-space() = '{value.tab}']"
                    await self.after(label, tab).click()
                await self.choose(label, value.option)
            elif isinstance(value, str):
                await self.after(label, "self::input or self::textarea").fill(value)
            else:
                await self.fill_list(label, value)

    async def fill_list(self, label: Locator, values: Sequence[str]) -> None:
        """A new item for each, or the first that is there."""
        boxes = label.locator("xpath=following::textarea")
        add = self.after(label, "self::button[contains(., 'Add item')]")
        for at, value in enumerate(values):
            # Where the next button is that of this list, its items stand before it.
            if at >= await self.items_of(label):
                before = await boxes.count()
                await add.click()
                # Until it is drawn, the next box is that of another input.
                await expect(boxes).to_have_count(before + 1)
            await boxes.nth(at).fill(value)

    async def items_of(self, label: Locator) -> int:
        """How many a list has, before its button."""
        add = await self.after(label, "self::button[contains(., 'Add item')]").bounding_box()
        here = await label.bounding_box()
        assert add is not None
        assert here is not None
        found = 0
        for box in await label.locator("xpath=following::textarea").all():
            place = await box.bounding_box()
            if place is not None and here["y"] < place["y"] < add["y"]:
                found += 1
        return found

    def after(self, label: Locator, what: str) -> Locator:
        """The first such element behind a label."""
        return label.locator(f"xpath=following::*[{what}][1]")

    @abstractmethod
    def custom_run(self) -> Locator:
        """What opens the form, behind the button."""

    @abstractmethod
    async def name_block(self, name: str) -> None: ...

    @abstractmethod
    async def save_block(self) -> None: ...

    @abstractmethod
    async def choose(self, label: Locator, option: str) -> None: ...

    @abstractmethod
    async def offered(self, run_id: UUID) -> set[str]:
        """What of Retry, Cancel and Resume a run's page offers."""

    @abstractmethod
    async def press(
        self, run_id: UUID, button: str, values: Mapping[str, Value] | None = None
    ) -> None:
        """One of those, on the run's page, and what it asks to be filled in and confirmed."""


# What the buttons of a run's page send.
SENT = "(set_state|resume)"
_CONTROLS = ("Retry", "Cancel", "Resume")


class DefaultUi(Person):
    """The one that opens by default."""

    prefix = ""

    def custom_run(self) -> Locator:
        return self.page.get_by_text("Custom run", exact=True)

    async def name_block(self, name: str) -> None:
        await self.fill({"Block Name": name})

    async def save_block(self) -> None:
        save = self.page.get_by_role("button", name=re.compile("^(Create|Save)$"))
        await save.click()

    async def choose(self, label: Locator, option: str) -> None:
        # A click of Playwright's opens the list and shuts it again.
        await self.after(label, "contains(@class, 'p-select-button__control')").press("ArrowDown")
        options = self.page.locator(".p-select-option")
        await options.filter(has_text=re.compile(rf"^\s*{option}\s*$")).click()

    async def offered(self, run_id: UUID) -> set[str]:
        await self.open_run(run_id)
        await expect(self.page.get_by_text("Artifacts", exact=True).first).to_be_visible()
        return {
            each for each in _CONTROLS if await self.page.get_by_role("button", name=each).count()
        }

    async def press(
        self, run_id: UUID, button: str, values: Mapping[str, Value] | None = None
    ) -> None:
        await self.open_run(run_id)
        await self.page.get_by_role("button", name=button, exact=True).click()
        if values is not None:
            await self.fill(values)
        confirm = re.compile("^(Retry|Confirm|Submit)$")
        dialog = self.page.locator(".p-modal")
        await self.send(dialog.get_by_role("button", name=confirm), SENT)
        await expect(dialog).to_have_count(0)


class NewerUi(Person):
    """The one under /v2."""

    prefix = "/v2"

    def custom_run(self) -> Locator:
        return self.page.get_by_role("menuitem", name="Custom run")

    async def name_block(self, name: str) -> None:
        await self.page.get_by_label("Name", exact=True).fill(name)

    async def save_block(self) -> None:
        await self.page.get_by_role("button", name="Save", exact=True).click()

    async def choose(self, label: Locator, option: str) -> None:
        await self.after(
            label, "self::button[not(@role = 'tab' or @aria-haspopup = 'menu')]"
        ).click()
        await self.page.get_by_role("option", name=option, exact=True).click()

    async def offered(self, run_id: UUID) -> set[str]:
        await self.open_run(run_id)
        await self.page.get_by_role("button", name="Open menu").click()
        await expect(self.page.get_by_role("menuitem").first).to_be_visible()
        items = await self.page.get_by_role("menuitem").all_inner_texts()
        return {*items} & {*_CONTROLS}

    async def press(
        self, run_id: UUID, button: str, values: Mapping[str, Value] | None = None
    ) -> None:
        await self.open_run(run_id)
        await self.page.get_by_role("button", name="Open menu").click()
        await self.page.get_by_role("menuitem", name=button, exact=True).click()
        if values is not None:
            await self.fill(values)
        dialog = self.page.get_by_role("dialog").or_(self.page.get_by_role("alertdialog"))
        confirm = re.compile("^(Retry|Resume|Cancel Flow Run)$")
        await self.send(dialog.get_by_role("button", name=confirm), SENT)
        await expect(dialog).to_have_count(0)


UIS: Mapping[str, type[Person]] = {"default": DefaultUi, "newer": NewerUi}
