"""The OpenAPI document, built from the descriptors."""
