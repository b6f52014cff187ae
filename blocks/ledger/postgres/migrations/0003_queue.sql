-- What the first call asks for and how many stand behind it, as `Head.to_text` writes it; '' where
-- an older release said it.
ALTER TABLE heads ADD COLUMN claim text NOT NULL DEFAULT '';
