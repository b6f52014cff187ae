"""The packages, found: the folders at the top are the rooms of `prefect_governor`.

All else stands in pyproject.toml, which can map a folder but cannot look for what is inside it.
"""

from setuptools import find_packages, setup

ROOMS = {
    "prefect_governor": "api",
    "prefect_governor.blocks": "blocks",
    "prefect_governor.flows": "flows",
}

setup(
    package_dir=ROOMS,
    packages=[
        *ROOMS,
        *(f"{room}.{name}" for room, folder in ROOMS.items() for name in find_packages(folder)),
    ],
)
