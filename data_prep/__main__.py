"""``python -m data_prep`` and ``fcn-data``.

Processes that work on samples import this file anew, so it imports the command line only to run it.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from data_prep.cli import main as command_line

    command_line(prog_name="python -m data_prep" if __name__ == "__main__" else None)


if __name__ == "__main__":
    main()
