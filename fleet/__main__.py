"""`fleet`, and `python -m fleet`."""

import sys


def main() -> int:
    """Run the command line → the exit status; Ctrl-C while it is still being loaded is no bug."""
    try:
        from fleet import cli  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
