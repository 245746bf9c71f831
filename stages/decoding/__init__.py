"""Turn a file into a thumbnail, or into the reason why the file has no thumbnail.

    stages/thumbnail.py
      rows.py           facts as rows; rows of earlier artifacts
      counts.py         counts of readable and failed images
      recheck.py        rows whose files have changed since the artifact was made
      lanes.py          decoding of many files; a crash or a hang costs one file
        children.py     decoding processes, from the parent's side
        child.py        decoding processes, from the child's side
        tray.py         memory that parent and child share
          reading.py    an image's bytes and their digest
            sources.py  the scan's facts about a file; storage errors
            containers.py   members of tar and zip files, with few large reads
            row_groups.py   rows of Parquet files
            opened_file.py  a container that stays open
            location.py     the position of a member in its container, as text
          decode.py     from bytes to a thumbnail
            formats/    the formats and their readers
            borders.py  uniform borders around the picture
            pixels.py   conversion to 8 bits a value, transparency
            scaling.py  more than 8 bits a value to 8 bits
            colour.py   ICC profiles
            metadata.py EXIF, frames
              annotations.py  captions, keywords, people and ratings
            encoding.py tables of a JPEG; whether a lossless file was a JPEG
            salvage.py  the readable part of a truncated file
            memory.py   whether memory was exhausted

`problems.py` lists the reasons with their stable codes, and `options.py` the options that change pixels. The child
imports few modules, since every run starts children."""
