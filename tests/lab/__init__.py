"""The lab: real parts (QuestDB, Docker engines, sshds, bad listeners) for tests and the demo.

Each part is a context manager: it starts, answers, and stops exactly what it started. All its
files lie in the folder of a `Lab`, whose janitor undoes everything should the run be killed.
"""
