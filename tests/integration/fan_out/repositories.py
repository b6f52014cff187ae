"""A folder of small repositories, some of whose tests pass."""

from pathlib import Path

PASSING = {
    "src/adding.py": "def add(one, other):\n    return one + other\n",
    "test_adding.py": (
        "import sys\nimport unittest\n\nsys.path.insert(0, 'src')\nfrom adding import add\n\n\n"
        "class Adding(unittest.TestCase):\n    def test_add(self):\n"
        "        self.assertEqual(add(2, 3), 5)\n"
    ),
    "README.md": "# Adding\n\nAdds two numbers.\n",
}
FAILING = {**PASSING, "src/adding.py": "def add(one, other):\n    return one - other\n"}
# As an agent runs them.
RUN_TESTS = (
    "import subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-m', 'unittest', '-v']).returncode)"
)


def make_repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
