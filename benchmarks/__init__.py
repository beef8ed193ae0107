"""What a sweep costs, beside others that do the same work: `make bench`."""
