"""An emulated machine with cgroup v2 and Docker: what fleet reads there, against what Docker says.

`python -m tests.guest` is run by `make test-cgroup2`, apart from the other tests, for it takes
minutes. Everything comes from packages of this machine's own distribution.
"""
