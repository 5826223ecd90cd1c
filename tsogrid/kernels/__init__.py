"""Batches of frames in, arrays out: the numerical work, without files, dask or configuration."""
