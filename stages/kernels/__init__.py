"""The mathematics: arrays in, arrays out; no files, no Dask, no Parquet."""
