"""`python -m cli`: the same as `berth`."""

from cli.app import run

if __name__ == "__main__":
    run()
