"""Datasets as their authors publish them, made into what the nets read: checked folders, lists and LMDBs."""

__all__: list[str] = []

__version__ = "0.1.0"
"""As in pyproject.toml: manifests say which version wrote what they describe."""
