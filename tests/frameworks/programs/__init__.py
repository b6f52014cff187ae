"""The programs, a file a framework: `clients` are SDKs, `agents` what stands on them."""
