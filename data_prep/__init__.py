"""Datasets as their authors publish them, made into what the nets read: checked folders, lists and LMDBs."""

__all__: list[str] = []
