"""The board: read-only web pages beside Dagster, one for each scan and one for all of them, for staff with a phone in the hand.

Here: what the record and the previews say, in words, tables and pictures. Not here: changing anything; the board opens the record
to read, answers GET and HEAD only, and asks no other service.
"""

from als_assets.board.app import build_app
from als_assets.board.server import serve

__all__ = ["build_app", "serve"]
