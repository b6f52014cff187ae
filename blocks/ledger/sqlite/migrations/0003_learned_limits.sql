-- What was learned of a provider's own limit, as `Upstream.to_text` writes it; NULL for a limit that
-- people configured.
ALTER TABLE limits ADD COLUMN adaptive TEXT;
