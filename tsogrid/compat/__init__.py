"""Other pipelines' files: their tables written, their parameters read."""
