"""A server on stdio as the documentation of the SDK writes one. Run in a sandbox, with the SDK
beside it."""

from mcp.server import MCPServer

server = MCPServer("parts")


@server.tool()
def in_stock(part: str) -> str:
    """How many of a part are in stock."""
    return f"12 of {part}"


if __name__ == "__main__":
    server.run()
