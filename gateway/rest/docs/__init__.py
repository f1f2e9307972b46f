"""The documentation, served: a page that tries the API, the guides and the reference, and an index for machines."""
