"""Turn a file into a thumbnail, or into the reason why the file has no thumbnail.

    stages/thumbnail.py
      rows.py           rows of earlier artifacts; rows in order
      recheck.py        rows whose files have changed since
      lanes.py          files in, rows out; a crash or a hang costs one file
        children.py     decoding processes, from the parent's side
        child.py        decoding processes, from the child's side
        tray.py         memory that parent and child share
          reading.py    a file's bytes and their digest
          decode.py     from bytes to a thumbnail
            formats/    the formats and their readers
            borders.py  uniform borders round the picture
            pixels.py   conversion to 8 bits a value, transparency
            scaling.py  more than 8 bits a value to 8 bits
            colour.py   ICC profiles
            metadata.py EXIF, frames
            encoding.py tables of a JPEG; whether a lossless file was a JPEG
            salvage.py  the readable part of a truncated file
            memory.py   whether memory was exhausted

`problems.py` holds every reason with its stable code. The child's imports are kept few, since a child starts with
each run."""
