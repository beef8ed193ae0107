"""Docker figures of a whole fleet, read over SSH and published to QuestDB."""

__version__ = "0.1.0"
