"""What a request to Gemini's `generateContent` may hold, in its JSON's camel case.

A field, a part or a tool that stands in no table here is refused by name: it might be one that
costs.
"""

from collections.abc import Mapping

FIELDS = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig",
     "labels", "model", "serviceTier"}
)  # fmt: skip
# Fields that stand for what nobody sees.
UNSEEN_FIELDS: Mapping[str, str] = {
    "cachedContent": "a cached content by name has a length that nobody sees here",
}
REFUSED_FIELDS: Mapping[str, str] = {
    "modelArmorConfig": "what it screens is billed beside the tokens",
    "store": "an interaction that is kept has a price of its own",
}
CONFIG_FIELDS = frozenset(
    {"maxOutputTokens", "candidateCount", "temperature", "topP", "topK", "stopSequences",
     "responseMimeType", "responseSchema", "responseJsonSchema", "seed", "presencePenalty",
     "frequencyPenalty", "responseLogprobs", "logprobs", "thinkingConfig", "mediaResolution",
     "responseModalities", "imageConfig", "enableEnhancedCivicAnswers", "audioTimestamp"}
)  # fmt: skip
# Images are output tokens, so many each by model and size: 747 to 2,520
# (ai.google.dev/gemini-api/docs/image-generation, aspect ratios and image size). An answer may hold
# several, and `maxOutputTokens` counts them all.
MOST_IMAGE_TOKENS = 2520
IMAGE_FIELDS = frozenset(
    {"aspectRatio", "imageSize", "personGeneration", "prominentPeople", "imageOutputOptions"}
)
REFUSED_CONFIG: Mapping[str, str] = {
    "speechConfig": "audio output has a price of its own",
    "routingConfig": "it lets the provider choose a dearer model",
    "modelSelectionConfig": "it lets the provider choose a dearer model",
}
BYTE_PARTS = frozenset({"text", "functionCall", "functionResponse"})
# What may stand beside them in a part.
PART_FIELDS = frozenset(
    {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}
)
UNSEEN_PARTS: Mapping[str, str] = {
    "inlineData": "an image's, audio's or file's tokens are not bounded by its bytes",
    "fileData": "a file by URI has a length that nobody sees here",
}
REFUSED_PARTS: Mapping[str, str] = {
    "executableCode": "code that ran at the provider may be long, and its output longer",
    "codeExecutionResult": "code that ran at the provider may be long, and its output longer",
}
LOCAL_TOOL = "functionDeclarations"
REFUSED_TOOLS: Mapping[str, str] = {
    "googleSearch": "a search is billed beside the tokens",
    "googleSearchRetrieval": "a search is billed beside the tokens",
    "enterpriseWebSearch": "a search is billed beside the tokens",
    "googleMaps": "a query is billed beside the tokens",
    "urlContext": "it reads pages of any length",
    "fileSearch": "it reads files of any length",
    "retrieval": "it reads texts of any length",
    "codeExecution": "what its code writes is read again, at any length",
    "computerUse": "the provider writes its description, of a length that is not known here",
    "mcpServers": "its tools have a length that nobody sees here",
}
