"""What one provider gives away, and what has the same path elsewhere and is billed."""

from functools import partial

from tests.integration.billing.table import Provider, Row

MODERATION = "developers.openai.com/api/docs/guides/moderation"
COUNTING = "developers.openai.com/api/docs/guides/token-counting"
STATE = "developers.openai.com/api/docs/guides/conversation-state"
FILES = "developers.openai.com/api/reference/resources/files"
TRACES = "openai.github.io/openai-agents-python/tracing"
STORES = "developers.openai.com/api/docs/pricing"
COHERE = "docs.cohere.com/docs/how-does-cohere-pricing-work"
GEMINI = "ai.google.dev/gemini-api/docs/files"
SEARCH = "ai.google.dev/gemini-api/docs/file-search"
CLAUDE = "platform.claude.com/docs/en/build-with-claude/files"
MISTRAL = "mistral.ai/pricing"
GROQ = "console.groq.com/docs/files"
OLLAMA = "github.com/ollama/ollama/blob/main/docs/api.md"

Free = partial(Row, model="omni-moderation-latest", billed="nothing", outcome="free")
Billed = partial(Row, model="omni-moderation-latest", outcome="refused")
COHERES, GEMINIS = "https://api.cohere.com", "https://generativelanguage.googleapis.com"
CLAUDES, MISTRALS = "https://api.anthropic.com", "https://api.mistral.ai"

ROWS = (
    Free("OpenAI: moderation", page=MODERATION, path="/v1/moderations"),
    Free("OpenAI: tokens that are counted", page=COUNTING, path="/v1/responses/input_tokens"),
    Free("OpenAI: a conversation", page=STATE, path="/v1/conversations"),
    Free("OpenAI: items of a conversation", page=STATE, path="/v1/conversations/conv_1/items"),
    Free("OpenAI: a file", page=FILES, path="/v1/files"),
    Free("OpenAI: a part of a file", page=FILES, path="/v1/uploads/upload_1/parts"),
    Free("OpenAI: traces of its Agents SDK", page=TRACES, path="/v1/traces/ingest"),
    Free("OpenAI: a gateway of one's own that says so", page=MODERATION, path="/v1/moderations",
         origin="http://gateway:4000", whose="openai"),
    Billed("a gateway that does not", page=MODERATION, path="/v1/moderations",
           origin="http://gateway:4000", says='provider="openai"'),
    Billed("OpenAI: a vector store", page=STORES, path="/v1/vector_stores",
           says="/v1/vector_stores", billed="each GB a day"),
    Billed("OpenAI: a file in a vector store", page=STORES, path="/v1/vector_stores/vs_1/files",
           says="/v1/vector_stores", billed="each GB a day"),
    Billed("Mistral: moderation", page=MISTRAL, path="/v1/moderations", says="/v1/moderations",
           billed="each token", origin=MISTRALS),
    Billed("Mistral: items of a conversation", page=MISTRAL, path="/v1/conversations/conv_1",
           says="/v1/conversations", billed="each token", origin=MISTRALS),
    Billed("Mistral: an agent of theirs", page=MISTRAL, path="/v1/agents/completions",
           says="chat completions", billed="each token", origin=MISTRALS),
    Billed("Groq: a file", page=GROQ, path="/openai/v1/files", says="/openai/v1/files",
           billed="nothing, which no page promises", origin="https://api.groq.com"),
    Free("Anthropic: a file", page=CLAUDE, path="/v1/files", origin=CLAUDES),
    Free("Gemini: a file", page=GEMINI, path="/upload/v1beta/files", origin=GEMINIS),
    Billed("Gemini: a file that is searched", page=SEARCH, origin=GEMINIS,
           path="/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
           says="fileSearchStores", billed="each token that is embedded"),
    Free("Cohere: tokens of a text", page=COHERE, path="/v1/tokenize", origin=COHERES),
    Free("Cohere: a text of tokens", page=COHERE, path="/v1/detokenize", origin=COHERES),
    Billed("Cohere: a class", page=COHERE, path="/v1/classify", origin=COHERES, says="/v1/classify",
           billed="each classification"),
    Free("Ollama: a model that is fetched", page=OLLAMA, path="/api/pull",
         origin="http://localhost:11434"),
)  # fmt: skip

PROVIDER = Provider("Free, and what looks so", "https://api.openai.com", "/v1", {}, ROWS)
