"""Files of a collection: where they really are, how a listing describes them, and the walk through a tree.

Here: the jail that keeps every path below the collection's root, listing documents and their filters, checksums. Not here:
HTTP, tasks and the copying of bytes.
"""

from __future__ import annotations

import fnmatch
import grp
import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from als_assets.simulator import clock
from als_assets.simulator.store import Doc


class OutsideRoot(ValueError):
    """A path leaves the root of its collection (through ``..`` or a symbolic link)."""


def real_path(root: Path, path: str, *, follow: bool = True) -> Path:
    """The file behind ``path`` of a collection. With ``follow`` False the last component may be a link, which is returned.

    Raises:
        OutsideRoot: the path leads out of ``root``.
    """
    if "\0" in path:
        raise OutsideRoot("the path holds a NUL character")
    inside = path.removeprefix("/~").lstrip("/")
    base = root.resolve()
    asked = base / inside
    found = asked.resolve() if follow or not inside else asked.parent.resolve() / asked.name
    if (found != base and base not in found.parents) or asked.name == "..":
        raise OutsideRoot(f"{path} leads out of the collection")
    return found


def describe(path: Path, name: str | None = None) -> Doc:
    """The listing document of one file or directory (of the link's target, with ``link_*`` about the link itself)."""
    link = path.lstat()
    is_link = stat.S_ISLNK(link.st_mode)
    try:
        info = path.stat()
    except OSError:
        info = link
    kinds = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "invalid_symlink", stat.S_IFCHR: "chr"}
    return {
        "DATA_TYPE": "file",
        "name": path.name if name is None else name,
        "type": kinds.get(stat.S_IFMT(info.st_mode), "other"),
        "size": info.st_size,
        "last_modified": clock.listing(info.st_mtime),
        "permissions": f"{stat.S_IMODE(info.st_mode):04o}",
        "user": _user(info.st_uid),
        "group": _group(info.st_gid),
        "link_target": str(path.readlink()) if is_link else None,
        "link_size": link.st_size if is_link else None,
        "link_user": _user(link.st_uid) if is_link else None,
        "link_group": _group(link.st_gid) if is_link else None,
        "link_last_modified": clock.listing(link.st_mtime) if is_link else None,
    }


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# --- filters -----------------------------------------------------------------------------------------------------------


def kept(entries: list[Doc], filters: list[str]) -> list[Doc]:
    """The entries that pass all ``filter`` parameters (clauses ``key:value`` joined by "/"). ValueError for an unknown key."""
    clauses = [clause.partition(":") for text in filters for clause in text.split("/") if clause]
    for key, colon, value in clauses:
        if not colon or key not in ("name", "type", "size", "last_modified", "permissions", "user", "group"):
            raise ValueError(f"Invalid filter '{key}{colon}{value}'")
    return [entry for entry in entries if all(_passes(entry, key, value) for key, _, value in clauses)]


def _passes(entry: Doc, key: str, value: str) -> bool:
    actual = entry[key]
    if key == "size":
        return _compare(int(actual), value)
    if key == "last_modified":
        first, _, last = value.partition(",")
        return (not first or actual >= first) and (not last or actual <= last)
    return matches_text(str(actual), value)


def _compare(actual: int, value: str) -> bool:
    for sign, test in ((">=", int.__ge__), ("<=", int.__le__), (">", int.__gt__), ("<", int.__lt__), ("=", int.__eq__)):
        if value.startswith(sign):
            return bool(test(actual, int(value.removeprefix(sign))))
    return actual == int(value)


def matches_text(actual: str, value: str) -> bool:
    """Globus' text operators: a comma-separated list, ``=`` equal, ``~`` glob, ``!`` not equal, ``!~`` not like the glob."""
    if value.startswith("!~"):
        return not fnmatch.fnmatchcase(actual, value[2:])
    if value.startswith("~"):
        return fnmatch.fnmatchcase(actual, value[1:])
    if value.startswith("!"):
        return actual not in value[1:].split(",")
    return actual in value.removeprefix("=").split(",")


def ordered(entries: list[Doc], orderby: str) -> list[Doc]:
    """Entries in the order of an ``orderby`` parameter ("type,name" when absent); later keys break ties."""
    for clause in reversed((orderby or "type,name").split(",")):
        key, _, direction = clause.strip().partition(" ")
        entries = sorted(entries, key=lambda entry: str(entry.get(key, "")).zfill(20), reverse=direction.upper() == "DESC")
    return entries


# --- trees -------------------------------------------------------------------------------------------------------------


@dataclass
class Tree:
    """What a recursive item holds: directories and files (relative paths), and how many links were left out."""

    directories: list[str]
    files: list[str]
    symlinks: int


def walk(top: Path, rules: list[Doc]) -> Tree:
    """All of ``top`` that the filter rules let through. Symbolic links below ``top`` are ignored, as by default there."""
    tree = Tree([], [], 0)
    for folder, directories, files in os.walk(top):
        here = Path(folder)
        links = [name for name in (*directories, *files) if (here / name).is_symlink()]
        tree.symlinks += len(links)
        directories[:] = sorted(name for name in directories if name not in links and not excluded(name, "dir", rules))
        tree.directories += [str((here / name).relative_to(top)) for name in directories]
        kept = sorted(name for name in files if name not in links and not excluded(name, "file", rules))
        tree.files += [str((here / name).relative_to(top)) for name in kept]
    return tree


def excluded(name: str, kind: str, rules: list[Doc]) -> bool:
    """Whether the first filter rule that fits ``name`` (kind "file" or "dir") excludes it."""
    for rule in rules:
        if rule.get("type") in (None, kind) and fnmatch.fnmatchcase(name, rule["name"]):
            return bool(rule.get("method", "exclude") == "exclude")
    return False


def digest(path: Path, algorithm: str) -> str:
    """The hexadecimal checksum of a file. ValueError for an algorithm that Python does not know."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, hasher(algorithm)).hexdigest()


def hasher(algorithm: str) -> str:
    """Python's name of a checksum algorithm ("SHA-256", "sha256" and "SHA256" are the same). ValueError when unknown."""
    name = algorithm.lower().replace("-", "").replace("_", "")
    if name not in ("md5", "sha1", "sha256", "sha384", "sha512"):
        raise ValueError(f"Unknown checksum algorithm '{algorithm}'")
    return name
