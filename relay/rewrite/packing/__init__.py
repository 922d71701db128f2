"""Unpacking: what landed, out of archives, compression and encryption, as plain files on the disk (rules F1 to F7)."""

from relay.rewrite.packing.unpack import Unpacked, unpack

__all__ = ["Unpacked", "unpack"]
