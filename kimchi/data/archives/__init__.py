"""A delivery as a tree of members: a folder, a zip, a tar, archives inside archives, parts; read in place, nothing is unpacked.

A member's path joins the levels with "!": "kfood.zip!김치.zip!배추김치/Img_033_0001.jpg". Paths are NFC, whatever the disk or
the archive says. Nothing is ever written below the names an archive brings, and nothing of a delivery is changed or removed.

names    what a name was meant to be        spans    bytes read where they lie, over several files
parts    X.zip.part0, part1 ... as X.zip    zips, tars, base    the archives        tree    listing and reading
columns  pictures within Arrow and Parquet tables
"""

from kimchi.data.archives.names import decode_name, nfc
from kimchi.data.archives.tree import MAX_MEMBER_BYTES, Member, comment, fingerprint, members, read_member

__all__ = ["MAX_MEMBER_BYTES", "Member", "comment", "decode_name", "fingerprint", "members", "nfc", "read_member"]
