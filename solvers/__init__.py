"""Recipes: how each model is trained, from which weights, with which settings, and what it should score."""
