"""The notice that every output carries."""

RESEARCH_ONLY = "research use only, not for clinical decisions"
