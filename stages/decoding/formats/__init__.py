"""List the formats that can be read, and complete Pillow's readers.

registry.py   every format: its endings, and the library that reads the format
opening.py    open an image by its bytes, whatever its name says
jpeg.py       truncated JPEGs, and huge JPEGs at a reduced scale
jxl.py        the header of a JPEG XL
reducing.py   JPEG and JPEG 2000 at a reduced scale
png.py        plain PNGs without Pillow's reader, and truncated PNGs
tiff.py       TIFFs that Pillow misreads
wide.py       the black point and the white point of more than 8 bits a value"""
