"""Haystack."""

from tests.frameworks.framework import Framework, Program

RAG = """
from haystack import Pipeline, Document
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.retrievers import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.components.builders import ChatPromptBuilder
from haystack.utils import Secret
from haystack.dataclasses import ChatMessage

document_store = InMemoryDocumentStore()
document_store.write_documents(
    [
        Document(content="My name is Jean and I live in Paris."),
        Document(content="My name is Mark and I live in Berlin."),
        Document(content="My name is Giorgio and I live in Rome."),
    ],
)

prompt_template = [
    ChatMessage.from_system(
        '''
        Given these documents, answer the question.
        Documents:
        {% for doc in documents %}
            {{ doc.content }}
        {% endfor %}
        '''
    ),
    ChatMessage.from_user("{{question}}"),
]
prompt_builder = ChatPromptBuilder(template=prompt_template, required_variables="*")
retriever = InMemoryBM25Retriever(document_store=document_store)
llm = OpenAIChatGenerator(model="gpt-4o-mini", api_key=Secret.from_env_var("OPENAI_API_KEY"))

rag_pipeline = Pipeline()
rag_pipeline.add_component("retriever", retriever)
rag_pipeline.add_component("prompt_builder", prompt_builder)
rag_pipeline.add_component("llm", llm)
rag_pipeline.connect("retriever", "prompt_builder.documents")
rag_pipeline.connect("prompt_builder", "llm.messages")

question = "Who lives in Paris?"
with governor:  # governed
results = rag_pipeline.run(
    {
        "retriever": {"query": question},
        "prompt_builder": {"question": question},
    }
)
# end
print(results["llm"]["replies"])
"""

FRAMEWORK = Framework(
    "Haystack",
    "haystack-ai",
    (
        Program(
            "pipeline",
            "https://docs.haystack.deepset.ai/docs/get-started",
            ("haystack-ai",),
            ("api.openai.com",),
            RAG,
            environment={"HAYSTACK_TELEMETRY_ENABLED": "False"},
        ),
    ),
)
