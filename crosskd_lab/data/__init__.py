"""Detection sets: synthetic scenes, COCO-format files, and what can be fetched."""
