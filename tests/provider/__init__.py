r"""The strict loopback provider: OpenAI-compatible, with its own bill, limits, faults and log.

It is the judge in our tests: it imports nothing of prefect_governor or LiteLLM, counts its own
tokens, and computes its own bill in integer nano-dollars, each call rounded up once.

In a test (fixtures in `tests/provider/fixtures.py`):

    def test_bill(provider):                                # the default config
    def test_limits(make_provider):
        provider = make_provider(latency_seconds=0.2, output_tokens=[20, 80],
                                 limits={"requests_per_minute": 600, "window_seconds": 10})
        ...                                                 # provider.api_base is http://…/v1
        stats = provider.settled_stats()                    # waits until nothing is open
        assert stats["billed_nano"] == spent_nano

In code: `with ProviderProcess(**config) as provider:` (`tests.provider.process`), with `.url`,
`.api_base`, `.pid`, `.stats()`, `.settled_stats()`, `.log()`, `.configure(**changes)`, `.reset()`,
`.renew(**config)` (as if started anew, in 1 ms) and `.stop()`. `log_path=PATH` also appends to
a file (`tests.provider.books.log.read_log` reads it), `port=N` fixes the port. From a shell:
`python -m tests.provider --port 0 --config '{…}' --log PATH` prints `{"url": "http://127.0.0.1:N"}`
when it listens (`--config @FILE` reads a file).

Served: POST /v1/chat/completions (plain, streamed, tools, response_format, n), /v1/responses
(plain, streamed, function tools, text.format), /v1/embeddings, /v1/messages
(Anthropic's), …/models/{model}:generateContent and :streamGenerateContent (Gemini's), the same and
:rawPredict and :streamRawPredict under /v1/projects/P/locations/L/publishers/ (Vertex AI's, for the
token that POST /token gives for a service account's signed claim), /api/chat and
/api/generate (Ollama's), /v2/chat (Cohere's), /model/{modelId}/converse[-stream] and, for
Anthropic's models, /invoke[-with-response-stream] (Amazon Bedrock's, with its event streams and its
errors), all plain and streamed; /v1/embed and /v2/embed (Cohere's), …/models/{model}:embedContent
and :batchEmbedContents (Gemini's), /api/embed (Ollama's), /v1/rerank and /v2/rerank (Cohere's,
Voyage's); as Azure does
/openai/deployments/{name}/chat/completions and /embeddings, /openai/responses (both with a dated
`api-version`) and /openai/v1/…, with its filters' results; GET /v1/models;
and for the test GET /_provider/stats, /_provider/log, /_provider/usage.csv and usage.jsonl (what
was billed, as a provider exports it: `.usage_export(format=…)`), /_provider/config, and
POST /_provider/config
(replaces the top-level fields it holds; only what remembers something for a changed field starts
afresh: the windows of `limits`, the draws of `faults`, the progress of scripts), /_provider/reset
(everything afresh; a body is the whole new config; 409 while calls are open).

Config (every field optional)
  prices                {model: {"input": "0.00000015", "output": "…", "cached_input": "…",
                        "above": {128000: {…}}, "tiers": {"priority": {…}}}}, USD a token, strings.
                        Added to the default table (`bill.DEFAULT_PRICES`: gpt-4o-mini, gpt-4o,
                        gpt-4.1[-mini|-nano], gpt-5[-mini], gpt-5.4, o3-mini, gpt-3.5-turbo at
                        LiteLLM's prices). A model without a price is a 404. `above`: rates of the
                        whole request once its input is over the threshold. `tiers`: by the
                        request's `service_tier` (which a reply echoes); unknown ones are a 400.
  routes                {model: [price, …]}: a router of these models. Who answers is the dearest
                        that the request's `provider.max_price` allows, of all its `models`, nobody
                        a 404; the reply states the bill (`usage.cost`) as OpenRouter's does
  hosts                 {host: {model: price}}: prices of the requests to a host (their header
                        `host`), before those of `prices`
  hosted                true: earlier responses by id, files by id and tools that a provider runs
                        are taken; what they cost is the script's `used` (false: 400)
  deployments           {name: {"model", "price"}}: Azure's, billed at that price; replies name that
                        model. Without one, a deployment is named as its model is.
  asynchronous_filter   true: Azure's filter says what it found of an answer at a stream's end
  auto_tier             the tier of requests that ask for none or "auto" ("default")
  keys                  accepted bearer keys; others get 401 (any key is accepted)
  aws_keys              {access key: {"secret", "token"}}: who may sign as AWS has it (nobody); a
                        signature is computed again, and one that does not hold gets 403
  insufficient_quota    true: every call is a 429 with that code
  context_tokens        over it: 400 context_length_exceeded (no limit)
  token_factor          1.0 to 1.5 times tiktoken's count, rounded up (1.0)
  image_tokens          an image part's tokens, on top of that (765)
  cached_fraction       share of the input reported, and billed, as cached (0)
  written_fraction      share of the rest reported, and billed, as written to a cache, where a
                        request to Anthropic's API or Bedrock's asks for one (0); for an hour
                        where its ttl says so
  bill_abandoned        a call whose client goes away before its reply is billed in full, at that
                        moment (true). A stream is billed in full before its first byte.
  output_tokens         N, [lo, hi] (by the prompt's hash) or "max": as many as allowed (24).
                        Never above max_tokens / max_completion_tokens: finish_reason "length".
  images                images of 1290 tokens each in an answer of a Gemini model whose price has
                        `image`, unless it is asked for text alone (1); begun within the limit
  default_output_tokens the allowance of a request that sends neither (1024)
  reads                 true: a lead and agents that plan and answer the questions of `riddles`
                        from what their tools showed (`reader`); before any script (false)
  obeys                 true: a model that does what any text that it reads tells it, tool calls too
                        (`obeyer`); before any script (false)
  script                {regex: reply}, or [{"match": regex, "reply": reply, "by": …, "expand": …}];
                        first match over the last user message. A reply is a text, or {"text",
                        "tool_calls": [{"name", "arguments"}], "status" (not 200: an unbilled error,
                        "text" its message, "code" its code), "headers", "body" (sent raw as a 200,
                        billed: invalid JSON), "fault", "finish_reason" (OpenAI's, or the family's
                        own name), "filtered" (Azure's 400 for a prompt that its filter holds back:
                        billed; "states_usage" says how much), "refusal" (in place of an answer;
                        Anthropic's stop_reason), "blocked" (Gemini's blockReason),
                        "latency_seconds", "used" (what it is billed for, see `config.Used`),
                        "billed" (true: an error that is)}, or a list of them: consumed in turn,
                        the last one for ever. by="turn" takes the one numbered by the assistant
                        messages so far (agent loops in parallel); expand=true expands \1 and
                        \g<name> in the text.
  tool_calls            parallel calls made of a request's tools, minimal valid arguments (0), in
  tool_turns            … the first so many assistant turns (1). tool_choice is obeyed.
                        response_format json_schema answers with a minimal valid instance.
  latency_seconds       N or [lo, hi], before the reply's first byte (0)
  stream_seconds        N or [lo, hi], from a stream's first byte to its last (0)
  stream_chunk_tokens   words in a chunk of a stream (8)
  limits                one of these, or a list; a call passes all that match at once, or none:
    model               glob over the model ("*")
    max_concurrent, requests_per_second, requests_per_minute, tokens_per_minute,
    input_tokens_per_minute, output_tokens_per_minute
    kind                "fixed" (windows aligned to CLOCK_MONOTONIC 0), "sliding", "bucket"
    window_seconds      the per-minute rates are counted over: 600 a minute and 10 s is 100 (60)
    burst               a bucket's capacity (a window's worth)
    count_tokens        "end": what was used, at its end, admitted while anything is left;
                        "arrival": input + max_tokens; "corrected": so, then made what it was
    count_denied        refused requests count as requests too (false)
  faults                at most one a call that the limits let in; rates from 0 to 1:
    error_429           a 429 with Retry-After: `retry_after_seconds` (1)
    error_500, error_500_billed
    disconnect_before_billing, disconnect_after_billing     the connection closes, no reply
    hang, hang_billed   no reply for `hang_seconds` (600), then the connection closes
    malformed_json      a 200 cut in its JSON (a stream: one event in the middle), billed
    cut_stream          half a reply, billed: a stream ends cleanly with neither finish_reason,
                        usage nor [DONE]; a plain reply breaks off within its Content-Length
    drop_stream         the same, but a stream's connection breaks off too
    no_usage            a whole reply without its usage, billed
    seed                (1) with by="arrival" a draw depends on it and the arrival number alone;
    by                  by="body": on the body and how often it has come; by="request": on the
                        body alone, so that what it hits is hit at each retry
    first_attempt_only  a body that came before is spared (false)
    at                  {arrival number from 1: fault}: exactly these, whatever the rates

Stats: now, open, max_open (refused calls count while they last), in_flight_seconds (the integral
of open), requests, billed_nano, billed_calls, input_tokens, cached_tokens, output_tokens,
abandoned, throttled (429s by limits), throttled_by, faults {kind: n}, statuses, first_arrival,
last_end, internal_errors. A call is open from its full arrival until its reply's last byte is
written or its client is gone; one whose client left before it was read was never open (`gone` in
its record) but is billed like any abandoned call. Log records: `log.Record`; `tag` is the header
x-test-tag or the last user message's first line, `request_id` the header x-client-request-id.
`log.utilization(records, cap)` is P11's figure.
"""
