"""Files and folders: whole or not at all, private ones, hashes, and the manifest of a run."""

from wsi_parse.files.manifest_file import MANIFEST_NAME, SCHEMA_VERSION, manifest_error, read_manifest
from wsi_parse.files.private import (
    check_private,
    clear_for_file,
    is_shared_with_group,
    odd_entries,
    private_folder,
    read_regular,
    real_folder,
    shared_with_group,
)
from wsi_parse.files.whole import (
    CHECK_RIGHTS,
    atomic,
    check_can_be_folder,
    file_sha256,
    file_stamp,
    move,
    remove,
    remove_parts,
    sync_folder,
    tree_sha256,
    try_writing,
    write_text,
)

__all__ = [
    "CHECK_RIGHTS",
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "atomic",
    "check_can_be_folder",
    "check_private",
    "clear_for_file",
    "file_sha256",
    "file_stamp",
    "is_shared_with_group",
    "manifest_error",
    "move",
    "odd_entries",
    "private_folder",
    "read_manifest",
    "read_regular",
    "real_folder",
    "remove",
    "remove_parts",
    "shared_with_group",
    "sync_folder",
    "tree_sha256",
    "try_writing",
    "write_text",
]
