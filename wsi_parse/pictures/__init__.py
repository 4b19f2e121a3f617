"""Pictures for people: a slide with its objects, and where two results differ."""
