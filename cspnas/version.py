"""The version of this package; results, exported files and nodes of a cluster carry it."""

__version__ = "0.1.0"
