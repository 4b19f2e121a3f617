"""BiomedParse v1 (Zhao et al., Nature Methods 2024): words choose what is segmented. From maintained parts."""
