"""How cameras hand over what they send: one module for each transport, and the bad habits that go with it."""
