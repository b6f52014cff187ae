"""A plan as a picture: Mermaid for Markdown, SVG for an artifact. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

from prefect_governor.flows.deep_research.plan.plan import PlanTask, in_order

# Sizes of the SVG, in pixels.
_WIDTH, _HEIGHT = 168, 40
_ACROSS, _DOWN = 64, 20
_MARGIN = 16
# Beyond this many tasks a picture of boxes says nothing.
MOST_DRAWN = 200
_COLOURS: Mapping[str, str] = {
    "succeeded": "#2f855a",
    "failed": "#c53030",
    "over_budget": "#b7791f",
    "not_started": "#718096",
    "skipped": "#718096",
}
_LABEL = 22


def as_mermaid(tasks: Sequence[PlanTask]) -> str:
    """A flowchart, left to right. Ids are numbered, so that no text of a plan is Mermaid's."""
    names = {task.id: f"t{at}" for at, task in enumerate(tasks[:MOST_DRAWN])}
    lines = ["flowchart LR"]
    for task in tasks[:MOST_DRAWN]:
        lines.append(f'    {names[task.id]}["{escape(task.id)}"]')
        lines += [
            f"    {names[need]} --> {names[task.id]}" for need in task.depends_on if need in names
        ]
    return "\n".join(lines)


def as_svg(tasks: Sequence[PlanTask], states: Mapping[str, str] | None = None) -> str:
    """The tasks in columns, each one column right of the last that it depends on; coloured by their
    outcome where `states` has it."""
    drawn = tasks[:MOST_DRAWN]
    columns = _columns(drawn)
    place: dict[str, tuple[int, int]] = {}
    for column, ids in enumerate(columns):
        for row, task_id in enumerate(ids):
            x = _MARGIN + column * (_WIDTH + _ACROSS)
            place[task_id] = (x, _MARGIN + row * (_HEIGHT + _DOWN))
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _ACROSS) - _ACROSS
    height = 2 * _MARGIN + max(map(len, columns), default=1) * (_HEIGHT + _DOWN) - _DOWN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for task in drawn:
        x, y = place[task.id]
        for need in task.depends_on:
            if need in place:
                parts.append(_arrow(place[need], (x, y)))
    for task in drawn:
        parts.append(_box(task, place[task.id], (states or {}).get(task.id)))
    return "".join([*parts, "</svg>"])


def _columns(tasks: Sequence[PlanTask]) -> list[list[str]]:
    depth: dict[str, int] = {}
    for task in in_order(tasks):
        before = [depth[need] for need in task.depends_on if need in depth]
        depth[task.id] = max(before, default=-1) + 1
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for task in tasks:
        columns[depth[task.id]].append(task.id)
    return columns


def _arrow(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + _WIDTH, source[1] + _HEIGHT // 2
    x2, y2 = target[0], target[1] + _HEIGHT // 2
    bend = (x1 + x2) // 2
    return (
        f'<path d="M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}" fill="none" stroke="#a0aec0"'
        f' stroke-width="1.5"/><path d="M{x2} {y2}l-7 -4v8z" fill="#a0aec0"/>'
    )


def _box(task: PlanTask, place: tuple[int, int], state: str | None) -> str:
    x, y = place
    colour = _COLOURS.get(state or "", "#2b6cb0")
    label = task.id if len(task.id) <= _LABEL else f"{task.id[: _LABEL - 1]}…"
    return (
        f'<g><title>{escape(task.objective)}</title><rect x="{x}" y="{y}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" rx="6" fill="{colour}"/><text x="{x + _WIDTH // 2}"'
        f' y="{y + _HEIGHT // 2 + 5}" fill="#ffffff" text-anchor="middle">{escape(label)}'
        "</text></g>"
    )
