"""What the taps show: Taps in, arrays and data frames out."""
