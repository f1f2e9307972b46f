"""JSON over HTTP: every public RPC by its google.api.http rule, driven by the descriptors; and signed files."""
