"""From a file to a thumbnail, or to the reason why there is none.

    stages/thumbnail.py
      lanes.py          files in, rows out; what crashes or hangs costs one file
        children.py     processes that decode, seen from here
        child.py        what such a process does
        tray.py         memory that both see
          reading.py    bytes and their digest
          decode.py     from bytes to a thumbnail
            formats/    what can be read, and by whom; a file for each format that needs one
            pixels.py   8 bits a value, transparency
            colour.py   ICC profiles
            metadata.py EXIF, frames
            encoding.py a JPEG's tables; whether a lossless file was a JPEG
            salvage.py  what is left of a file that was cut short
            memory.py   whether memory ran out

`problems.py` holds every reason, with its stable code. What the child imports is kept small: it starts with each run.
"""
