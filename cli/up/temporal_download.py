"""Has the Temporal SDK download its command line tool. A program of its own, so that it can be killed.

python temporal_download.py VERSION FOLDER
"""

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def download(version: str, folder: str) -> None:
    """Put the tool into `folder`; the SDK starts it once, which also proves that it runs here."""
    environment = await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=f"v{version}"
    )
    await environment.shutdown()


def main() -> None:
    """Exit code 1 and one line on stderr when there is nothing to be had."""
    _, version, folder = sys.argv
    try:
        asyncio.run(download(version, folder))
    except RuntimeError as error:  # the SDK's only word
        sys.exit(str(error))


if __name__ == "__main__":
    main()
