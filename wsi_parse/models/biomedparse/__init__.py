"""BiomedParse v1 (Zhao et al., Nature Methods 2024): segmentation by text prompts, built from maintained libraries."""
