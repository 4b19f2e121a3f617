"""The viewer: a slide and its objects in the browser, served to this machine only; every count is exact."""
