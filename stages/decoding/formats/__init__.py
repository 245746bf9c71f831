"""The formats that can be read, and what Pillow's readers of these formats leave to do.

registry.py   every format: its endings, and the library that reads it
jpeg.py       JPEGs that end early, and huge JPEGs at a reduced scale
jxl.py        the head of a JPEG XL
png.py        plain PNGs without Pillow's reader, and PNGs that end early
tiff.py       TIFFs that Pillow misreads
wide.py       the black and the white point of more than 8 bits a value
"""
