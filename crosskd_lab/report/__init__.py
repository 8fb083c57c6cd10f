"""What was measured, in tables, claims and figures. Nothing here imports torch."""
