"""Write copies of data sets without removed images.

    commands/filter/
      rewriting.py   copies of containers, by kind
        tar.py       tar files, compressed or not: members are copied byte by byte
          tar_members.py  the members of a tar, and which of these can be read
        zip.py       zip files: members are copied byte by byte, a new directory is written
        parquet.py   Parquet files, one row group after the other
        arrow.py     Arrow files and streams, one record batch after the other
          samples.py members that are removed together with an image
          ranges.py  ranges of bytes to copy
          outcome.py the images to remove, and counts
      lists.py       lists of images: CSV, JSON lines, COCO's JSON, text
      loose.py       images in files of their own: hard links, or copies
      datasets.py    the JSON files of a folder that `datasets.save_to_disk` wrote
      result_paths.py  paths of results below the target folder
      manifest.py    finished results, so that a second call continues the first

A source is never changed: sources are opened for reading only, and each result gets its name when it is complete."""
