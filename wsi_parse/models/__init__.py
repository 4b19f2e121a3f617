"""Models: they turn tiles into channels for prompts; each is one small module or package."""
