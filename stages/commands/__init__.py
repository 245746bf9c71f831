"""What knows images and is no stage: results as DataFrames, the demo."""
