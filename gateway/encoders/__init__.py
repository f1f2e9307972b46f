"""The encoders: how one task is run on one of them, and which one is free."""
