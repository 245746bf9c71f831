"""Draw the report of the stage `plot`.

report.py      what the report shows                  reads.py       what the report reads
page.py        the page, and its data                 gallery.py     images by path, for display
templates/     the page's look and script             previews.py    preview files for the page
charts.py      charts, by Matplotlib                  pictures.py    pairs and sheets, by Pillow
reuse.py       charts of the last report              folders.py     images that folders share
extremes.py    closest and farthest matches, bins     bundles.py     images that match in the same folders
labels.py      recall, from labels of duplicates      image_groups.py  images that match the same images
sets.py        images of set b that match images of set a
dendrogram.py  splits of a cluster at lower thresholds
triangle.py    folders in a triangle, for the page"""
