"""Assets: the files that clients upload and that jobs make, and the signed links to them."""
