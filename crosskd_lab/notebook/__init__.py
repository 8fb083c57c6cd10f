"""What several notebooks share: students, galleries, checks of exercises, the book."""
