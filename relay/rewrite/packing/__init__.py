"""Unpacking: what landed, out of whatever it is packed in, as plain files on the disk (rules K1 to K7, K13, K14)."""

from relay.rewrite.packing.unpack import Unpacked, unpack

__all__ = ["Unpacked", "unpack"]
