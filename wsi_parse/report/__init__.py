"""The page of a run: report.html, one file that opens offline; its methods paragraph and its citations."""
