"""Losses, and Accuracy, which reads labels as they do."""
