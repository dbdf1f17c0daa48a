"""Recurrent layers, computed step by step."""
