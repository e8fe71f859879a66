"""Bring DistilBERT, and on request PhraseBank, to this machine ahead of the day."""

import argparse
import sys

from tuning import paths
from tuning.command import one_line_errors
from tuning.data import download, loading
from tuning.encoder import finding


def bring(repository: download.Repository, folder_name: str) -> bool:
    """Fetch a repository with a progress bar; say how it ended, and whether all files are there and right."""
    folder = paths.models() / folder_name
    try:
        with download.progress_bar(repository.name) as show:
            download.fetch(repository, folder, on_progress=show)
    except download.HubError as problem:
        print(
            f"error: {repository.name}: {problem} Run this again, here or on another network: it goes on where it broke"
            " off. The notebooks work without it (room card: embedded).",
            file=sys.stderr,
        )
        return False
    print(f"{repository.name} is in {paths.short(folder)}, checked.")
    return True


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py fetch-model``; the exit code is 0 when everything asked for is there."""
    parser = argparse.ArgumentParser(prog="workshop.py fetch-model", description=__doc__)
    parser.add_argument("--phrasebank", action="store_true", help="the PhraseBank sentences as well")
    options = parser.parse_args(argv)
    wanted = [(finding.DISTILBERT, finding.DISTILBERT.folder_name)]
    if options.phrasebank:
        wanted.append((loading.phrasebank(), loading.PHRASEBANK_FOLDER))
    return 0 if all([bring(repository, name) for repository, name in wanted]) else 2


if __name__ == "__main__":
    sys.exit(main())
