"""The commands of `berth`, one file per thing they are about; `cli/app.py` puts them together.

Everything but the command line itself is imported inside the commands: `berth --help` answers at once.
"""
