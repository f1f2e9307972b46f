"""The Ken Burns camera over stills."""
