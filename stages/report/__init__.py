"""What the stage `plot` draws with.

page.py       the page, and what is on it             gallery.py     images by path, as they look now
templates/    what it looks like, and its script      previews.py    files of them for the page
charts.py     charts, by Matplotlib                   pictures.py    pairs and sheets, by Pillow
extremes.py   which matches are shown, of how many    folders.py     which folder duplicates which
dendrogram.py how a cluster comes apart at lower      labels.py      recall, where labels are given
              thresholds
"""
