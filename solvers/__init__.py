"""Training and scoring: recipes, metrics, scoring a net over a split, inference on pictures."""
