"""The layout of an image folder: its parts, its classes, and which of its files are pictures. No torch.

An image folder has a folder for each class, either inside train/ and val/, as ImageNet does, or at the top; then a
share of the images is held out for validation.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alexplore.core.formatting import count_text
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.packed_images import PackedError, read_packed

LAYOUT = "DIR/CLASS/*.jpg, or DIR/train/CLASS and DIR/val/CLASS"

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "test", "testing")
"""Names of the parts of an image folder, in any case; the first name that a folder has is taken."""

SUFFIXES = frozenset(
    {
        ".apng", ".avif", ".avifs", ".bmp", ".gif", ".icb", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc",
        ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
        ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp",
    }
)  # fmt: skip
"""Suffixes of the picture formats that `alexplore.training.data.images` decodes."""


ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")

JUNK_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders that systems add: macOS to the archives that it makes, Synology's disks, Windows, and Linux."""


@dataclass(frozen=True)
class Layout:
    """The parts of an image folder. Without `val`, a share of the images in `train` is held out for validation."""

    folder: Path
    train: Path
    val: Path | None

    classes: tuple[str, ...]
    """The names of the folders of the classes, sorted."""

    @property
    def text(self) -> str:
        """A short description, such as `train/ and test/ with 2 classes`."""
        parts = [f"{part.name}/" for part in (self.train, self.val) if part is not None and part != self.folder]
        where = f"{' and '.join(parts)} with " if parts else ""
        held_out = "" if self.val else ", a share held out"
        return f"{where}{len(self.classes):,} class{'es' * (len(self.classes) != 1)}{held_out}"


def find_layout(folder: Path) -> Layout:
    """Return the layout of a folder to train on.

    Raises:
        DataError: it has no images to train on, no folders of classes, can't be read, or its parts have different
            classes.
    """
    names = class_folders(folder)
    train, val = _part(names, TRAIN_NAMES), _part(names, VAL_NAMES)
    if train is None and val is not None and _only_parts(names):
        raise DataError(f"no folder {folder / TRAIN_NAMES[0]}, only {val}: an image folder has {LAYOUT}")
    if train is None or (val is None and not class_folders(folder / train)):  # `train` may be a class, too
        return _flat(folder, names)
    classes = class_folders(folder / train)
    if not classes:
        raise DataError(f"{folder / train} has no folders in it: there must be one for each class")
    if val is not None:
        _check_same(folder, (train, classes), (val, class_folders(folder / val)))
    return Layout(folder, folder / train, None if val is None else folder / val, tuple(classes))


def find_test_images(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return where the images to evaluate on are, and the classes there.

    They are in the folder's validation part, in `train` where a share of that is held out, or in the folder itself.

    Raises:
        DataError: it has no folders of classes, or can't be read.
    """
    names = class_folders(folder)
    train, val = _part(names, TRAIN_NAMES), _part(names, VAL_NAMES)
    place = folder
    if val is not None and (train is not None or _only_parts(names)):
        place = folder / val
    elif train is not None and class_folders(folder / train):
        place = folder / train
    classes = class_folders(place)
    if not classes:
        raise DataError(f"{place} has no folders in it: there must be one for each class, with its images")
    return place, tuple(classes)


def _part(names: list[str], allowed: tuple[str, ...]) -> str | None:
    by_name = {name.casefold(): name for name in reversed(names)}
    return next((by_name[name] for name in allowed if name in by_name), None)


def _only_parts(names: list[str]) -> bool:
    return {name.casefold() for name in names} <= {*TRAIN_NAMES, *VAL_NAMES}


def _flat(folder: Path, classes: list[str]) -> Layout:
    if len(classes) > 1:
        return Layout(folder, folder, None, tuple(classes))
    wanted = f"no folder {folder / TRAIN_NAMES[0]} and no folder {folder / VAL_NAMES[0]}"
    found = f"only the folder {classes[0]}" if classes else "no folders"
    raise DataError(f"{wanted}, and {found} in it: an image folder has {LAYOUT}{_advice(folder, classes)}")


def _advice(folder: Path, classes: list[str]) -> str:
    """Return what to do about a folder that has no folders of classes, or one."""
    if classes and class_folders(folder / classes[0]):
        return f"; --data {folder / classes[0]} may be meant"
    names = [entry.name for entry in entries(folder) if _is_file(entry)]
    pictures = sum(map(_is_picture, names))
    texts = [f"its {pictures:,} pictures are in no class: put each into the folder of its class"] * bool(pictures)
    texts += [
        f"{name} is not read: put each picture into the folder of its class"
        for name in sorted(names)
        if name.lower().endswith((".csv", ".tsv", ".json", ".txt", ".xlsx")) and not pictures
    ][:1]
    texts += [f"{name} has to be unpacked" for name in sorted(names) if name.lower().endswith(ARCHIVE_SUFFIXES)][:1]
    texts += ["a network tells at least two classes apart"] * bool(classes and not texts)
    return "".join(f"; {text}" for text in texts)


def no_folder_text(path: Path) -> str:
    """Return why a path is no folder, and what to do."""
    if not path.exists():
        return "there is no such folder"
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return "it is an archive; unpack it, and name the folder"
    return "it is a file; name the folder that the data set is in"


def _check_same(folder: Path, train: tuple[str, list[str]], val: tuple[str, list[str]]) -> None:
    (train_name, train_classes), (val_name, val_classes) = train, val
    only = [
        f"only {part} has {', '.join(sorted(names)[:5])}{' …' if len(names) > 5 else ''}"
        for part, names in (
            (train_name, set(train_classes) - set(val_classes)),
            (val_name, set(val_classes) - set(train_classes)),
        )
        if names
    ]
    if only:
        raise DataError(f"{folder}: {train_name} and {val_name} have different classes: {'; '.join(only)}")


def class_folders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones and links that lead back up.

    For a packed folder they are the classes of its images.

    Raises:
        DataError: it can't be read, or is packed and damaged.
    """
    try:
        packed = read_packed(folder)
    except PackedError as error:
        raise DataError(str(error), failure=True) from None
    if packed is not None:
        return sorted(packed.classes)
    real = folder.resolve()
    return sorted(
        entry.name
        for entry in entries(folder)
        if not _is_hidden(entry) and _is_folder(entry) and not real.is_relative_to(Path(entry.path).resolve())
    )


@dataclass
class LeftOut:
    """Entries of an image folder that are not pictures: their numbers by kind, and the paths of the files.

    `read` are the folders that were searched.
    """

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)

    def add(self, kind: str, entry: os.DirEntry[str]) -> None:
        """Count one entry; `kind` is `hidden`, `link` or `file`."""
        self.counts[kind] += 1
        if kind == "file":
            self.others.append(os.path.relpath(entry.path, self.folder))

    def include(self, counts: Mapping[str, int], others: Sequence[str]) -> None:
        """Add entries that were counted elsewhere."""
        self.counts.update(counts)
        self.others.extend(others)

    @property
    def text(self) -> str:
        """A warning, empty if nothing was left out."""
        texts = []
        if files := self.counts["file"]:
            some = ", ".join(sorted(self.others)[:3]) + (" …" if files > 3 else "")
            texts.append(f"{count_text(files, 'file')} that {'are' if files > 1 else 'is'} no picture ({some})")
        if hidden := self.counts["hidden"]:
            texts.append(f"{hidden:,} hidden")
        if links := self.counts["link"]:
            texts.append(f"{count_text(links, 'link')} that lead{'s' * (links == 1)} nowhere or back")
        return f"left out: {', '.join(texts)}" if texts else ""


def find_pictures(folder: Path, left_out: LeftOut, above: frozenset[Path] = frozenset()) -> Iterator[str]:
    """Yield the pictures in a folder and in the folders inside it, as relative paths, sorted in each folder.

    Hidden entries (macOS writes `._NAME` beside each picture, and `.DS_Store`), files that are not pictures, and links
    that lead back to one of the folders `above` are counted in `left_out`.

    Raises:
        DataError: a folder can't be read.
    """
    above = above | {folder.resolve()}
    left_out.read.append(folder)
    for entry in sorted(entries(folder), key=lambda entry: entry.name):
        if _is_hidden(entry):
            left_out.add("hidden", entry)
        elif _is_folder(entry):
            inside = Path(entry.path)
            if inside.resolve() in above:
                left_out.add("link", entry)
            else:
                yield from (f"{entry.name}/{name}" for name in find_pictures(inside, left_out, above))
        elif not _is_file(entry):
            left_out.add("link" if entry.is_symlink() else "file", entry)
        elif _is_picture(entry.name):
            yield entry.name
        else:
            left_out.add("file", entry)


def count_others(folder: Path, classes: Sequence[str], left_out: LeftOut) -> None:
    """Count the entries of a folder that are not the folders of its classes.

    Raises:
        DataError: it can't be read.
    """
    for entry in entries(folder):
        if _is_hidden(entry):
            left_out.add("hidden", entry)
        elif _is_folder(entry):
            if entry.name not in classes and folder.resolve().is_relative_to(Path(entry.path).resolve()):
                left_out.add("link", entry)
        else:
            left_out.add("link" if entry.is_symlink() and not _is_file(entry) else "file", entry)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder.

    Raises:
        DataError: it can't be read.
    """
    return list(_scan(folder))


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError as error:
        there = not isinstance(error, FileNotFoundError | NotADirectoryError)
        raise DataError(f"{folder} can't be read: {error.strerror}", failure=there) from None


def check_pictures(layout: Layout) -> None:
    """Check that each class has a picture to train on; each folder is only searched until one is found.

    Raises:
        DataError: classes have none, or a folder can't be read.
    """
    if read_packed(layout.train) is not None:
        return
    empty = [name for name in layout.classes if not _has_picture(layout.train / name, frozenset())]
    if empty:
        raise DataError(empty_text(layout.train, empty))


def empty_text(folder: Path, empty: Sequence[str]) -> str:
    """Return that classes have no images, and what to do."""
    one = len(empty) == 1
    some = ", ".join(empty[:5]) + (f" and {len(empty) - 5:,} more" if len(empty) > 5 else "")
    return (
        f"{folder}: {'class' if one else 'classes'} {some} {'has' if one else 'have'} no images: add some, or remove "
        f"the folder{'s' * (not one)} (from the training and the validation part, if there are two)"
    )


def _has_picture(folder: Path, above: frozenset[Path]) -> bool:
    above, inside = above | {folder.resolve()}, []
    for entry in _scan(folder):  # a folder of many pictures is not read to its end
        if _is_hidden(entry):
            continue
        if _is_folder(entry):
            inside.append(Path(entry.path))
        elif _is_picture(entry.name) and _is_file(entry):
            return True
    return any(path.resolve() not in above and _has_picture(path, above) for path in inside)


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in JUNK_FOLDERS


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (a Path for each takes as long as all else)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
