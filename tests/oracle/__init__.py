"""What others make of the same input: ansible-core beside us, in tests."""
