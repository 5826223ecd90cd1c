"""Reading: files, arrays and Datasets in, one lazily indexed Dataset of frames out."""
