"""Category discovery by transfer."""

__version__ = "0.1.0"
