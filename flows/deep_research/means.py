"""What the sub-agents of a run may look into, as they and their lead are told of it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Means:
    """What sub-agents may look into: a corpus, web pages, a search of the web, and what `others`
    name, the tools of MCP servers."""

    corpus: bool = True
    web: bool = False
    search: bool = False
    others: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        parts = ["a corpus of documents"] if self.corpus else []
        parts += ["the web"] if self.web else []
        return " and ".join(parts) or "what your tools give"

    @property
    def how(self) -> str:
        parts = []
        if self.corpus:
            it = "the corpus" if self.web else "it"
            parts.append(f"Search {it} with\n`search_corpus`, read more of a document with `read`")
        if self.search:
            parts.append(
                "Search the web with\n`web_search`, and read a page with `fetch` before you use it"
            )
        elif self.web:
            parts.append("Read a web page or a PDF\nwhose URL you know with `fetch`")
        if self.others:
            parts.append(f"Use {self._others} where they help")
        return ". ".join(parts)

    @property
    def _others(self) -> str:
        return ", ".join(f"`{name}`" for name in self.others)

    @property
    def sources(self) -> str:
        parts = ["names or patterns of the corpus"] if self.corpus else []
        parts += ["URLs and names of sites"] if self.web else []
        return ", ".join(parts) or "names"

    def holds(self, size: int, names: str) -> str:
        parts = [f"The corpus holds {size:,} documents{names}."] if self.corpus else []
        if self.web:
            found = (
                "search the web and read its pages"
                if self.search
                else ("read web pages whose URLs are known to them, and cannot search")
            )
            parts.append(f"Sub-agents can {found}.")
        if self.others:
            parts.append(f"They have the tools {self._others}.")
        return " ".join(parts)


OF_A_CORPUS = Means()
