"""What each dataset is, as data: no numpy and no pandas here."""
