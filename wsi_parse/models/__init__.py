"""Models: what answers a prompt; each is one small module or package."""
