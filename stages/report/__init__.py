"""Draw what the stage `plot` shows.

page.py        the page, and its data                 gallery.py     images by path, for display
templates/     the page's look and script             previews.py    preview files for the page
charts.py      charts, by Matplotlib                  pictures.py    pairs and sheets, by Pillow
painter.py     a process that draws charts            reuse.py       charts of the last report
extremes.py    closest and farthest matches, counts   folders.py     which folder duplicates which
labels.py      recall, from labels of duplicates      sets.py        images of one set that are in the other
dendrogram.py  splits of a cluster at lower thresholds"""
