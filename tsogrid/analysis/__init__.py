"""Dataset in, Dataset or table out: what is made of a result."""
