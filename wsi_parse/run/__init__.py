"""One slide from the request to the manifest: resolve, lay out, compute, collect, write."""
